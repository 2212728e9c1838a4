"""The plan that makes a release live on a host: deploy, upgrade and rollback are one path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from toolkit.domain.deployment.change import Change
from toolkit.domain.deployment.plan import Plan, Step, StepKind, Strategy
from toolkit.domain.deployment.release import SLOTS, Release
from toolkit.domain.hosts.facts import HostFacts, ProcessState, SlotFacts
from toolkit.domain.quantity import format_seconds, format_size
from toolkit.domain.registry.release_parts import DEFAULT_HOLD
from toolkit.errors import NothingSuitableError
from toolkit.planning.change.adapters import adapt_step, adapter_changes, adapters_guard, can_adapt
from toolkit.planning.change.canary import Watching, bake_step, watching
from toolkit.planning.change.difference import release_changes
from toolkit.planning.change.doze import (
    DOZE_NOTE,
    WAKE_DOWNTIME,
    WAKE_SECONDS,
    can_lie_down,
    can_wake,
    doze_step,
    dozes_as,
    in_the_way,
    wake_step,
)
from toolkit.planning.change.drift import next_start
from toolkit.planning.change.preflight import reason_to_provision
from toolkit.planning.change.room import Room, find_room
from toolkit.planning.change.waiting import drain_before, impatience

if TYPE_CHECKING:
    from toolkit.domain.gates.guard import Guard

SWAP_NOTE = "both replicas do not fit at once: the old one stops before the new one starts"
HOLD_NOTE = "requests wait at the router meanwhile, each for"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The release that a command wants on a host, and what the ops machine knows that the host does not.

    `snapshot_size` and `missing_bytes` are in bytes. The host's `converged` must read `provision_digest`. The new
    replica is watched under traffic as its `guard` says (None: for some seconds by the command alone), for
    `bake_seconds` where a person asked for that; a start usually takes `ready_seconds`. In a swap a request waits for
    up to `hold_seconds`. `file_changes` say how its files differ from those that serve on the host. `adapter_guards`
    are those of its adapters, by name.
    """

    action: str
    release: Release
    provision_digest: str = ""
    snapshot_size: int = 0
    missing_bytes: int = 0
    keep_standby: bool = True
    bake_seconds: float | None = None
    ready_seconds: float = 60.0
    notes: tuple[str, ...] = ()
    guard: Guard | None = None
    hold_seconds: float = DEFAULT_HOLD
    file_changes: tuple[Change, ...] = ()
    adapter_guards: Mapping[str, Guard] = field(default_factory=dict)


def plan_deploy(wanted: Wanted, facts: HostFacts) -> Plan:
    """Return the ordered steps, empty where the release is live already.

    Raises NothingSuitableError where the release fits neither beside the running one nor in its place.
    """
    plan = _ordered(wanted, facts)
    if plan.empty:
        return plan
    changes = (*release_changes(plan.previous, wanted.release), *wanted.file_changes)
    notes = (*wanted.notes, *_other_source(plan), *plan.notes)
    return replace(plan, notes=notes, changes=changes)


def _other_source(plan: Plan) -> tuple[str, ...]:
    """Return the remark about a release whose weights are of another repository than the serving one's."""
    before, after = plan.previous, plan.release
    if before is None or after is None or before.source == after.source:
        return ()
    words = f"the serving {before.title} is of {before.source}"
    return (f"{after.title} is of {after.source}, {words}",)


def _ordered(wanted: Wanted, facts: HostFacts) -> Plan:
    model = wanted.release.model
    current = facts.serving_slot(model)
    if current and _ready_in(current, wanted.release):
        steps = (*_preparation(wanted, facts, live=True), *_told_again(facts, current))
        return _plan(wanted, current, current, Strategy.SWITCH, steps)
    if current and current.release and current.release.same_as(wanted.release):
        if not current.healthy:
            return _start_again(wanted, facts, current)
        return _start_anew(wanted, facts, current)
    if current and can_adapt(current, wanted.release):
        return _adapt(wanted, facts, current)
    target = _target_slot(wanted, facts, current)
    if _ready_in(target, wanted.release):
        watched = _watched(wanted, facts, target.slot, beside=current)
        # The former release gets all of its traffic back at once.
        watched = Watching() if wanted.action == "rollback" else watched
        steps = (
            *_preparation(wanted, facts, live=True),
            Step(StepKind.GATE, "the standby must answer before it takes traffic", target.slot),
            *_switch(wanted, current, target, watched),
        )
        plan = _plan(wanted, target, current, Strategy.SWITCH, steps)
        return replace(plan, notes=(*_notes(watched), *next_start(wanted.release, facts)))
    if can_wake(target, wanted.release, facts, [current] if current else []):
        return _wake(wanted, facts, current, target)
    return _start_new(wanted, facts, current, target)


