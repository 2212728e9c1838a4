"""The effect of a plan on the traffic of a model, in one sentence: the first line of a plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from toolkit.domain.deployment.plan import WHOLE, Plan, StepKind, Strategy
from toolkit.domain.deployment.release import Release
from toolkit.domain.quantity import format_seconds


def traffic_words(
    model: str, plans: Mapping[str, Plan], batches: Sequence[Sequence[str]] = ((),)
) -> str:
    """Return the effect on requests for `model` in words, by the plan of each host and the batches of hosts."""
    busy = [plan for plan in plans.values() if not plan.empty]
    if not busy:
        return "Nothing changes." if plans else "What was cut short is ended first."
    adapted = [plan for plan in busy if plan.strategy is Strategy.ADAPT]
    if adapted:
        return (
            f"Traffic of {model} stays with its replicas, which become {_new(adapted)}; "
            "requests for an adapter that is exchanged wait meanwhile."
        )
    moving = [plan for plan in busy if plan.has(StepKind.SHIFT)]
    if not moving:
        return f"Traffic of {model} stays where it is."
    swaps = [plan for plan in moving if plan.strategy is Strategy.SWAP]
    if swaps:
        return _held(model, swaps)
    moved = [plan for plan in moving if plan.previous and plan.has(StepKind.GATE)]
    if moved:
        return _moved(model, moved, one_by_one=len(batches) > 1)
    if not any(plan.has(StepKind.GATE) for plan in moving):
        return f"Traffic of {model} stays with {_new(moving)}; its routers are told so again."
    if any(plan.empty for plan in plans.values()):
        return f"Traffic of {model} goes to more hosts, once {_new(moving)} has passed its checks there."
    return f"Nothing serves {model} there now; {_new(moving)} does, once it has passed its checks."


def stop_words(model: str, hosts: Sequence[str], *, everywhere: bool) -> str:
    """Return the effect on requests for a model that is stopped on `hosts`, in words."""
    if everywhere:
        return f"Requests for {model} are refused from now on, until it is deployed again."
    return f"Traffic of {model} leaves {', '.join(hosts)}; the other hosts take it."


def _held(model: str, swaps: Sequence[Plan]) -> str:
    """Return how long requests wait where the former release stops before the new one starts."""
    holds = [step for plan in swaps for step in plan.steps if step.kind is StepKind.HOLD]
    most = max((step.seconds for step in holds), default=0.0)
    leaves = "falls asleep" if all(plan.has(StepKind.DOZE) for plan in swaps) else "stops"
    comes = "wakes" if all(plan.has(StepKind.WAKE) for plan in swaps) else "starts"
    meanwhile = f"while {_former(swaps)} {leaves} and {_new(swaps)} {comes} ({swaps[0].downtime})"
    if not most:
        return f"Requests for {model} do not wait {meanwhile}: they go to other hosts, which are not known to serve."
    wait = format_seconds(most)
    return f"Requests for {model} wait, each up to {wait}, {meanwhile}; whoever waits longer is refused."


def _moved(model: str, moved: Sequence[Plan], *, one_by_one: bool) -> str:
    shares = [step.share for plan in moved for step in plan.steps if step.kind is StepKind.CANARY]
    first = f", first {100 * min(shares) / WHOLE:g} % of it" if shares else ""
    hosts = ", host after host" if one_by_one else ""
    return f"Traffic of {model} moves from {_former(moved)} to {_new(moved)}{first}{hosts}; {_rest(moved)}."


def _rest(moved: Sequence[Plan]) -> str:
    if any(plan.strategy is Strategy.ROLLING for plan in moved):
        return "where one stops for the other, the other hosts serve meanwhile"
    if all(plan.has(StepKind.STANDBY) for plan in moved):
        return f"{_former(moved)} stays beside it for a return"
    return f"{_former(moved)} is stopped then"


def _former(plans: Iterable[Plan]) -> str:
    return " and ".join(dict.fromkeys(_short(plan.previous) for plan in plans if plan.previous))


def _new(plans: Iterable[Plan]) -> str:
    return " and ".join(dict.fromkeys(_short(plan.release) for plan in plans if plan.release))


def _short(release: Release) -> str:
    return f"#{release.number} ({release.version})"
