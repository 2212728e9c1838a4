"""From a host's facts to the release that a command wants there."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from toolkit.domain.gates.kind import Kind
from toolkit.errors import InputError
from toolkit.planning.change.deploy import Wanted
from toolkit.planning.change.rollback import Past, former_releases
from toolkit.planning.change.rollout import Limits

if TYPE_CHECKING:
    from toolkit.adapters.history.history import History
    from toolkit.adapters.store.store import Store
    from toolkit.domain.engines.engine import EngineLock
    from toolkit.domain.files.snapshot import Snapshot
    from toolkit.domain.hosts.facts import HostFacts
    from toolkit.domain.registry.model import Policy, Version
    from toolkit.workflows.tools import Timing


# Host facts -> what the command wants on that host.
Want = Callable[["HostFacts"], Wanted]
# The observed fleet (facts by host's name, names of unreachable hosts) -> what a command wants on each host.
Aim = Callable[[Mapping[str, "HostFacts"], Collection[str]], Want]


@dataclass(frozen=True, slots=True)
class Order:
    """A change of release: the release, the hosts and the manner. `choose_hosts` explains `named` and `replicas`.

    `want` derives the release for a host from its facts; `aim`, where given, makes it from the facts of all hosts, once
    for the command. `deploy` may bring the model to further hosts; `upgrade` and `rollback` are for the hosts that have
    it. With `standby` the former replica stays ready for a rollback. An `unattended` order has no person who would see
    its plan. `rollout` names its deployments in the history and on hosts, and none of another order.
    """

    action: str
    model: str
    want: Want
    version: Version | None
    timing: Timing
    limits: Limits = field(default_factory=Limits)
    standby: bool = True
    named: tuple[str, ...] = ()
    replicas: int | None = None
    aim: Aim | None = None
    unattended: bool = False
    rollout: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def ends_bake(self) -> str:
        """The model whose release goes back while its guard still watches; empty where the order waits for that."""
        return self.model if self.action == "rollback" else ""


@dataclass(frozen=True, slots=True)
class PinSources:
    """The pins, the store and the policy of the ops machine.

    `known` has the pinned files of a source and a revision, those of former versions too.
    """

    policy: Policy
    snapshot_of: Callable[[Version], Snapshot]
    locks: Sequence[EngineLock]
    store: Store
    known: Mapping[tuple[str, str], Snapshot] = field(default_factory=dict)


def want_version(version: Version, pinned: PinSources, *, action: str) -> Want:
    """Return the `Want` of `deploy` and `upgrade`. The release has no number yet, see `numbered`.

    The result raises, before anything is downloaded: NothingSuitableError where no device can hold the version,
    RefusedError where policy denies licence or files, InputError where its files or engine are not locked.
    """
    # Here and not above: a rollback shares this module, needs none of these and must start at once.
    from toolkit.planning.release.build import build_release, built_adapter
    from toolkit.planning.release.engine_choice import choose_accelerator, choose_lock
    from toolkit.workflows.change.small_files import changed_files
    from toolkit.workflows.files.pull import require_licence, require_permission
    from toolkit.workflows.guard.files import check_files, require_askable

    prompts = [each for part in version.parts for each in check_files(part.guard)]

    def want(facts: HostFacts) -> Wanted:
        accelerator = choose_accelerator(version, facts)
        lock = choose_lock(pinned.locks, version.engine, accelerator, facts.python)
        snapshots = []
        for part in version.parts:
            require_licence(part, pinned.policy)
            snapshots.append(pinned.snapshot_of(part))
            require_permission(part, snapshots[-1])
        snapshot = snapshots[0]
        release = build_release(version, snapshot, lock, facts, number=0)
        # An adapter is as its base.
        require_askable(prompts, release.does)
        kind = release.does.kind if release.does else Kind.CHAT
        adapters = (
            built_adapter(each, files, kind)
            for each, files in zip(version.adapters, snapshots[1:], strict=True)
        )
        release = replace(release, adapters=tuple(adapters))
        absent = [each for each in snapshots if each.digest not in facts.snapshots]
        absent = absent or [snapshot]
        stored = all(map(pinned.store.has, absent))
        missing = [
            file.size for each in absent for file in each.files if not pinned.store.has_blob(file)
        ]
        return Wanted(
            action=action,
            release=release,
            snapshot_size=sum(each.size for each in absent),
            missing_bytes=0 if stored else max(1, sum(missing)),
            notes=_permitted(version),
            file_changes=changed_files(release, snapshot, facts, pinned.store, pinned.known),
            guard=version.guard,
            adapter_guards={each.name: each.guard for each in version.adapters},
            hold_seconds=version.hold,
        )

    return want


def _permitted(version: Version) -> tuple[str, ...]:
    """Return the remark about what the version may do beyond the defaults."""
    permission = version.permission
    if not permission.allowed:
        return ()
    return (
        f"permitted for {version.title}: {', '.join(permission.allowed)} ({permission.reason})",
    )


def back(model: str, number: int | None, history: History, **order: Any) -> Order:
    """Return the order of a rollback to release `number`, or to the one that was live before; `order` has the rest.

    It reads neither the registry nor the Hub: a release that was live is in the history and on a host. The
    function for a host raises InputError where there is no such release.
    """

    def aim(facts: Mapping[str, HostFacts], unreachable: Collection[str]) -> Want:
        return _back(model, number, facts, unreachable, history)

    def unaimed(_: HostFacts) -> Wanted:
        raise AssertionError("a rollback looks at all hosts first")

    return Order("rollback", model, unaimed, None, aim=aim, **order)


def _back(
    model: str,
    number: int | None,
    facts: Mapping[str, HostFacts],
    unreachable: Collection[str],
    history: History,
) -> Want:
    known = {each.number: each for each, _ in history.releases(model)}
    # The manifest on a host is the truth, where the history has another release under a number.
    slots = [slot for each in facts.values() for slot in each.slots_of(model)]
    known.update({slot.release.number: slot.release for slot in slots if slot.release})
    if number is None:
        told = history.deployments(model, steps=False)
        found = former_releases(model, facts, unreachable, Past(told, known))
    elif number in known:
        found = dict.fromkeys(facts, known[number])
    else:
        raise InputError(f"{model} has no release {number}", hint=f"toolkit releases {model}")

    def want(host: HostFacts) -> Wanted:
        if host.name not in found:
            raise InputError(
                f"{model} has no release before on {host.name}", hint=f"toolkit releases {model}"
            )
        release, serving = found[host.name], host.serving_slot(model)
        # The patience of the newest declaration belongs to the serving release.
        hold = (serving.release if serving and serving.release else release).hold
        # A rollback changes the release alone, also where the host could be converged by now.
        return Wanted("rollback", release, provision_digest=host.converged, hold_seconds=hold)

    return want


def usual_start(history: History, model: str) -> float:
    """Return how long the model's last start took, in seconds; a minute where none is known."""
    seconds = history.last_start(model)
    return 60.0 if seconds is None else seconds
