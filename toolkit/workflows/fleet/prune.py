"""Remove snapshots and engines that nothing uses from the hosts and from the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from toolkit.adapters.history.history import History
from toolkit.adapters.store.store import Store
from toolkit.domain.release import Outcome, Release
from toolkit.domain.snapshot import Snapshot
from toolkit.errors import RefusedError
from toolkit.planning.upkeep.prune import Prune, plan_prune
from toolkit.workflows.fleet.look import lock_all, look
from toolkit.workflows.tools import Tools


@dataclass(frozen=True, slots=True)
class Unused:
    """Unused files: snapshots and engines by the name of their host, and snapshots in the store."""

    hosts: Mapping[str, Prune]
    stored: tuple[Snapshot, ...]

    @property
    def empty(self) -> bool:
        """Whether there is nothing to remove."""
        return all(each.empty for each in self.hosts.values()) and not self.stored


def prune(
    members: Sequence[Tools],
    store: Store,
    locked: frozenset[str],
    keep: int,
    confirm: Callable[[Unused], bool],
) -> tuple[Unused, int]:
    """Remove everything that neither the hosts' slots nor each model's last `keep` live releases use.

    A snapshot of the store stays as well if the registry's lock has its digest (`locked`).
    Returns what was removed and the bytes freed on the hosts. Raises RefusedError, BusyError, and HostError where a
    host does not answer, because what it uses is unknown.
    """
    unused = find_unused(members, store, locked, keep)
    if unused.empty:
        return unused, 0
    if not confirm(unused):
        raise RefusedError("not confirmed; nothing was removed", hint="add --yes to go ahead")
    freed = 0
    with lock_all([each.host for each in members], members[0].owner):
        unused = find_unused(members, store, locked, keep)
        for tools in members:
            found = unused.hosts[tools.host.name]
            for digest in found.snapshots:
                freed += tools.host.remove("snapshots", digest)
            for engine in found.engines:
                freed += tools.host.remove("engines", engine)
        for snapshot in unused.stored:
            store.remove(snapshot)
    return unused, freed


def find_unused(
    members: Sequence[Tools], store: Store, locked: frozenset[str], keep: int
) -> Unused:
    """Return everything that nothing uses; nothing is removed."""
    history = members[0].history
    recent = [each for model in history.models() for each in _recent(history, model, keep)]
    recent += _still_needed(history, recent)
    seen = look([each.host for each in members])
    if seen.errors:
        more = "nothing was removed: the files that such a host uses are not known"
        raise seen.failure(hint="toolkit status", more=more)
    used = {release.snapshot for release in recent}
    for facts in seen.facts.values():
        used |= {slot.release.snapshot for slot in facts.slots if slot.release}
    stored = tuple(
        each.snapshot
        for each in store.list()
        if each.snapshot.digest not in locked and each.snapshot.digest not in used
    )
    hosts = {name: plan_prune(facts, recent) for name, facts in seen.facts.items()}
    return Unused(hosts, stored)


def _recent(history: History, model: str, keep: int) -> list[Release]:
    numbers: list[int] = []
    for deployment in history.deployments(model):
        if deployment.outcome is Outcome.LIVE and deployment.release not in numbers:
            numbers.append(deployment.release)
    found = (history.release(model, number) for number in numbers[:keep])
    return [release for release in found if release is not None]


def _still_needed(history: History, known: list[Release]) -> list[Release]:
    """Return the releases of interrupted deployments: the next command restores or completes one of them."""
    found = [
        history.release(opened.model, number)
        for opened in history.unfinished()
        for number in (opened.release, opened.previous)
        if number
    ]
    return [each for each in found if each is not None and each not in known]
