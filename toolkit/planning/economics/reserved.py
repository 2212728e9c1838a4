"""The times in which replicas held hosts, from the deployments that a history has with their steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from toolkit.domain.costs.economics import Interval, Reservation
from toolkit.domain.deployment.plan import BEGINS, ENDS, StepKind
from toolkit.domain.deployment.release import Deployment, Outcome, StepRecord


@dataclass(slots=True)
class _Slot:
    """A replica in a slot since a moment, live or not."""

    release: int
    since: int
    live: bool


@dataclass(slots=True)
class _Place:
    """The state of one model on one host while its deployments are read in their order."""

    host: str
    model: str
    weights: Mapping[tuple[str, int], int]
    slots: dict[str, _Slot] = field(default_factory=dict)
    found: list[Reservation] = field(default_factory=list)
    last: int = 0
    back: int = 0

    def at(self, moment: float) -> int:
        """Return a moment, no earlier than the one before; `back` counts the clocks that went back."""
        if int(moment) < self.last:
            self.back += 1
        self.last = max(self.last, int(moment))
        return self.last

    def end(self, name: str, now: int) -> _Slot | None:
        """End the slot's state since its last change."""
        slot = self.slots.pop(name, None)
        if slot is not None and now > slot.since:
            weight = self.weights.get((self.model, slot.release), 1)
            span = Interval(slot.since, now)
            self.found.append(
                Reservation(self.host, self.model, slot.release, span, slot.live, weight)
            )
        return slot

    def be(self, name: str, now: int, release: int, *, live: bool) -> None:
        """Let the slot have a release, live or not, from now on."""
        there = self.slots.get(name)
        if there is None or (there.release, there.live) != (release, live):
            self.end(name, now)
            self.slots[name] = _Slot(release, now, live)

    def make_live(self, name: str, now: int, release: int) -> None:
        """Let the slot take the traffic, and every other one stand by."""
        for other, slot in list(self.slots.items()):
            if other != name:
                self.be(other, now, slot.release, live=False)
        self.be(name, now, release, live=True)


def reserved(
    deployments: Iterable[Deployment], weights: Mapping[tuple[str, int], int], until: int
) -> tuple[tuple[Reservation, ...], tuple[str, ...]]:
    """Return when replicas held hosts up to the moment `until`, and remarks.

    `weights` are the memory of releases by model and number. A replica holds its host from the beginning of its start
    to the end of its stop. It counts as live while the model's traffic goes to it, whether or not it answered.
    """
    places: dict[tuple[str, str], list[Deployment]] = {}
    for each in deployments:
        places.setdefault((each.host, each.model), []).append(each)
    found: list[Reservation] = []
    notes = []
    for (host, model), there in sorted(places.items()):
        place = _Place(host, model, weights)
        for each in sorted(there, key=lambda each: (each.id, each.started_at)):
            _read(place, each)
        now = max(until, place.last)
        for name in list(place.slots):
            place.end(name, now)
        found += place.found
        if place.back:
            notes.append(
                f"{model} at {host}: {place.back} records are earlier than those before them; a clock went back"
            )
    whole = Interval(0, until)
    return tuple(replace(each, span=each.span.within(whole)) for each in found), tuple(notes)


def _read(place: _Place, deployment: Deployment) -> None:
    began = place.at(deployment.started_at)
    started = set()
    for step in sorted(deployment.steps, key=lambda step: step.seq):
        if step.kind in BEGINS:
            started.add(_slot_of(step))
        _step(place, deployment, step)
    if deployment.outcome is Outcome.RUNNING:
        return
    ended = place.at(deployment.ended_at or began)
    if deployment.outcome is Outcome.LIVE and deployment.slot:
        place.make_live(deployment.slot, ended, deployment.release)
    elif deployment.leaves and deployment.outcome is Outcome.DONE:
        for name in list(place.slots):
            place.end(name, ended)
    elif deployment.slot in started:
        # The deployment failed. Its undoing leaves a replica that took traffic to the end.
        slot = place.slots.get(deployment.slot)
        if slot is not None and slot.release == deployment.release and not slot.live:
            place.end(deployment.slot, ended)


def _step(place: _Place, deployment: Deployment, step: StepRecord) -> None:
    name = _slot_of(step)
    release = deployment.release
    if name != deployment.slot:
        there = place.slots.get(name)
        release = there.release if there else deployment.previous or deployment.release
    begins = place.at(step.started_at)
    if step.kind in BEGINS:
        place.be(name, begins, _started(deployment, step), live=False)
        return
    if step.ended_at is None or step.outcome is not Outcome.DONE:
        return
    ended = place.at(step.ended_at)
    if step.kind == StepKind.SHIFT:
        there = place.slots.get(name)
        place.make_live(name, ended, there.release if there else release)
    elif step.kind == StepKind.ADAPT:
        place.be(name, ended, release, live=name in place.slots and place.slots[name].live)
    elif step.kind in ENDS:
        place.end(name, ended)


def _started(deployment: Deployment, step: StepRecord) -> int:
    """Return the release that a start is of: the deployment's, or the former one's in its undoing."""
    earlier = [each for each in deployment.steps if each.seq < step.seq]
    again = any(each.kind in BEGINS for each in earlier)
    failed = any(each.outcome is Outcome.FAILED for each in earlier)
    if (failed or again or _slot_of(step) != deployment.slot) and deployment.previous:
        return deployment.previous
    return deployment.release


def _slot_of(step: StepRecord) -> str:
    return next(iter(step.detail.split()), "")
