"""The desk of a scheduled run: the real sources, the real fleet, and the command of an upgrade."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from toolkit.adapters.history.history import History
from toolkit.adapters.schedule_record import ScheduleRecord
from toolkit.adapters.sightings import Sightings
from toolkit.adapters.tied import SIGNAL, tied
from toolkit.cli.opening.context import open_hosts, open_hub, read_pins, read_registry
from toolkit.cli.opening.local_versions import open_local
from toolkit.cli.opening.settled import observe_settled
from toolkit.cli.opening.trail import trail_now
from toolkit.cli.terminal.output import note
from toolkit.domain.registry.model import Model, Registry, Version
from toolkit.errors import BusyError, InterruptionError, ToolkitError
from toolkit.planning.upkeep.adapter_currency import adapter_models
from toolkit.planning.upkeep.currency import Currency
from toolkit.planning.upkeep.idle_after import Activity, counted
from toolkit.planning.upkeep.unattended import Seen, expected_seconds
from toolkit.workflows.change.wanted import usual_start
from toolkit.workflows.fleet.look import each_at_once
from toolkit.workflows.registry.outdated import Sources, look_upstream
from toolkit.workflows.registry.update import update_model
from toolkit.workflows.registry.update_adapter import is_adapter, update_adapter
from toolkit.workflows.schedule.desk import Ended

# A directory is hashed whole; a Hub answers or fails long before.
_SOURCE_SECONDS = 1800.0
# A machine that is suspended, or whose clock is set, passes the end of a window earlier than a wait for it ends.
_LOOK_SECONDS = 10.0
# They end a command that still loads its modules, and has changed nothing.
_INTERRUPT = (SIGNAL, signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class CommandDesk:
    """`Desk` over the same adapters as the commands of a person."""

    registry_path: str
    fleet: str | None
    home: Path
    history: History
    schedule_path: str

    def begin(self, why: str) -> None:
        """Begin the command's record in the audit log: what it does and how it ends is then told to people."""
        trail = trail_now()
        trail.reason = trail.reason or why
        trail.begin_once()

    def currencies(self, models: Sequence[str]) -> Mapping[str, Currency]:
        """Return how each model stands to its source; the registry is read anew."""
        pins = read_pins(self.registry_path, self.home)
        sources = Sources(open_hub, Sightings(self.home), pins.lock, time.time)
        chosen = [_model_of(pins.registry, name) for name in models]
        return look_upstream(pins.registry, chosen, sources, seconds=_SOURCE_SECONDS)

    def pin(self, model: str) -> str:
        """Pin a candidate. Nobody is asked: a repository of another owner is refused."""
        path = Path(self.registry_path)
        local = open_local(self.registry_path, self.home)
        if is_adapter(path, model):
            done, title = update_adapter(path, model, open_hub=open_hub, report=note, local=local)
            name = title.partition("@")[2]
        else:
            done = update_model(path, model, open_hub=open_hub, report=note, local=local)
            name = done.pinned.version.name
        for line in done.difference.lines if done.difference else ():
            note(f"  {line}")
        return name

    def look(self) -> Seen:
        """Observe the fleet as `toolkit status` does."""
        hosts = open_hosts(self.fleet, self.home)
        seen = observe_settled(hosts, self.history, self.registry_path, self.home)
        return Seen(
            seen.fleet,
            seen.drift,
            seen.unfinished,
            seen.behind,
            seen.keys_differ,
            seen.history_fault,
        )

    def failures(self, model: str) -> Mapping[str, str]:
        """Return the revisions of a model or an adapter of which a release failed a gate, canary or bake, and why."""
        found: dict[str, str] = {}
        base = self._newest(model).adapter_of
        for release, _ in self.history.releases(base or model):
            failed = self.history.failure(base or model, release.number)
            if failed is not None:
                own = {each.name: each.revision for each in release.adapters}
                revision = own.get(model, "") if base else release.revision
                if revision:
                    found[revision] = f"{failed.result.gate}: {failed.result.reason}"
        return found

    def duration(self, model: str) -> float:
        """Return how long an upgrade of the model takes, in seconds."""
        newest = self._newest(model)
        known = self.history.deployments(newest.adapter_of or newest.model)
        return expected_seconds(known, newest.guard, of_adapter=bool(newest.adapter_of))

    def _newest(self, model: str) -> Version:
        return _model_of(read_registry(self.registry_path), model).newest

    def upgrade(self, model: str, version: str, reason: str, until: float, rollout: str) -> Ended:
        """Run `toolkit upgrade` as a person would; interrupt it once at `until`, and once with this command."""
        told = ["--to", version, "--yes", "--registry", self.registry_path, "--unattended"]
        told += ["--rollout", rollout]
        return self._run("upgrade", model, *told, reason=reason, until=until)

    def start_seconds(self, model: str) -> float:
        """Return how long the last start of the model took, in seconds."""
        return usual_start(self.history, model)

    def counted(self) -> Mapping[str, Activity]:
        """Ask all hosts at once for their counters."""
        hosts = open_hosts(self.fleet, self.home)
        names = [each.name for each in hosts]
        return counted(
            dict(zip(names, each_at_once(hosts, lambda each: each.sample()), strict=True))
        )

    def wake(self, model: str, reason: str) -> Ended:
        """Run `toolkit wake` as a person would."""
        return self._run("wake", model, reason=reason)

    def put_to_sleep(self, model: str, policy: str, reason: str) -> Ended:
        """Run `toolkit sleep` as a person would."""
        told = ("--yes", "--when-asleep", policy, "--schedule", self.schedule_path)
        return self._run("sleep", model, *told, reason=reason)

    def _run(
        self, command: str, model: str, *told: str, reason: str, until: float | None = None
    ) -> Ended:
        words = [
            *(sys.executable, "-P", "-m", "toolkit.cli.main", command, model, *told),
            *("--json", "--home", str(self.home)),
            *(("--fleet", self.fleet) if self.fleet else ()),
            *("--reason", reason),
        ]
        # A session of its own: Ctrl-C at a terminal must reach it once, through this command.
        process = subprocess.Popen(
            words, stdout=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=tied()
        )
        late = False
        try:
            out = _output(process, until)
            if out is None:
                late = True
                process.send_signal(SIGNAL)
                out, _ = process.communicate()
        except BaseException:
            process.send_signal(SIGNAL)
            process.wait()
            raise
        code, message = process.returncode, _message(out)
        if -code in _INTERRUPT:
            code, message = InterruptionError.exit_code, "interrupted"
        elif code < 0:
            # For want of memory, for example; it had no time for a word.
            message = f"it was ended by signal {-code}; the next command ends its change"
        return Ended(code, f"the window ended: {message}" if late else message)


