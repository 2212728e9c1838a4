"""From a host's facts to the release that a command wants there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from toolkit.domain.release import Outcome
from toolkit.errors import InputError
from toolkit.planning.change.deploy import Wanted
from toolkit.planning.change.rollout import Limits

if TYPE_CHECKING:
    from toolkit.adapters.history.history import History
    from toolkit.adapters.store.store import Store
    from toolkit.domain.engine import EngineLock
    from toolkit.domain.facts import HostFacts
    from toolkit.domain.model import Policy, Version
    from toolkit.domain.release import Release
    from toolkit.domain.snapshot import Snapshot
    from toolkit.workflows.tools import Timing

# Host facts -> what the command wants on that host.
Want = Callable[["HostFacts"], Wanted]


@dataclass(frozen=True, slots=True)
class Order:
    """A change of release: the release, the hosts and the manner. `choose_hosts` explains `named` and `replicas`.

    `want` derives the release for a host from its facts. `deploy` may bring the model to further hosts; `upgrade` and
    `rollback` are for the hosts that have it. With `standby` the former replica stays ready for a rollback.
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


@dataclass(frozen=True, slots=True)
class Pinned:
    """The pins, the store and the policy of the ops machine."""

    policy: Policy
    snapshot_of: Callable[[Version], Snapshot]
    locks: Sequence[EngineLock]
    store: Store


def want_version(version: Version, pinned: Pinned, *, action: str) -> Want:
    """Return what `deploy` and `upgrade` want. The release has no number yet, see `numbered`.

    The result raises, before anything is downloaded: NothingSuitableError where no device can hold the version,
    RefusedError where policy denies licence or files, InputError where its files or engine are not locked.
    """
    # Here and not above: a rollback shares this module, needs none of these and must start at once.
    from toolkit.planning.release.accelerator import choose_accelerator
    from toolkit.planning.release.build import build_release
    from toolkit.planning.release.engine_choice import choose_lock
    from toolkit.workflows.files.pull import require_licence, require_permission

    def want(facts: HostFacts) -> Wanted:
        accelerator = choose_accelerator(version, facts)
        require_licence(version, pinned.policy)
        lock = choose_lock(pinned.locks, version.engine, accelerator, facts.python)
        snapshot = pinned.snapshot_of(version)
        require_permission(version, snapshot)
        stored = pinned.store.has(snapshot)
        missing = [file.size for file in snapshot.files if not pinned.store.has_blob(file)]
        return Wanted(
            action=action,
            release=build_release(version, snapshot, lock, facts, number=0),
            snapshot_size=snapshot.size,
            missing_bytes=0 if stored else max(1, sum(missing)),
        )

    return want


def want_release(model: str, number: int | None, history: History) -> Want:
    """Return what `rollback` wants: release `number`, or the one that was live before the current one.

    The result reads neither the registry nor the Hub: a release that was live is in the history and on the host.
    It raises InputError where there is no such release.
    """

    def want(facts: HostFacts) -> Wanted:
        release = (
            _before(model, facts, history)
            if number is None
            else _release(model, number, facts, history)
        )
        # A rollback changes the release alone, also where the host could be converged by now.
        return Wanted("rollback", release, provision_digest=facts.converged)

    return want


def usual_start(history: History, model: str) -> float:
    """Return how long the model's last start took, in seconds; a minute where none is known."""
    for deployment in history.deployments(model):
        for step in deployment.steps:
            if step.kind == "start" and step.outcome is Outcome.DONE and step.ended_at:
                return step.ended_at - step.started_at
    return 60.0


def _release(model: str, number: int, facts: HostFacts, history: History) -> Release:
    for slot in facts.slots_of(model):
        if slot.release and slot.release.number == number:
            return slot.release
    found = history.release(model, number)
    if found is None:
        raise InputError(f"{model} has no release {number}", hint=f"toolkit releases {model}")
    return found


def _before(model: str, facts: HostFacts, history: History) -> Release:
    current = facts.serving_slot(model)
    serving = current.release.number if current and current.release else None
    for deployment in history.deployments(model):
        # A deployment that started the same release again, or only provisioned its host, changed no release.
        changed = deployment.previous not in (None, deployment.release)
        if deployment.outcome is Outcome.LIVE and deployment.release == serving and changed:
            assert deployment.previous is not None
            return _release(model, deployment.previous, facts, history)
    # Another ops machine may have made the change: a standby on the host tells as well.
    for slot in facts.slots_of(model):
        if slot.release and slot.release.number != serving:
            return slot.release
    if serving is None:
        raise InputError(f"{model} is not deployed here", hint=f"toolkit deploy {model}")
    raise InputError(f"{model} has no release before #{serving}", hint=f"toolkit releases {model}")
