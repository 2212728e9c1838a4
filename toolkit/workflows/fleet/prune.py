"""Remove snapshots and engines that nothing uses, and what was cut short, from the hosts and from the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from toolkit.adapters.history.history import History
from toolkit.adapters.store.store import PullRemains, Store
from toolkit.domain.deployment.release import Outcome, Release
from toolkit.domain.excerpt import escaped
from toolkit.domain.files.snapshot import Snapshot
from toolkit.planning.upkeep.prune import Prune, held_by, plan_prune, require_known
from toolkit.workflows.fleet.look import each_at_once, lock_all, look
from toolkit.workflows.tools import Tools, require_yes

# A disk with less, in bytes or in files, is nearly full.
NEARLY_FULL = 2 * 2**30
FEW_FILES = 1000


@dataclass(frozen=True, slots=True)
class Unused:
    """Unused files: snapshots, engines and leftovers by the name of their host, and snapshots in the store.

    `leftovers` are what pulls left in the store, see `Store.leftovers`.
    """

    hosts: Mapping[str, Prune]
    stored: tuple[Snapshot, ...]
    leftovers: tuple[PullRemains, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to remove."""
        return not any((*self.stored, *self.leftovers)) and all(
            each.empty for each in self.hosts.values()
        )


def prune(
    members: Sequence[Tools],
    store: Store,
    locked: Callable[[], Iterable[Snapshot]],
    keep: int,
    confirm: Callable[[Unused], bool],
) -> tuple[Unused, int]:
    """Remove everything that neither the hosts' slots nor each model's last `keep` live releases use.

    A snapshot of the store stays as well if the registry's lock has it (`locked` reads its snapshots). So does
    what came into use while `confirm` asked: what is removed was shown, and is unused under the locks.
    Where the history cannot be opened or read in full, nothing is removed from the hosts, and the store keeps every
    snapshot that any known release uses; without any known release it keeps all.
    Returns what was removed and the bytes freed on the hosts. Raises RefusedError, BusyError, and HostError where a
    host does not answer, because what it uses is unknown.
    """
    unused = find_unused(members, store, locked, keep)
    if unused.empty:
        return unused, 0
    require_yes(unused, confirm, "nothing was removed")
    freed = 0
    with lock_all([each.host for each in members], members[0].owner, members[0].patience):
        unused = _both(unused, find_unused(members, store, locked, keep))
        for tools in members:
            found = unused.hosts.get(tools.host.name) or Prune((), (), ())
            for digest in found.snapshots:
                freed += tools.host.remove("snapshots", digest)
            for engine in found.engines:
                freed += tools.host.remove("engines", engine)
            freed += _clear(tools, [each.path for each in found.leftovers])
        for snapshot in unused.stored:
            store.remove(snapshot)
        store.clear(unused.leftovers)
    return unused, freed


def find_unused(
    members: Sequence[Tools], store: Store, locked: Callable[[], Iterable[Snapshot]], keep: int
) -> Unused:
    """Return everything that nothing uses; nothing is removed."""
    history = members[0].history
    if history.fault:
        # Nobody knows which releases are recent: keep the files of all that can be read.
        recent = [each for model in history.models() for each, _ in history.releases(model)]
    else:
        recent = [each for model in history.models() for each in _recent(history, model, keep)]
        recent += _still_needed(history, recent)
    seen = look([each.host for each in members])
    if seen.errors:
        more = "nothing was removed: the files that such a host uses are not known"
        raise seen.failure(hint="toolkit status", more=more)
    require_known(seen.facts.values())
    used = {digest for release in recent for digest in release.snapshots}
    for facts in seen.facts.values():
        used |= {digest for release, _ in held_by(facts) for digest in release.snapshots}
    listed = [each.snapshot for each in store.list()]
    # A version that is pinned first and pulled then must not be seen without its pin.
    pinned = tuple(locked())
    used |= {each.digest for each in pinned}
    stored = tuple(each for each in listed if each.digest not in used)
    files = {file.sha256 for each in pinned for file in each.files}
    leftovers = store.leftovers(files, full=_nearly_full(store))
    if history.fault:
        return Unused({}, stored if recent else (), leftovers)
    left = each_at_once(members, lambda tools: tools.host.leftovers())
    of_host = {tools.host.name: each for tools, each in zip(members, left, strict=True)}
    hosts = {name: plan_prune(facts, recent, of_host[name]) for name, facts in seen.facts.items()}
    return Unused(hosts, stored, leftovers)


def _clear(tools: Tools, paths: Sequence[str]) -> int:
    """Remove leftovers of a host; return the bytes freed."""
    if not paths:
        return 0
    removed = tools.host.remove_leftovers(paths)
    for path, why in removed.kept.items():
        tools.say(f"{tools.host.name}: {escaped(path)} stays: {why}")
    return removed.freed


def _both(shown: Unused, now: Unused) -> Unused:
    """Return the parts that are unused `now` and were `shown` as such."""
    nothing = Prune((), (), ())
    return Unused(
        {name: each.among(shown.hosts.get(name, nothing)) for name, each in now.hosts.items()},
        tuple(each for each in now.stored if each in shown.stored),
        tuple(each for each in now.leftovers if each in shown.leftovers),
    )


def _nearly_full(store: Store) -> bool:
    files = store.free_files()
    return store.free_space() < NEARLY_FULL or (files is not None and files < FEW_FILES)


def _recent(history: History, model: str, keep: int) -> list[Release]:
    """Return the `keep` releases of the model that went live last, however many deployments there are of each."""
    told = history.deployments(model, steps=False)
    numbers = dict.fromkeys(each.release for each in told if each.outcome is Outcome.LIVE)
    found = (history.release(model, number) for number in list(numbers)[:keep])
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
