"""The work of an unattended run for a model, and the reasons that keep it from any."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from toolkit.domain.deployment.plan import StepKind
from toolkit.domain.deployment.release import Deployment, Outcome
from toolkit.domain.deployment.schedule import Rule, Upkeep
from toolkit.domain.gates.guard import Guard
from toolkit.domain.gates.verdict import GuardPhase, Verdict
from toolkit.domain.hosts.facts import FleetFacts, GuardFacts, HostFacts
from toolkit.domain.quantity import format_age
from toolkit.planning.upkeep.currency import Currency, State, age_of, of_the_future

# The seconds of an upgrade where the history has none of the model.
UNKNOWN_DURATION = 600.0
# So many upgrades to one version may be cut short before a person must look why.
_CUT_SHORT = 2


class Action(StrEnum):
    """The work of a run for a model. `PERSON`: the run met something that a person must look at, and does nothing."""

    NOTHING = "nothing"
    PIN = "pin"
    WAIT = "wait"
    UPGRADE = "upgrade"
    PERSON = "person"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Decision:
    """The work of a run for a model, the version that it concerns, and the reason in words."""

    model: str
    action: Action
    words: str
    version: str = ""


def decide(rule: Rule, currency: Currency, failures: Mapping[str, str], now: float) -> Decision:
    """Return the decision of a run for the model of `rule`; `failures` has the reasons of failed revisions."""
    model, found = rule.model, currency.upstream
    if currency.state is State.UNKNOWN or found is None:
        return Decision(model, Action.UNKNOWN, f"its source is not known: {currency.fault}")
    if currency.changes:
        return Decision(model, Action.PERSON, "; ".join(currency.changes))
    if currency.state is State.CURRENT:
        return Decision(model, Action.NOTHING, "current", currency.version.name)
    if not currency.candidate:
        return Decision(model, Action.PIN, f"{found.revision[:12]} is new")
    candidate = currency.candidate
    if rule.upkeep is Upkeep.PIN_ONLY:
        return Decision(model, Action.NOTHING, f"{candidate} is pinned, a candidate", candidate)
    if found.revision in failures:
        words = f"{candidate} failed before and is not tried again: {failures[found.revision]}"
        return Decision(model, Action.PERSON, words, candidate)
    if rule.soak and (date := of_the_future(found, now)):
        # Its author's word: waited for, it would hold the model until then, and say nothing of it.
        words = f"{candidate} is dated {date}, in the future"
        return Decision(model, Action.PERSON, words, candidate)
    age = age_of(found, now)
    if age is None or age < rule.soak:
        known = "never seen before" if age is None else f"known for {format_age(age)}"
        words = f"{candidate} is {known}, of {format_age(rule.soak)}"
        return Decision(model, Action.WAIT, words, candidate)
    return Decision(model, Action.UPGRADE, f"to {candidate}", candidate)


@dataclass(frozen=True, slots=True)
class Seen:
    """A fleet as a run finds it: facts, and its faults in words."""

    fleet: FleetFacts
    drift: Sequence[str] = ()
    unfinished: Sequence[Deployment] = ()
    behind: Sequence[str] = ()
    keys_differ: bool = False
    history_fault: str = ""


def sleeps(seen: Seen, model: str) -> bool:
    """Whether the model sleeps or wakes on a host: that is no fault, and nothing can be compared with it."""
    return any(slot.asleep for each in seen.fleet.facts.values() for slot in each.slots_of(model))


def begun_here(begun: Mapping[str, str], title: str) -> frozenset[str]:
    """Return the rollouts among `begun`, those of this ops machine's own runs, that an upgrade to `title` may take up.

    Empty where upgrades to it were cut short so often that one more would be, too.
    """
    often = list(begun.values()).count(title) >= _CUT_SHORT
    return frozenset() if often else frozenset(begun)


def objections(
    seen: Seen, model: str, unreachable: int, own: Collection[str] = ()
) -> tuple[str, ...]:
    """Return why only a person may upgrade `model` now; up to `unreachable` hosts need not answer.

    What an unfinished upgrade has left is no reason where its rollout is one of the runs' `own`: the next one ends it
    first. The verdict of a guard is a reason all the same.
    """
    return tuple(_objections(seen, model, unreachable, own))


def _objections(seen: Seen, model: str, unreachable: int, own: Collection[str]) -> Iterator[str]:
    away = seen.fleet.unreachable
    if len(away) > unreachable:
        yield from (f"{name} is unreachable: {why}" for name, why in away.items())
    cut = [each for each in seen.unfinished if each.rollout in own]
    for facts in seen.fleet.facts.values():
        yield from _of_host(facts, {each.rollout for each in cut})
    for each in seen.unfinished:
        if each not in cut:
            yield f"unfinished: {each.title}, {each.action} {each.model} by {each.actor}"
    yield from (f"drift: {words}" for words in seen.drift)
    if not cut:
        yield from (f"the router of {name} has missed a change" for name in seen.behind)
    if seen.keys_differ:
        yield "the hosts do not have the same keys"
    if seen.history_fault:
        yield f"the history cannot be read in full: {seen.history_fault}"
    # A swap that was cut short has taken the former release away.
    swapped = any(each.model == model for each in cut)
    if not swapped and not any(each.serving_slot(model) for each in seen.fleet.facts.values()):
        yield f"{model} serves on no host, so there is nothing to upgrade"


def _of_host(facts: HostFacts, cut: Collection[str]) -> Iterator[str]:
    if facts.held_by:
        yield f"{facts.name} is held by {facts.held_by.actor}: {facts.held_by.command}"
    if facts.damaged:
        yield f"{facts.name} has damaged files: {', '.join(facts.damaged)}"
    for guard in facts.guards:
        if guard.rollout in cut and _is_share_without_verdict(guard):
            continue
        if guard.withdrawn:
            yield f"{facts.name} gave {guard.model} #{guard.release} back: {guard.withdrawn}"
        elif guard.verdict is None:
            yield f"{facts.name} still watches {guard.model} #{guard.release}"


def _is_share_without_verdict(guard: GuardFacts) -> bool:
    """Whether a guard watches a share, or has given it back with its command's lock and not by what it found."""
    found = guard.verdict is not None and guard.verdict.verdict is Verdict.FAILED
    return guard.phase is GuardPhase.SHARE and not found


def expected_seconds(
    deployments: Sequence[Deployment], guard: Guard, *, of_adapter: bool = False
) -> float:
    """Return how long an upgrade of a model, or `of_adapter`, takes, by the model's last `deployments`, newest first.

    An exchange of adapters says nothing of the other upgrades, nor they of it; gates alone and stops are no upgrades.
    As long as the last one that went live on all hosts; where none is known, `UNKNOWN_DURATION` and the steps that its
    guard declares. No less than any later one took that did not go live: a window interrupted it, perhaps.
    """
    least = 0.0
    for last in deployments:
        exchanged = any(step.kind == StepKind.ADAPT for step in last.steps)
        if (
            not last.replaces
            or last.ended_at is None
            or (exchanged is not of_adapter and last.steps)
        ):
            continue
        same = [each for each in deployments if each.rollout and each.rollout == last.rollout]
        begun = min((each.started_at for each in same), default=last.started_at)
        ended = max((each.ended_at or 0.0 for each in same), default=last.ended_at)
        if ended < begun:
            # The clock was set back meanwhile.
            continue
        least = max(least, ended - begun)
        if last.outcome is Outcome.LIVE:
            return least
    declared = sum(step.seconds for step in guard.steps) + (guard.bake or 0.0)
    return max(least, UNKNOWN_DURATION + declared)
