"""The canary and the bake of a plan: in which steps a new release gets traffic, and how long it is watched.

One host takes its steps as the version declares them. In a fleet the hosts of the first batch alone go through them,
each with its part of the share: of `n` hosts that serve, a host has 1/n of the requests.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING

from toolkit.domain.deployment.plan import WHOLE, Plan, Step, StepKind
from toolkit.domain.deployment.release import Release
from toolkit.domain.hosts.facts import HostFacts, SlotFacts
from toolkit.domain.quantity import format_seconds

if TYPE_CHECKING:
    from toolkit.domain.gates.guard import Guard

BAKE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Watching:
    """The watch over a release under traffic on a host: canary `steps`, then a bake of `seconds` (0: none).

    `note` says why a declared canary is not possible.
    """

    steps: tuple[Step, ...] = ()
    seconds: float = 0.0
    requests: int = 0
    note: str = ""


def watching(
    guard: Guard | None,
    asked: float | None,
    release: Release,
    slot: str,
    facts: HostFacts,
    *,
    beside: SlotFacts | None,
) -> Watching:
    """Return how `release` in `slot` is watched; `beside` is the slot that serves on while it gets its share.

    `asked` is the bake that a person asked for, in seconds; it precedes that of the version's `guard`.
    """
    declared = guard.bake if guard else None
    seconds = next((each for each in (asked, declared) if each is not None), BAKE_SECONDS)
    requests = guard.bake_requests if guard else 0
    if guard is None or not guard.steps or _same(beside, release):
        return Watching((), seconds, requests)
    if why := _obstacle(facts, beside):
        return Watching((), seconds, requests, f"no canary on {facts.name}: {why}")
    steps = tuple(
        _step(round(each.share * WHOLE), each.seconds, each.requests, slot) for each in guard.steps
    )
    return Watching(steps, seconds, requests)


def bake_step(watched: Watching, slot: str) -> tuple[Step, ...]:
    """Return the step that watches all traffic, if there is one."""
    if not watched.seconds:
        return ()
    why = f"watch it under traffic for {format_seconds(watched.seconds)}"
    return (
        Step(
            StepKind.BAKE, why, slot, seconds=watched.seconds, requests=watched.requests
        ),
    )  # fmt: skip


def has_canary(plan: Plan) -> bool:
    """Whether the plan gives the release a share before all traffic."""
    return any(step.kind is StepKind.CANARY for step in plan.steps)


def is_watched(plan: Plan) -> bool:
    """Whether a guard watches the release of the plan under traffic, on a host whose watch runs."""
    watched = (StepKind.CANARY, StepKind.BAKE)
    return plan.guard is not None and any(step.kind in watched for step in plan.steps)


def is_declared(plan: Plan) -> bool:
    """Whether the version declares a canary or a bake, and the plan has one."""
    guard = plan.guard
    declared = guard is not None and bool(guard.steps or guard.bake is not None)
    return declared and is_watched(plan)


def with_canary(plans: Mapping[str, Plan], first: Collection[str], serving: int) -> dict[str, Plan]:
    """Return `plans` in which the hosts of the `first` batch alone have a canary, each with its part of the share.

    `serving` hosts share the requests of the model.
    """
    found = {}
    for name, plan in plans.items():
        if not has_canary(plan):
            found[name] = plan
        elif name in first:
            steps = tuple(_part(step, max(1, serving), len(first)) for step in plan.steps)
            found[name] = replace(plan, steps=steps)
        else:
            steps = tuple(step for step in plan.steps if step.kind is not StepKind.CANARY)
            note = f"the canary is on {' and '.join(first)}; it gets all of its traffic at once"
            found[name] = replace(plan, steps=steps, notes=(*plan.notes, note))
    return found


def _part(step: Step, serving: int, batch: int) -> Step:
    if step.kind is not StepKind.CANARY:
        return step
    share = max(1, round(step.share / serving))
    return _step(share, step.seconds, ceil(step.requests / batch), step.slot)


def _step(share: int, seconds: float, requests: int, slot: str) -> Step:
    least = f", and until {requests} are answered" if requests else ""
    why = f"{share / WHOLE:.2%}".replace(".00%", "%") + " of the requests for "
    return Step(
        StepKind.CANARY, f"{why}{format_seconds(seconds)}{least}", slot,
        share=share, seconds=seconds, requests=requests,
    )  # fmt: skip


def _same(beside: SlotFacts | None, release: Release) -> bool:
    """Whether the release that serves is started again, and there is nothing new to judge."""
    return bool(beside and beside.release and beside.release.same_as(release))


def _obstacle(facts: HostFacts, beside: SlotFacts | None) -> str:
    if beside is None:
        return "no other release serves beside the new one, which gets all traffic at once"
    if not beside.healthy:
        return "the release that serves does not answer, so the new one gets all traffic at once"
    return "" if facts.watched else "its watch does not run, and nobody would end a share"