def _adapt(wanted: Wanted, facts: HostFacts, current: SlotFacts) -> Plan:
    """Plan for a replica that runs on with other adapters; they are watched under traffic where they ask for it."""
    assert current.release is not None, "a replica that adapts has a release"
    steps = (*_preparation(wanted, facts, live=False), adapt_step(current, wanted.release))
    plan = _plan(wanted, current, current, Strategy.ADAPT, steps)
    back = wanted.action == "rollback"
    changes = adapter_changes(current.release, wanted.release)
    guard = None if back else adapters_guard(changes, wanted.adapter_guards)
    if guard is None or guard.bake is None:
        return plan
    if not facts.watched:
        note = f"no bake on {facts.name}: its watch does not run"
        return replace(plan, notes=(*plan.notes, note))
    watched = Watching((), guard.bake)
    return replace(plan, steps=(*steps, *bake_step(watched, current.slot)), guard=guard)


def _wake(wanted: Wanted, facts: HostFacts, current: SlotFacts | None, target: SlotFacts) -> Plan:
    """Plan for a release that dozes: what serves stops, because its device is needed, and the other one wakes."""
    watched = Watching()
    if current and wanted.action != "rollback":
        watched = _watched(wanted, facts, target.slot, beside=None)
    steps = (
        *_preparation(wanted, facts, live=True),
        *(_evict_serving(current, wanted.hold_seconds, WAKE_SECONDS) if current else ()),
        wake_step(target),
        Step(StepKind.GATE, "it must answer its checks before it takes traffic", target.slot),
        *_switch(wanted, None, target, watched),
    )
    plan = _plan(wanted, target, current, Strategy.SWAP if current else Strategy.SWITCH, steps)
    notes = (*_notes(watched), *((_hold_note(wanted),) if current else ()))
    return replace(plan, downtime=WAKE_DOWNTIME, devices=target.devices, notes=notes)


def _told_again(facts: HostFacts, current: SlotFacts) -> tuple[Step, ...]:
    wrong = [name for name in facts.router.drift if name.startswith(f"{current.model}/")]
    if not wrong:
        return ()
    why = f"the router does not do what its files say: {', '.join(wrong)}"
    return (Step(StepKind.SHIFT, why, current.slot),)


def _start_anew(wanted: Wanted, facts: HostFacts, current: SlotFacts) -> Plan:
    """Plan for a replica that drifted: the same release starts beside it and replaces it."""
    names = {slot.slot: slot for slot in facts.slots_of(current.model)}
    other = next(name for name in SLOTS if name != current.slot)
    target = names.get(other) or SlotFacts(current.model, other, 0)
    plan = _start_new(wanted, facts, current, target)
    return replace(plan, notes=(*plan.notes, *current.drift))


def _start_again(wanted: Wanted, facts: HostFacts, slot: SlotFacts) -> Plan:
    """Plan for a release that has the traffic and does not answer: it crashed for good, or its host was restarted."""
    hung = slot.process is ProcessState.RUNNING and not _may_still_start(wanted, facts, slot)
    steps = (
        *_preparation(wanted, facts, live=False),
        *(
            (Step(StepKind.STOP, "its process runs but does not answer", slot.slot),)
            if hung
            else ()
        ),
        Step(StepKind.START, f"{wanted.release.title} does not run", slot.slot),
        Step(StepKind.GATE, "it must answer its checks before it takes traffic", slot.slot),
        Step(StepKind.SHIFT, f"traffic to {wanted.release.title}", slot.slot),
    )
    plan = _plan(wanted, slot, None, Strategy.SIDE_BY_SIDE, steps)
    return replace(plan, downtime="until it answers; it does not serve now")


def _may_still_start(wanted: Wanted, facts: HostFacts, slot: SlotFacts) -> bool:
    """Whether the replica may still get ready. A start that takes four times as long as usual hangs."""
    if slot.started_at is None:
        return False
    return facts.observed_at - slot.started_at < max(120.0, 4 * wanted.ready_seconds)