@contextmanager
def told_once(record: ScheduleRecord) -> Iterator[None]:
    """Have the audit log, and people, learn of an error that keeps the timer's runs from their work: once for each.

    The timer calls every few minutes, and meets the same error until a person has put it right.
    """
    try:
        yield
    except BusyError:
        raise
    except ToolkitError as error:
        if record.is_news(error.message):
            with suppress(ToolkitError):
                trail_now().begin_once()
        raise
    record.is_news("")


def _output(process: subprocess.Popen[str], until: float | None) -> str | None:
    """Return what a program printed to its end; None where it still runs at `until`, by the clock of this machine."""
    while True:
        wait = None if until is None else min(_LOOK_SECONDS, max(0.0, until - time.time()))
        try:
            out, _ = process.communicate(timeout=wait)
        except subprocess.TimeoutExpired:
            if until is not None and time.time() >= until:
                return None
        else:
            return out


def _model_of(registry: Registry, name: str) -> Model:
    """Return the model, or the adapter as one; raises InputError where the newest versions have neither."""
    if name not in registry.models and name not in registry.waiting:
        for base, _ in registry.adapters(name)[-1:]:
            for each in adapter_models(registry.model(base.model)):
                if each.name == name:
                    return each
    return registry.model(name)


def _message(out: str) -> str:
    """Return the message of the document that a command printed."""
    try:
        return str(json.loads(out)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return "" if out.strip() else "it printed nothing"
