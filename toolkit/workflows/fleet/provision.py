"""Make hosts ready to serve: observe all, decide for each, confirm once, converge several at a time.

Hosts are independent: a failure on one host changes nothing for the others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from toolkit.adapters.ansible.converge import Converge
from toolkit.adapters.capacity import width
from toolkit.adapters.hosts.port import HostPort
from toolkit.adapters.interruption import Interruption
from toolkit.adapters.patience import NO_PATIENCE, Patience
from toolkit.domain.accelerator import driver_package
from toolkit.domain.clients.keys import KeyRing
from toolkit.domain.deployment.change import Change
from toolkit.domain.hosts.facts import FleetFacts, HostFacts
from toolkit.domain.hosts.in_flight import CONVERGING
from toolkit.domain.replicas.probe import LockOwner
from toolkit.errors import HostError, RefusedError, ToolkitError
from toolkit.planning.change.fence import fence_remarks, require_fenced_to_open
from toolkit.planning.change.preflight import preflight, reason_to_provision, remarks
from toolkit.planning.change.settings import settings_changes
from toolkit.workflows.fleet.at_once import at_once
from toolkit.workflows.fleet.keys import sync_keys
from toolkit.workflows.fleet.look import lock_all, look, unreachable_that_served
from toolkit.workflows.tools import require_yes

_SAY_EVERY = 2.0

Say = Callable[[str], None]


class Result(StrEnum):
    """The outcome for a host, in a word."""

    UNCHANGED = "nothing to do"
    CONVERGED = "converged"
    WOULD_CHANGE = "would change"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ProvisionTarget:
    """A host to provision, its settings by the fleet file, and the digest that its `converged` file must have."""

    host: HostPort
    digest: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The host's name."""
        return self.host.name