def _start_new(
    wanted: Wanted, facts: HostFacts, current: SlotFacts | None, target: SlotFacts
) -> Plan:
    occupied = in_the_way(wanted.release.model, facts, target, current)
    running = [current] if current else []
    beside = find_room(wanted.release, facts, occupied)
    instead = find_room(wanted.release, facts, [*occupied, *running])
    if not beside.fits and not instead.fits:
        raise NothingSuitableError(
            f"{wanted.release.model} {wanted.release.version} does not fit on {facts.name} now: "
            f"{instead.reason}, with {_others(facts, wanted.release.model)} left running",
            hint="toolkit status shows what runs; toolkit sleep MODEL or toolkit stop MODEL makes room",
        )
    swap = not beside.fits
    room = instead if swap else beside
    dozes, why_not = False, ""
    # After a rollback the left release is not wanted, and its first sleep would take longer than its end.
    if swap and current and wanted.keep_standby and wanted.action != "rollback":
        dozes, why_not = can_lie_down(wanted.release, facts, current, occupied)
    watched = Watching()
    if current:
        watched = _watched(wanted, facts, target.slot, beside=None if swap else current)
    steps = (
        *_preparation(wanted, facts, live=False),
        *_evict_standby(occupied),
        *(
            _evict_serving(current, wanted.hold_seconds, wanted.ready_seconds, dozes=dozes)
            if swap and current
            else ()
        ),
        Step(
            StepKind.START, f"{wanted.release.title} in {target.slot}: {room.reason}", target.slot
        ),
        Step(StepKind.GATE, _must_pass(wanted), target.slot),
        *_switch(wanted, None if swap else current, target, watched),
    )
    plan = _plan(
        wanted, target, current, Strategy.SWAP if swap and current else Strategy.SIDE_BY_SIDE, steps
    )
    why_not_words = (why_not,) if why_not else ()
    notes = (*_notes(watched), *_no_room_for_adapters(wanted, current), *why_not_words)
    plan = replace(plan, notes=notes)
    return _with_room(plan, room, wanted, swap=swap and current is not None)


def _no_room_for_adapters(wanted: Wanted, current: SlotFacts | None) -> tuple[str, ...]:
    """Return the remark where nothing but the room for adapters makes a new replica necessary."""
    before, after = current.release if current else None, wanted.release
    if before is None or not after.adapters or before.args == after.args:
        return ()
    if before.adapters or any(name in before.args for name in after.args if "lora" in name):
        return ()
    return ("the serving replica reserves no room for adapters, so a new one starts",)


def _watched(wanted: Wanted, facts: HostFacts, slot: str, *, beside: SlotFacts | None) -> Watching:
    return watching(_guard(wanted), wanted.bake_seconds, wanted.release, slot, facts, beside=beside)


def _guard(wanted: Wanted) -> Guard | None:
    """Return the guard that the release must pass: none for a rollback, because that release served before."""
    off = wanted.action == "rollback" or (wanted.guard is not None and wanted.guard.off)
    return None if off else wanted.guard


def _must_pass(wanted: Wanted) -> str:
    guard = _guard(wanted)
    named = ("answers", "speed", "benchmarks") if guard else ()
    asked = ", ".join(name for name in named if getattr(guard, name) is not None)
    gates = f" and pass its gates ({asked})" if asked else ""
    return f"it must answer its checks{gates} before it takes traffic"


def _notes(watched: Watching) -> tuple[str, ...]:
    return (watched.note,) if watched.note else ()


def _with_room(plan: Plan, room: Room, wanted: Wanted, *, swap: bool) -> Plan:
    if not swap:
        return replace(plan, devices=room.devices)
    downtime = f"about {format_seconds(wanted.ready_seconds)}"
    why = DOZE_NOTE if plan.has(StepKind.DOZE) else SWAP_NOTE
    refused = impatience(wanted.hold_seconds, wanted.ready_seconds)
    notes = (*plan.notes, why, _hold_note(wanted), *refused)
    return replace(plan, devices=room.devices, downtime=downtime, notes=notes)


