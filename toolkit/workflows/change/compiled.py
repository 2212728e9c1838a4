"""Carry compiled trees: from the first host of a kind to this ops machine, and on to hosts that would compile anew.

A failure here costs a compilation and nothing else, so it is said and ends nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from toolkit.errors import HostError, IntegrityError, SourceError
from toolkit.workflows.tools import Tools

# A rollback starts no replica and must begin at once, so a change loads the modules for sending when it starts one.
if TYPE_CHECKING:
    from toolkit.adapters.hosts.port import FoundCompiled
    from toolkit.adapters.store.compiled import StoredTree
    from toolkit.domain.deployment.release import Release


def carry_compiled(members: Sequence[tuple[Tools, Release]]) -> None:
    """Send each host the tree that its replica of the release can use, where it has none and this machine has one."""
    wanted: dict[str, tuple[StoredTree, list[Tools]]] = {}
    for tools, release in members:
        if tools.compiled is None:
            continue
        with _Saying(tools):
            found = _find(tools, release)
            stored = None if not found or found.name else tools.compiled.find(found.kind)
            if stored:
                wanted.setdefault(stored.tree.name, (stored, []))[1].append(tools)
    for stored, lacking in wanted.values():
        _send(stored, lacking)


def collect_compiled(members: Iterable[tuple[Tools, Release]]) -> None:
    """Take in from the hosts what this machine has not, each kind once."""
    for tools, release in members:
        if tools.compiled is None:
            continue
        with _Saying(tools):
            found = _find(tools, release)
            if found and found.name and tools.compiled.find(found.kind) is None:
                from toolkit.domain.engines.compiled import CompiledTree

                files, data = tools.host.hand_out_compiled(found.name)
                tools.compiled.take_in(CompiledTree(found.name, files), release.engine, data)


def _send(stored: StoredTree, lacking: Sequence[Tools]) -> None:
    from toolkit.adapters.distribution.port import Tree
    from toolkit.workflows.change.send import progress, travels

    tree = Tree("compiled", stored.tree.name, str(stored.directory), stored.tree.files)
    by_name = {tools.host.name: tools for tools in lacking}
    first = lacking[0]
    here = [tools for tools in lacking if not travels(tools.host.host)]
    away = [tools.host.host for tools in lacking if travels(tools.host.host)]
    for tools in here:
        with _Saying(tools):
            tools.host.place_compiled(tree.source, tree.name, [file.path for file in tree.files])
    failed: Mapping[str, str] = {}
    if away:
        with _Saying(first):
            failed = first.distribution().spread(tree, away, progress(first.say, first.clock))
    for name, words in failed.items():
        if words:
            by_name[name].say(f"  what was compiled before did not arrive: {words}")


def _find(tools: Tools, release: Release) -> FoundCompiled | None:
    """Return the host's compiled graphs for its part of the release; None where it has no part at its address."""
    span = release.span
    rank = span.rank_of(tools.host.host.relay_address) if span else 0
    if rank is None:
        return None
    from toolkit.planning.change.process import compiles

    question = compiles(release, rank, len(span.hosts) if span else 0)
    return tools.host.find_compiled(question, release.snapshot)


class _Saying:
    """Says a failure in its block, and goes on."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, (HostError, IntegrityError, SourceError, OSError)):
            return False
        # The disk of this machine may be full.
        words = error if isinstance(error, OSError) else error.message
        self._tools.say(f"  what was compiled is not carried: {words}")
        return True