@dataclass(frozen=True, slots=True)
class Intent:
    """The intent for a host. `reason` is empty where nothing is to do; `fault` says why it cannot be done.

    `changes` say what differs from the settings that it was provisioned with, `differing` which files are not as they
    were written: a person must look at them first.
    """

    target: ProvisionTarget
    reason: str = ""
    init: str = ""
    fault: ToolkitError | None = None
    remarks: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    differing: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return what `--dry-run --json` prints."""
        return {
            "reason": self.reason,
            "error": self.fault.as_json() if self.fault else None,
            "remarks": list(self.remarks),
            "changes": [each.as_json() for each in self.changes],
        }


@dataclass(frozen=True, slots=True)
class Provisioned:
    """The outcome for a host: the tasks that changed it, and the seconds that they took.

    `differing` says which files of a host that was left alone are not as they were written.
    """

    name: str
    result: Result
    reason: str = ""
    changed: tuple[str, ...] = ()
    seconds: float = 0.0
    fault: ToolkitError | None = None
    differing: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "result": str(self.result),
            "reason": self.reason,
            "changed": list(self.changed),
            "seconds": round(self.seconds, 3),
            "error": self.fault.as_json() if self.fault else None,
        }


@dataclass(frozen=True, slots=True)
class Provisioning:
    """The way hosts are converged. `check` changes nothing; `force` converges hosts without need as well.

    `clock` returns seconds since the epoch. A new host gets the keys of all hosts of `fleet` before it may serve, and
    waits for those that have had a deployment by the history, `deployed`, where no other can tell of keys. An
    interruption of several hosts begins `interruption`, which must end the playbooks of `converge`.
    """

    converge: Converge
    owner: LockOwner
    clock: Callable[[], float]
    say: Say
    fleet: Sequence[HostPort] = ()
    check: bool = False
    force: bool = False
    interruption: Interruption = field(default_factory=Interruption)
    patience: Patience = NO_PATIENCE
    deployed: Callable[[], Collection[str]] = frozenset


Confirm = Callable[[Sequence[Intent]], bool]


def provision(
    targets: Sequence[ProvisionTarget], how: Provisioning, confirm: Confirm
) -> tuple[Provisioned, ...]:
    """Converge each target that needs it; return the outcomes in the order of the targets.

    `confirm` gets the intents if any host needs work; raises RefusedError where it returns false. The failure of a
    host does not raise: it is the `fault` of its outcome.
    """
    seen = look([each.host for each in targets])
    intents = [_intend(each, how, seen) for each in targets]
    wanted = [each for each in intents if each.reason and not each.fault]
    if wanted:
        how.converge.prepare()
    if wanted:
        require_yes(intents, confirm)
    if wanted and len(how.fleet) > 1 and not how.check:
        keyless = _bring_keys(wanted, how, seen)
        intents = [
            replace(each, fault=keyless.get(each.target.name, each.fault)) for each in intents
        ]
        wanted = [each for each in wanted if each.target.name not in keyless]
    outcomes = at_once(
        width(CONVERGING), wanted, lambda each: _Run(how, each).outcome(), how.interruption.begin
    )
    done = {each.name: each for each in outcomes}
    return tuple(done.get(each.target.name) or _not_touched(each) for each in intents)


def _bring_keys(
    wanted: Sequence[Intent], how: Provisioning, seen: FleetFacts
) -> dict[str, ToolkitError]:
    """Give the fleet's keys to all its hosts; return why targets would let everybody in, by name.

    A target whose router asks for keys already may be converged, which can be what its router needs to take more.
    """
    unlocked = [
        each.target.name for each in wanted if not seen.facts[each.target.name].router.locked
    ]
    try:
        keys = sync_keys(how.fleet)
    except ToolkitError as error:
        # No host told its keys, or none took them.
        return {name: error.hosts.get(name, error) for name in unlocked}
    names = {each.target.name for each in wanted}
    bare = [
        each.target.name
        for each in wanted
        if not seen.facts[each.target.name].converged
        and not each.target.host.host.router_require_keys
    ]
    if not bare or not keys.errors or keys.ring != KeyRing():
        return keys.faults_of(unlocked)
    others = [each for each in how.fleet if each.name not in {*names, *keys.errors}]
    known = {**seen.facts, **(look(others).facts if others else {})}
    away = [name for name in keys.errors if name not in names]
    unreachable = unreachable_that_served(known.values(), away, how.deployed)
    return {**keys.unheard(bare, unreachable), **keys.faults_of(unlocked)}


def _intend(target: ProvisionTarget, how: Provisioning, seen: FleetFacts) -> Intent:
    if target.name in seen.errors:
        return Intent(target, fault=seen.errors[target.name])
    facts = seen.facts[target.name]
    faults = preflight(facts, how.clock(), driver_package(target.host.host.settings))
    if faults:
        words = "; ".join(each.words for each in faults)
        return Intent(target, fault=HostError(f"{target.name}: {words}", hint=faults[0].hint))
    reason, fault = _reason(facts, target, how), None
    if reason:
        try:
            require_fenced_to_open(target.host.host, facts)
        except RefusedError as error:
            fault = error
    return Intent(
        target,
        reason,
        facts.init,
        fault,
        remarks=(*remarks(facts), *fence_remarks(facts)),
        changes=settings_changes(facts, target.settings) if reason and target.settings else (),
        differing=facts.changed_files,
    )


def _reason(facts: HostFacts, target: ProvisionTarget, how: Provisioning) -> str:
    found = reason_to_provision(facts, target.digest)
    return found or ("asked for with --force" if how.force else "")


def _not_touched(intent: Intent) -> Provisioned:
    result = Result.FAILED if intent.fault else Result.UNCHANGED
    return Provisioned(
        intent.target.name, result, intent.reason, fault=intent.fault, differing=intent.differing
    )


class _Run:
    """Converges one host."""

    def __init__(self, how: Provisioning, intent: Intent) -> None:
        self._how, self._intent = how, intent
        self._said = 0.0

    def outcome(self) -> Provisioned:
        started = time.monotonic()
        name, reason = self._intent.target.name, self._intent.reason
        try:
            changed = self._converge()
        except ToolkitError as error:
            seconds = time.monotonic() - started
            return Provisioned(name, Result.FAILED, reason, (), seconds, error)
        seconds = time.monotonic() - started
        if changed is None:
            return Provisioned(name, Result.UNCHANGED, "another command converged it", (), seconds)
        result = Result.CONVERGED if not self._how.check else Result.WOULD_CHANGE
        return Provisioned(name, result if changed else Result.UNCHANGED, reason, changed, seconds)

    def _converge(self) -> tuple[str, ...] | None:
        target = self._intent.target
        if self._how.check:
            return self._play()
        with lock_all([target.host], self._how.owner, self._how.patience):
            # Observe again: the command that held the lock until now may have converged the host.
            if not _reason(target.host.observe(), target, self._how):
                return None
            return self._play()

    def _play(self) -> tuple[str, ...]:
        target = self._intent.target
        variables: Mapping[str, Any] = {
            "toolkit_init": self._intent.init,
            "provision_digest": target.digest,
        }
        host = target.host.host
        require = target.host.require_lock
        return self._how.converge.run("provision", host, variables, self._tell, require)

    def _tell(self, task: str) -> None:
        now = time.monotonic()
        if now - self._said >= _SAY_EVERY:
            self._said = now
            self._how.say(f"{self._intent.target.name}: {task}")