def _preparation(wanted: Wanted, facts: HostFacts, *, live: bool) -> tuple[Step, ...]:
    """Return the steps that prepare the host for a start; with `live` the replica runs already."""
    steps = []
    if why := reason_to_provision(facts, wanted.provision_digest):
        steps.append(Step(StepKind.PROVISION, why))
    release = wanted.release
    lacking = [part for part in release.parts if part.snapshot not in facts.snapshots]
    on_host = not lacking
    # A rollback to a standby does not depend on files that only a later start needs.
    there = on_host and release.engine in facts.engines
    if live and (there or wanted.action == "rollback"):
        return tuple(steps)
    if wanted.missing_bytes and not on_host:
        origins = ", ".join(f"{part.source}@{part.revision[:12]}" for part in lacking)
        why = f"{format_size(wanted.missing_bytes)} of {origins}"
        steps.append(Step(StepKind.FETCH, f"{why} are not in the store", size=wanted.missing_bytes))
    if release.engine not in facts.engines:
        steps.append(Step(StepKind.INSTALL_ENGINE, f"{release.engine} is not on the host"))
    elif facts.missing_libraries:
        missing = ", ".join(facts.missing_libraries)
        steps.append(Step(StepKind.INSTALL_ENGINE, f"the host lacks {missing}"))
    if not on_host:
        size = format_size(wanted.snapshot_size)
        why = f"hash {size} in the store once more before they leave it"
        steps.append(Step(StepKind.VERIFY, why, size=wanted.snapshot_size))
        named = ", ".join(part.snapshot[:12] for part in lacking)
        many = len(lacking) > 1
        why = f"snapshot{'s' * many} {named} {'are' if many else 'is'} not on the host"
        steps.append(Step(StepKind.DISTRIBUTE, why, size=wanted.snapshot_size))
    return tuple(steps)


def _evict_standby(occupied: Sequence[SlotFacts]) -> tuple[Step, ...]:
    return tuple(
        Step(StepKind.STOP, f"{_held_by(slot)} makes room; no traffic goes to it", slot.slot)
        for slot in occupied
    )


def _hold_note(wanted: Wanted) -> str:
    return f"{HOLD_NOTE} {format_seconds(wanted.hold_seconds)} at most"


def _evict_serving(
    slot: SlotFacts, hold: float, starts: float, *, dozes: bool = False
) -> tuple[Step, ...]:
    why = "no new requests to it; they wait where no other replica takes them"
    stop = Step(StepKind.STOP, f"{_held_by(slot)} makes way: its memory is needed", slot.slot)
    return (
        Step(StepKind.HOLD, why, slot.slot, seconds=hold),
        drain_before(slot.slot, hold, starts),
        doze_step(slot) if dozes else stop,
    )


def _switch(
    wanted: Wanted, current: SlotFacts | None, target: SlotFacts, watched: Watching
) -> tuple[Step, ...]:
    steps = [
        *watched.steps,
        Step(StepKind.SHIFT, f"traffic to {wanted.release.title}", target.slot),
        *bake_step(watched, target.slot),
    ]
    if current and current.slot != target.slot:
        steps.append(Step(StepKind.DRAIN, "its running requests end first", current.slot))
        if wanted.keep_standby and current.process is ProcessState.RUNNING and not current.drift:
            steps.append(
                Step(StepKind.STANDBY, f"{_held_by(current)} stays for a rollback", current.slot)
            )
        else:
            why = f"{_held_by(current)} does not run, so it is no standby"
            why = "it is not as it was deployed" if current.drift else why
            why = why if wanted.keep_standby else "no standby is kept"
            steps.append(Step(StepKind.STOP, why, current.slot))
    return tuple(steps)


def _target_slot(wanted: Wanted, facts: HostFacts, current: SlotFacts | None) -> SlotFacts:
    slots = {slot.slot: slot for slot in facts.slots_of(wanted.release.model)}
    free = [name for name in SLOTS if current is None or name != current.slot]
    ready = [name for name in free if name in slots and _ready_in(slots[name], wanted.release)]
    dozing = [name for name in free if name in slots and dozes_as(slots[name], wanted.release)]
    empty = [name for name in free if name not in slots]
    name = (ready or dozing or empty or free)[0]
    return slots.get(name) or SlotFacts(wanted.release.model, name, 0)


def _ready_in(slot: SlotFacts, release: Release) -> bool:
    same = slot.release is not None and slot.release.same_as(release)
    return same and slot.healthy and not slot.drift


def _plan(
    wanted: Wanted,
    target: SlotFacts,
    current: SlotFacts | None,
    strategy: Strategy,
    steps: tuple[Step, ...],
) -> Plan:
    return Plan(
        action=wanted.action,
        model=wanted.release.model,
        release=wanted.release,
        previous=current.release if current else None,
        slot=target.slot,
        port=target.port,
        strategy=strategy,
        steps=steps,
        guard=_guard(wanted),
    )


def _held_by(slot: SlotFacts) -> str:
    return f"release {slot.release.title}" if slot.release else f"what is in {slot.slot}"


def _others(facts: HostFacts, model: str) -> str:
    names = sorted({slot.model for slot in facts.slots if slot.model != model})
    return ", ".join(names) or "nothing of ours"
