"""What a command asks for: facts in, the wanted release out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from toolkit.domain.release import Outcome
from toolkit.errors import InputError
from toolkit.planning.change.deploy import Wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from toolkit.adapters.history.history import History
    from toolkit.adapters.store.store import Store
    from toolkit.domain.engine import EngineLock
    from toolkit.domain.facts import HostFacts
    from toolkit.domain.model import Policy, Version
    from toolkit.domain.release import Release
    from toolkit.domain.snapshot import Snapshot
    from toolkit.workflows.change.change import Ask
    from toolkit.workflows.tools import Timing


def ask_version(
    version: Version,
    *,
    action: str,
    policy: Policy,
    snapshot_of: Callable[[Version], Snapshot],
    locks: Sequence[EngineLock],
    store: Store,
    history: History,
    provision_digest: str,
    timing: Timing,
    keep_standby: bool,
) -> Ask:
    """Return the ask of `deploy` and `upgrade`.

    It raises, before anything is downloaded: NothingSuitableError where no device can hold the version,
    RefusedError where policy denies licence or files, InputError where its files or engine are not locked.
    """
    # Here and not above: a rollback shares this file, needs none of them and must start at once.
    from toolkit.planning.release.accelerator import choose_accelerator
    from toolkit.planning.release.build import build_release
    from toolkit.planning.release.engine_choice import choose_lock
    from toolkit.workflows.files.pull import require_licence, require_permission

    def ask(facts: HostFacts) -> Wanted:
        accelerator = choose_accelerator(version, facts)
        require_licence(version, policy)
        lock = choose_lock(locks, version.engine, accelerator, facts.python)
        snapshot = snapshot_of(version)
        require_permission(version, snapshot)
        release = build_release(version, snapshot, lock, facts, number=0)
        there = {file.sha256 for file in snapshot.files if store.has_blob(file)}
        missing = [file.size for file in snapshot.files if file.sha256 not in there]
        absent = 0 if store.has(snapshot) else max(1, sum(missing))
        return Wanted(
            action=action,
            release=_numbered(release, facts, history),
            provision_digest=provision_digest,
            snapshot_size=snapshot.size,
            missing_bytes=absent,
            keep_standby=keep_standby,
            bake_seconds=timing.bake,
            ready_seconds=usual_start(history, version.model),
        )

    return ask


def ask_rollback(
    model: str, number: int | None, *, history: History, timing: Timing, keep_standby: bool
) -> Ask:
    """Return the ask of `rollback`: release `number`, or the one that was live before the current one.

    It reads neither the registry nor the Hub: what once was live is all in the history and on the host.
    """

    def ask(facts: HostFacts) -> Wanted:
        release = (
            _before(model, facts, history)
            if number is None
            else _release(model, number, facts, history)
        )
        return Wanted(
            action="rollback",
            release=release,
            # A rollback changes the release and nothing else, whatever else could be converged by now.
            provision_digest=facts.converged,
            keep_standby=keep_standby,
            bake_seconds=timing.bake,
            ready_seconds=usual_start(history, model),
        )

    return ask


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
        # One that started the same release again, or only provisioned its host, changed no release.
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


def _numbered(release: Release, facts: HostFacts, history: History) -> Release:
    known = [slot.release for slot in facts.slots_of(release.model) if slot.release]
    known += [each for each, _ in history.releases(release.model)]
    for each in known:
        if each.same_as(release):
            return each
    numbers = [each.number for each in known]
    return replace(release, number=max(numbers, default=0) + 1)


def usual_start(history: History, model: str) -> float:
    """Return how long the model's last start took, in seconds; a minute where none is known."""
    for deployment in history.deployments(model):
        for step in deployment.steps:
            if step.kind == "start" and step.outcome is Outcome.DONE and step.ended_at:
                return step.ended_at - step.started_at
    return 60.0
