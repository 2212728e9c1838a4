"""Install an engine on the hosts of a fleet, so that a deployment need not wait for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from toolkit.domain.engines.engine import EngineLock
from toolkit.domain.hosts.facts import HostFacts
from toolkit.domain.registry.release_parts import EngineSpec
from toolkit.errors import InterruptionError, NothingSuitableError, ToolkitError
from toolkit.planning.release.engine_choice import choose_lock, find_locks
from toolkit.workflows.change.send import bring_engine
from toolkit.workflows.fleet.look import each_at_once, lock_all
from toolkit.workflows.tools import Tools, require_yes


@dataclass(frozen=True, slots=True)
class HostInstall:
    """The change that an engine's installation makes on a host, and why; `error` says why it failed.

    `engine` is the lock's id, empty where none is known for the host.
    """

    engine: str = ""
    reasons: tuple[str, ...] = ()
    error: ToolkitError | None = None

    @property
    def pending(self) -> bool:
        """Whether there is something to do that can be done."""
        return bool(self.reasons) and self.error is None


@dataclass(frozen=True, slots=True)
class Installation:
    """An engine, as it was asked for, and what it takes on each host, by name."""

    engine: str
    hosts: Mapping[str, HostInstall] = field(default_factory=dict)

    @property
    def failures(self) -> dict[str, ToolkitError]:
        """The error of each host that does not have the engine."""
        return {name: each.error for name, each in self.hosts.items() if each.error is not None}

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints, before the installation and after it."""
        ids = {each.engine for each in self.hosts.values()} - {""}
        return {
            "engine": ids.pop() if len(ids) == 1 else self.engine,
            "hosts": {
                name: {
                    "engine": each.engine,
                    "changed": each.pending,
                    "reasons": list(each.reasons),
                    "error": each.error.as_json() if each.error else None,
                }
                for name, each in self.hosts.items()
            },
        }


def install_engine(
    members: Sequence[Tools],
    locks: Sequence[EngineLock],
    wanted: str,
    confirm: Callable[[Installation], bool],
) -> Installation:
    """Bring the engine that `wanted` names, an id or a version, to all hosts, one after the other.

    Wheels come to the ops machine first; with nothing to do it is fast. `confirm` is asked once for all hosts. A host
    that fails does not keep the others from getting the engine; its error is in the result. Raises InputError for an
    unknown engine and RefusedError where `confirm` says no.
    """
    found = find_locks(locks, wanted)
    seen = each_at_once(members, lambda tools: _plan(found, wanted, tools))
    plans = {tools.host.name: each for tools, each in zip(members, seen, strict=True)}
    plan = Installation(wanted, plans)
    pending = [tools for tools in members if plans[tools.host.name].pending]
    if pending:
        require_yes(plan, confirm)
    done = {tools.host.name: _install(tools, plans[tools.host.name]) for tools in pending}
    return replace(plan, hosts={**plans, **done})


def plan_install(lock: EngineLock, facts: HostFacts) -> HostInstall:
    """Return the work to do; raises NothingSuitableError where the lock is for another Python."""
    if lock.python != facts.python:
        raise NothingSuitableError(
            f"{lock.id} is for Python {lock.python}; {facts.name} has {facts.python}",
            hint=f"toolkit engine lock {lock.version} --accelerator {lock.accelerator} "
            f"--python {facts.python}",
        )
    reasons = []
    if lock.id not in facts.engines:
        reasons.append(f"{lock.packages} packages of {lock.id} are not on the host")
    if lock.accelerator is facts.accelerator and facts.missing_libraries:
        reasons.append(f"the host lacks {', '.join(facts.missing_libraries)}")
    return HostInstall(lock.id, tuple(reasons))


def _plan(found: Sequence[EngineLock], wanted: str, tools: Tools) -> HostInstall:
    try:
        facts = tools.host.observe()
        return plan_install(_lock_for(facts, found, wanted), facts)
    except InterruptionError:
        raise
    except ToolkitError as error:
        return HostInstall(error=error)


def _lock_for(facts: HostFacts, found: Sequence[EngineLock], wanted: str) -> EngineLock:
    """Return the lock that `wanted` means on a host: by its id, or by its version for what the host is."""
    if found[0].id == wanted:
        return found[0]
    spec = EngineSpec(found[0].name, found[0].version)
    return choose_lock(found, spec, facts.accelerator, facts.python)


def _install(tools: Tools, plan: HostInstall) -> HostInstall:
    try:
        with lock_all([tools.host], tools.owner, tools.patience):
            # Another command may have removed it while this one asked.
            there = plan.engine in tools.host.observe().engines
            bring_engine(
                tools,
                plan.engine,
                there=there,
                play=lambda variables: tools.converge.run(
                    "engine", tools.host.host, variables, tools.say, tools.host.require_lock
                ),
            )
    except InterruptionError:
        raise
    except ToolkitError as error:
        return replace(plan, error=error)
    return plan
