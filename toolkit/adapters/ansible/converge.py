"""Converge a host with a playbook, through ansible-runner in a process of its own.

That process ends its playbook when this one dies (see `child`), so that no playbook changes a host while the next
command runs.
"""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from toolkit.adapters.ansible import signs
from toolkit.adapters.ansible.announced import Announced
from toolkit.adapters.ansible.certificate import certificate_digest, provisioned_settings
from toolkit.adapters.ansible.silence import Silence
from toolkit.adapters.ansible.standing import Run, Standing
from toolkit.adapters.capacity import width
from toolkit.adapters.disk import room
from toolkit.adapters.hosts.ssh import HOSTSIDE, master_options, require_answer
from toolkit.adapters.interruption import Interruption
from toolkit.domain.excerpt import brief
from toolkit.domain.hosts.fleet import Host
from toolkit.domain.hosts.in_flight import CONVERGING
from toolkit.errors import HostError

Progress = Callable[[str], None]
Require = Callable[[], None]
_TICK_SECONDS = 0.2
# Characters of a failed task's message that are shown: a module may put all that it has read into it.
_WORDS = 1500


def nothing() -> None:
    """Require nothing: a check of a host changes nothing, and needs no lock."""


class Converge(Protocol):
    """Runs playbooks on a host; `run` raises HostError with the failed task's own words."""

    def prepare(self) -> None:
        """Begin to load what a run needs, and return at once."""
        ...

    def run(
        self,
        playbook: str,
        host: Host,
        variables: Mapping[str, Any],
        progress: Progress,
        require: Require,
    ) -> tuple[str, ...]:
        """Run `playbook` (a name such as `replica`) on `host`; return the tasks that changed it.

        Once `require` raises HostError, as `HostPort.require_lock` does, the playbook ends and the error is raised.
        """
        ...


class RealConverge:
    """Ansible on this machine. `playbooks` is the directory of playbooks, `scratch` one for private files.

    `modules` is where built modules stay for later runs, in a directory that only this user may write to; without it
    each run builds its own.

    With `check` a run changes nothing and returns the tasks that would change the host (Ansible's check mode). An
    interruption ends a playbook between or within its tasks, and so does a host that no longer answers.
    """

    def __init__(
        self,
        playbooks: Path,
        scratch: Path,
        *,
        modules: Path | None = None,
        check: bool = False,
        interruption: Interruption | None = None,
    ) -> None:
        self._playbooks = playbooks
        self._scratch = scratch
        self._modules = modules
        self._check = check
        self._interruption = interruption or Interruption()
        self._standing = Standing(scratch)
        self._turns = threading.BoundedSemaphore(width(CONVERGING))

    def prepare(self) -> None:
        # A run tells of a full disk.
        with suppress(OSError):
            self._standing.start()

    def run(
        self,
        playbook: str,
        host: Host,
        variables: Mapping[str, Any],
        progress: Progress,
        require: Require = nothing,
    ) -> tuple[str, ...]:
        self._scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._turn():
            private = Path(tempfile.mkdtemp(prefix="play-", dir=self._scratch))
            try:
                require()
                return self._converge(playbook, host, variables, progress, private, require)
            finally:
                shutil.rmtree(private, ignore_errors=True)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait until few enough other runs are under way: a rollout prepares all of its hosts together.

        No playbook waits for one of another host.
        """
        while not self._turns.acquire(timeout=_TICK_SECONDS):
            self._interruption.check()
        try:
            yield
        finally:
            self._turns.release()

    def _converge(
        self,
        playbook: str,
        host: Host,
        variables: Mapping[str, Any],
        progress: Progress,
        private: Path,
        require: Require,
    ) -> tuple[str, ...]:
        request = {
            "private_data_dir": str(private),
            "playbook": str(self._playbooks / f"{playbook}.yml"),
            "inventory": {"all": {"hosts": {host.name: host_variables(host, self._scratch)}}},
            "extravars": _as_written(variables),
            "options": ["--check"] if self._check else [],
            "modules": str(self._modules) if self._modules else "",
            # The password passes through the run's standard input and a named pipe, and is in no file.
            "become_password": host.become_password.reveal() if host.become_password else "",
            "silence": signs.SILENCE_SECONDS,
        }
        failure, ended, stats = "", "", None
        changed: list[str] = []
        shown, silence = Announced(progress), Silence()
        with closing(shown):
            for event in self._events(host, request, private, silence, require):
                silence.heard()
                kind, data = event.get("event"), event.get("event_data", {})
                shown.take(kind, data)
                if kind in ("runner_on_failed", "runner_on_unreachable"):
                    if not data.get("ignore_errors"):
                        failure = f"{data.get('task')}: {_words(_part(data, 'res'))}"
                elif kind == "runner_on_ok" and _part(data, "res").get("changed"):
                    changed.append(str(data.get("task")))
                elif kind == "playbook_on_stats":
                    stats = data
                elif kind == "ended":
                    ended = str(data.get("failure", ""))
        require()
        if silence.fault:
            raise silence.fault
        # The statistics do not count a failed task that was rescued.
        if ended or _failed(stats or {}, host.name):
            words = failure or ended or "it failed without a word"
            raise _failure(f"{host.name}: {playbook}: ", words, private)
        # An inventory without a match ends with success; where the host is not in the statistics, nothing ran.
        if host.name not in _part(stats or {}, "processed"):
            raise HostError(
                f"{host.name}: {playbook}: Ansible did not process the host", hint="toolkit doctor"
            )
        return tuple(changed)

    def _events(
        self,
        host: Host,
        request: Mapping[str, Any],
        private: Path,
        silence: Silence,
        require: Require,
    ) -> Iterator[dict[str, Any]]:
        standing = self._standing
        with (private / "child.log").open("w+") as log, standing.run(log.fileno()) as run:
            run.ask(request)
            ended = False
            alive = signs.signs_of_life(run.sign, require, run.hang_up)
            with self._interruption.ending(run.hang_up), alive, self._watched(host, silence, run):
                for event in run.events():
                    ended = ended or event.get("event") == "ended"
                    yield event
            self._interruption.check()
            if not ended:
                log.seek(0)
                words = log.read().strip().splitlines() or [standing.last_words()]
                failure = words[-1] or "it ended without a word"
                yield {"event": "ended", "event_data": {"failure": failure}}

    def _watched(self, host: Host, silence: Silence, run: Run) -> AbstractContextManager[None]:
        """Return a context in which a host that no longer answers ends the run."""
        if host.connection != "ssh":
            return nullcontext()
        return silence.watched(partial(require_answer, host, self._scratch), run.hang_up)


def _failure(title: str, words: str, private: Path) -> HostError:
    if not room(private).full:
        return HostError(f"{title}{words}", hint="toolkit doctor")
    # Ansible cannot write its files, and often says nothing of it.
    full = f"the disk of {private.parent} is full: {words}"
    return HostError(f"{title}{full}", hint="toolkit prune")


def _failed(stats: Mapping[str, Any], host: str) -> bool:
    return any(host in _part(stats, kind) for kind in ("failures", "dark"))


def _part(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a part of an event; empty where a host made something else of it."""
    found = data.get(name)
    return found if isinstance(found, Mapping) else {}


