"""The trail of one changing command: its intent before anything changes, its outcome, and who is told of it.

`begin` and `finish` are the two ends. Between them the workflows report through `Trail` of
`toolkit/workflows/tools.py`: the outcome on each host, and the verdicts of gates.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from toolkit.adapters.audit.log import AuditLog
from toolkit.adapters.capacity import width
from toolkit.adapters.hosts.port import HostPort
from toolkit.domain.gates.verdict import GateResult, Verdict
from toolkit.domain.hosts.in_flight import ASKING
from toolkit.domain.trail.audit import Event, Head, plan_digest, release_digest
from toolkit.domain.trail.discretion import without_secrets
from toolkit.domain.trail.notice import Notice
from toolkit.errors import BusyError, HostError, RefusedError, ReleaseFailedError, ToolkitError
from toolkit.workflows.tools import Say

_MOST_TEXT = 600


class TellingDesk(Protocol):
    """The messages around a deployment besides the audit log: hooks and notifications."""

    def check(self) -> None:
        """Raise InputError where the settings of hooks or notifications are wrong."""

    def ask_before(self, intent: Mapping[str, Any], plan: Mapping[str, Any]) -> None:
        """Call the hook before a deployment; raises RefusedError with its words where it refuses."""

    def tell(self, notice: Notice, plan: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """Call the hook after a deployment and send notifications; return a record for each that was tried."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """A command as it was typed: its name, its words without secrets, who typed it, and digests of what it reads.

    `model` is the model that it names, empty where it names none. A command that `goes_on` is a way to safety, such as
    a rollback: it waits for no audit log and for no hook. A command that is `called_again` soon by a timer is no news
    where another one is at work.
    """

    command: str
    words: tuple[str, ...]
    who: Mapping[str, str]
    actor: str
    digests: Mapping[str, str]
    goes_on: bool = False
    model: str = ""
    called_again: bool = False


@dataclass
class CommandTrail:
    """The trail of `spoken`; `reason` is why, in the person's words. `clock` returns seconds since the epoch."""

    spoken: Spoken
    log: AuditLog
    desk: TellingDesk
    say: Say
    clock: Callable[[], float]
    reason: str = ""
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    head: Head | None = None
    _begun: bool = False
    _refused_by_log: bool = False
    _started: float = 0.0
    _plan: Mapping[str, Any] = field(default_factory=dict)
    _hosts: dict[str, dict[str, str]] = field(default_factory=dict)
    _gates: list[dict[str, Any]] = field(default_factory=list)
    _witnesses: dict[str, HostPort] = field(default_factory=dict)
    _late: list[Mapping[str, Any]] = field(default_factory=list)

    def begin(self, plan: Mapping[str, Any] | None = None) -> None:
        """Record the intent, before anything changes; once more where the plan has changed since.

        Raises RefusedError where the log takes nothing or the hook before deployments refuses, and InputError where
        the settings of hooks and notifications are wrong. A command that goes on says so instead.
        """
        self._plan = plan or {}
        if not self.spoken.goes_on:
            self.desk.check()
        self._started = self._started or time.monotonic()
        self._write({"event": Event.BEGIN, **self._intent()}, or_refuse=not self.spoken.goes_on)
        self._begun = True
        if not self.spoken.goes_on:
            self.desk.ask_before(self._intent(), self._plan)

    def begin_once(self) -> None:
        """Record the intent where it is not recorded yet; see `begin`."""
        if not self._begun:
            self.begin()

    def finish(self, error: BaseException | None = None) -> None:
        """Record how the command ended, give the head to the hosts that took part, and tell people.

        A refusal before the intent is recorded as one line, and so is the end of a wait for another command. Nothing of
        this raises.
        """
        if not self._begun:
            busy = isinstance(error, BusyError) and not self.spoken.called_again
            if busy or (isinstance(error, RefusedError) and not self._refused_by_log):
                # A refused command changes nothing, so a log that takes nothing matters to the next command only.
                with suppress(ToolkitError):
                    self.log.append({"event": Event.REFUSED, **self._intent(), **_error(error)})
            return
        outcome = outcome_of(error)
        self._catch_up()
        self._write({"event": Event.END, "outcome": outcome, **self._outcome(), **_error(error)})
        self._anchor()
        for record in self._tell(self._notice(outcome, error)):
            self._write({"event": Event.TOLD, "id": self.id, **record})
        if self._late and not self.log.keep_late(self._late):
            self.say("warning: what this command did is in no audit log; write it down")

    def _tell(self, notice: Notice) -> Sequence[Mapping[str, Any]]:
        try:
            return self.desk.tell(notice, self._plan)
        except Exception as error:
            # The change is done, so a failure of a channel or a hook must not fail the command.
            self.say(f"warning: nobody was told: {type(error).__name__}: {error}")
            return [{"where": "all", "outcome": "failed", "why": type(error).__name__}]

    # what workflows report

    def witness(self, host: HostPort) -> None:
        if self.head:
            self._witnesses[host.name] = host

    def ended(self, host: str, outcome: str, reason: str = "") -> None:
        found = {"outcome": str(outcome)}
        if reason:
            found["reason"] = without_secrets(reason, _MOST_TEXT)
        self._hosts[host] = found

    def judged(self, host: str, result: GateResult) -> None:
        reason = without_secrets(result.reason, _MOST_TEXT)
        self._gates.append({"host": host, **result.as_json(), "reason": reason})

    # records

    def _intent(self) -> dict[str, Any]:
        spoken = self.spoken
        found: dict[str, Any] = {
            "id": self.id,
            "command": spoken.command,
            "words": list(spoken.words),
            "who": dict(spoken.who),
            "reason": without_secrets(self.reason, _MOST_TEXT),
            **spoken.digests,
        }
        if spoken.model:
            found["model"] = spoken.model
        if self._plan:
            found["plan"] = plan_digest(self._plan)
            found.update(summary_of(self._plan))
        return found

    def _outcome(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "command": self.spoken.command,
            "seconds": round(time.monotonic() - self._started, 3),
            "hosts": dict(self._hosts),
            "gates": list(self._gates),
        }

    def _notice(self, outcome: str, error: BaseException | None) -> Notice:
        summary = summary_of(self._plan)
        return Notice(
            id=self.id,
            at=self.clock(),
            command=self.spoken.command,
            outcome=outcome,
            model=str(summary.get("model", self.spoken.model)),
            releases=tuple(summary.get("releases", ())),
            actor=self.spoken.actor,
            machine=self.spoken.who.get("machine", ""),
            reason=without_secrets(self.reason),
            error=error.kind if isinstance(error, ToolkitError) else "",
            hosts={name: each["outcome"] for name, each in self._hosts.items()},
            gates=tuple((each["host"], each["gate"], each["verdict"]) for each in self._gates),
            seconds=round(time.monotonic() - self._started, 1) if self._started else 0.0,
        )

    def _write(self, record: Mapping[str, Any], *, or_refuse: bool = False) -> None:
        """Add a record to the log, or keep it for later; raises RefusedError with `or_refuse`."""
        try:
            if record["event"] == Event.BEGIN:
                self.log.catch_up()
            _, self.head = self.log.append(record)
        except ToolkitError as error:
            if or_refuse:
                self._refused_by_log = True
                raise RefusedError(
                    f"the audit log cannot be written, so nothing was changed: {error.message}",
                    hint=error.hint,
                ) from error
            if not self._late:
                self.say(f"warning: the audit log cannot be written: {error.message}")
                self.say("this command goes on; the next one that can write the log records it")
            self._late.append({**record, "late": error.message, "late_at": round(self.clock(), 3)})

    def _catch_up(self) -> None:
        """Add what the log did not take before: a prune may have made room for it."""
        with suppress(ToolkitError):
            while self._late:
                _, self.head = self.log.append(self._late[0])
                del self._late[0]

    def _anchor(self) -> None:
        """Give the present head to the hosts that took part, at once."""
        head, hosts = self.head, list(self._witnesses.values())
        if head is None or not hosts:
            return

        def give(host: HostPort) -> None:
            try:
                host.keep_head(head)
            except HostError:
                # The next deployment gives the host the head again. Until then `audit verify` names the missing heads.
                return

        if len(hosts) == 1:
            give(hosts[0])
            return
        threads = [threading.Thread(target=give, args=(each,), daemon=True) for each in hosts]
        count = width(ASKING)
        for start in range(0, len(threads), count):
            for each in threads[start : start + count]:
                each.start()
            for each in threads[start : start + count]:
                each.join()


