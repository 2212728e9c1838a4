"""Bring snapshots and engines from the ops machine to a host."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from toolkit.adapters.distribution.port import Progress, Tree
from toolkit.domain.deployment.plan import Plan, StepKind
from toolkit.domain.hosts.facts import HostFacts
from toolkit.domain.hosts.fleet import Host
from toolkit.domain.quantity import format_size
from toolkit.errors import HostError, IntegrityError, InterruptionError, ToolkitError
from toolkit.workflows.tools import Say, Tools

# A host says one of these where a tree finds no place.
_NO_ROOM = ("no room in ", os.strerror(errno.ENOSPC))


def send(tools: Tools, tree: Tree) -> None:
    """Put `tree` in place on the host; raises HostError with the reason where it did not arrive."""
    host = tools.host.host
    if host.connection == "local":
        names = [file.path for file in tree.files]
        tools.host.place(tree.source, tree.name, names, lambda _: None)
        return
    words = tools.distribution().spread(tree, [host], progress(tools.say, tools.clock))[host.name]
    if words:
        full = any(each in words for each in _NO_ROOM)
        raise HostError(
            f"{host.name}: {tree.kind} {tree.name[:12]}: {words}",
            hint="toolkit prune, or make room there: df -h, df -i" if full else "toolkit hosts",
        )


def engine_on_host(tools: Tools, engine: str, *, there: bool) -> Mapping[str, Any]:
    """Return the variables of the role `engine`, with the packages where the host can read them.

    For an engine that is `there` already the role installs system libraries alone, and needs no packages.
    """
    host = tools.host.host
    variables = tools.supplies().engine_variables(engine, tools.say)
    if not travels(host) or there:
        return variables
    files = tools.supplies().engine_packages(engine)
    send(tools, Tree("wheelhouse", engine, variables["engine_wheelhouse"], files))
    return {**variables, "engine_wheelhouse": f"{host.root}/wheelhouse/{engine}"}


def bring_engine(
    tools: Tools, engine: str, *, there: bool, play: Callable[[Mapping[str, Any]], object]
) -> None:
    """Install an engine, and keep the digests of one that was not `there`.

    `play` runs the playbook `engine` with the variables that it is given. Raises HostError where the host fails.
    """
    with installing(tools, engine):
        play(engine_on_host(tools, engine, there=there))
    if not there:
        tools.host.seal_engine(engine, lambda _: None)


@contextmanager
def installing(tools: Tools, engine: str) -> Iterator[None]:
    """Install an engine on the host in the block. Where that fails, its packages on this machine may be damaged.

    They are only hashed then. Raises IntegrityError where they are; the next command fetches them anew.
    """
    try:
        yield
    except InterruptionError:
        raise
    except ToolkitError as error:
        if not tools.supplies().recheck_engine(engine):
            raise
        raise IntegrityError(
            f"packages of {engine} on this machine are damaged, and were removed: {error.message}",
            hint="the same command again fetches them; without a network, load their bundle again first",
        ) from error


def travels(host: Host) -> bool:
    """Whether files for the host cross a network."""
    return host.connection != "local"


def coming(host: Host, plan: Plan, facts: HostFacts) -> list[tuple[str, str]]:
    """Return kind and name of the trees that a plan needs sent to its host."""
    kinds = {step.kind for step in plan.steps}
    release, found = plan.release, []
    if release is None or not travels(host):
        return []
    if StepKind.INSTALL_ENGINE in kinds and release.engine not in facts.engines:
        found.append(("wheelhouse", release.engine))
    if StepKind.DISTRIBUTE in kinds:
        lacking = [part for part in release.parts if part.snapshot not in facts.snapshots]
        found += [("snapshots", part.snapshot) for part in lacking]
    return found


def progress(say: Say, clock: Callable[[], float]) -> Callable[[Progress], None]:
    """Return the reporter of a transfer: one line of progress for each host, every two seconds at most."""
    said: dict[str, float] = {}

    def report(event: Progress) -> None:
        if event.words:
            say(f"  {event.host}: {event.words}")
        elif clock() - said.setdefault(event.host, clock()) >= 2:
            said[event.host] = clock()
            say(f"  {event.host}: {format_size(event.done)} of {format_size(event.total)}")

    return report