def host_variables(host: Host, scratch: Path) -> dict[str, Any]:
    """Return the inventory variables of all roles; `scratch` holds the sockets of shared SSH connections."""
    options = master_options(host, scratch) if host.connection == "ssh" else ()
    return {
        "ansible_connection": host.connection,
        "ansible_ssh_common_args": shlex.join(options),
        "ansible_host": host.address,
        "ansible_python_interpreter": host.python,
        "ansible_become": host.connection != "local" or os.geteuid() != 0,
        "toolkit_root": host.root,
        "toolkit_user": host.user,
        "toolkit_models_group": host.models_group,
        "toolkit_python": host.python,
        "toolkit_port_base": host.port_base,
        "toolkit_hostside": str(HOSTSIDE),
        "router_bind": host.router_bind,
        "router_metrics_bind": host.router_metrics_bind,
        "router_relay_bind": host.relay_bind,
        "router_peers": list(host.peers),
        "router_relays": list(host.relays),
        **host.settings,
        "router_tls_certificate": host.router_tls_certificate,
        "router_tls_key": host.router_tls_key,
        "router_tls_digest": certificate_digest(host),
        "router_require_keys": host.router_require_keys,
        "provision_settings": provisioned_settings(host),
    }


def _as_written(value: Any) -> Any:
    """Return variables that Ansible takes as they are written.

    It would evaluate `{{ }}` in a text, on this machine: in the chat template of a model, in the prompt of a check. The
    mark is that of its own JSON for texts which it does not evaluate.
    """
    if isinstance(value, Mapping):
        return {name: _as_written(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_written(each) for each in value]
    if isinstance(value, str) and "{" in value:
        return {"__ansible_unsafe": value}
    return value


def _words(result: Mapping[str, Any]) -> str:
    """Return the failed task's own words: message, then the last lines it wrote."""
    parts = [str(result.get(key, "")).strip() for key in ("msg", "stderr", "module_stderr")]
    words = [part.splitlines()[-1] if key else part for key, part in enumerate(parts) if part]
    return (
        " / ".join(dict.fromkeys(brief(each, _WORDS) for each in words))
        or "failed without a message"
    )