def notice_of_verdict(id: str, now: float, record: Mapping[str, Any]) -> Notice:
    """Return the notice of a guard's verdict that no command waited for; `record` is a gate's, with its `model`.

    `now` is in seconds since the epoch.
    """
    host, verdict = str(record["host"]), str(record["verdict"])
    known = {Verdict.PASSED: "done", Verdict.FAILED: ReleaseFailedError.kind}
    return Notice(
        id=id,
        at=now,
        command="upgrade",
        outcome=known.get(Verdict(verdict), verdict),
        model=str(record["model"]),
        releases=(f"{record['model']} #{record['release']}",),
        machine=host,
        actor="the guard",
        hosts={host: verdict},
        gates=((host, str(record["gate"]), verdict),),
    )


def outcome_of(error: BaseException | None) -> str:
    """Return the outcome of a command in a word."""
    if error is None:
        return "done"
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return error.kind if isinstance(error, ToolkitError) else "failed"


def summary_of(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Return the model and the releases that the JSON form of a plan names, and the digest of each release."""
    found: dict[str, Any] = {}
    if isinstance(plan.get("model"), str):
        found["model"] = plan["model"]
    hosts = plan.get("hosts")
    plans = (
        [each for each in hosts.values() if isinstance(each, dict)]
        if isinstance(hosts, dict)
        else []
    )
    releases = [each["release"] for each in plans if isinstance(each.get("release"), dict)]
    digests = {
        f"{each['model']}@{each['version']} #{each['number']}": release_digest(each)
        for each in releases
    }
    if digests:
        found["releases"] = list(digests)
        found["release_digests"] = digests
    return found


def _error(error: BaseException | None) -> dict[str, Any]:
    if error is None:
        return {}
    if not isinstance(error, ToolkitError):
        return {"error": {"kind": outcome_of(error), "message": type(error).__name__}}
    message = without_secrets(error.message, _MOST_TEXT)
    return {"error": {"kind": error.kind, "message": message, "exit_code": error.exit_code}}
