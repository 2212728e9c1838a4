"""Bring changed engines of a host back: the same packages, installed beside each and put in its place."""

from __future__ import annotations

from collections.abc import Collection

from toolkit.domain.hosts.facts import HostFacts, ProcessState
from toolkit.errors import InterruptionError, ToolkitError
from toolkit.planning.change.drift import missing_engines
from toolkit.workflows.change.send import engine_on_host, installing
from toolkit.workflows.fleet.look import lock_all
from toolkit.workflows.tools import Tools


def repair_engines(tools: Tools, changed: Collection[str]) -> tuple[list[str], list[str]]:
    """Install the `changed` engines of a host anew, and those that its slots need and that are not there.

    The present engine stays until the new one is complete. A replica that runs goes on with what it has loaded. Returns
    what was done and what could not be, a line each. Raises BusyError where another command holds the host.
    """
    name = tools.host.name
    done: list[str] = []
    failed: list[str] = []
    with lock_all([tools.host], tools.owner, tools.patience):
        facts = tools.host.observe()
        for engine in dict.fromkeys([*changed, *missing_engines(facts)]):
            if engine in facts.engines and not _faults(tools, engine):
                # The command that held the host until now has brought it.
                continue
            try:
                _install(tools, engine)
            except InterruptionError:
                raise
            except ToolkitError as error:
                hint = f"; {error.hint}" if error.hint else ""
                failed.append(f"{name} engine {engine}: not brought back: {error.message}{hint}")
                continue
            done.append(f"installed engine {engine} on {name} anew")
            done += _loaded(facts, engine)
            failed += [f"{name} engine {engine}: {fault}" for fault in _faults(tools, engine)]
    return done, failed


def _install(tools: Tools, engine: str) -> None:
    with installing(tools, engine):
        variables = engine_on_host(tools, engine, there=False)
        tools.say(f"installing engine {engine} on {tools.host.name} beside the present one")
        tools.converge.run(
            "engine",
            tools.host.host,
            {**variables, "engine_beside": True},
            lambda _: None,
            tools.host.require_lock,
        )
    tools.host.swap_engine(engine, lambda _: None)


def _faults(tools: Tools, engine: str) -> tuple[str, ...]:
    return tools.host.check_engine(engine, lambda _: None).faults


def _loaded(facts: HostFacts, engine: str) -> list[str]:
    return [
        f"{slot.model} {slot.slot} on {facts.name} runs on with what it has loaded; its next start takes the new files"
        for slot in facts.slots
        if slot.release
        and slot.release.engine == engine
        and slot.process is ProcessState.RUNNING
        and not slot.rests
    ]
