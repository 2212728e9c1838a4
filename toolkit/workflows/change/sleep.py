"""Put a model to sleep and wake it: change the routes, and see the watches of the hosts do the rest.

The routes alone say that a model sleeps. So a command that is killed leaves a model that falls asleep, or wakes, or
neither, and the same command again goes on from there.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from toolkit.domain.hosts.facts import FleetFacts, HostFacts, SlotFacts
from toolkit.domain.quantity import format_seconds
from toolkit.domain.replicas.warmth import WORDS, WhenAsleep
from toolkit.errors import HostError
from toolkit.planning.change.sleep import (
    alternates_of,
    idle_targets,
    patience,
    require_alternates,
    require_restful,
    require_room,
    require_turns,
    route_of,
)
from toolkit.planning.routing.agreement import agreed
from toolkit.planning.routing.edits import with_sleep, with_terms, with_wake, without_turns
from toolkit.planning.routing.rebuild import require_routes
from toolkit.planning.routing.routes import MAX_HOLD, Alternate, Routes, Sleep
from toolkit.workflows.change.routers import TELL, missed
from toolkit.workflows.change.wanted import usual_start
from toolkit.workflows.fleet.look import lock_all, look, look_free
from toolkit.workflows.tools import Timing, Tools, require_yes

ASLEEP = "asleep"
_EACH = 0.5  # seconds between two looks


@dataclass(frozen=True, slots=True)
class SleepPlan:
    """The plan of `toolkit sleep` or `wake` on the `hosts` with replicas of the model.

    A start usually takes `starts` seconds. `unreachable` are the hosts that do not answer, with the reason. The model
    takes `alternates` with others. One that is `asleep` already changes its policy, these, or both, as `new_policy` and
    `new_turns` say.
    """

    action: str
    model: str
    hosts: tuple[str, ...]
    policy: WhenAsleep
    starts: int
    changes: bool
    unreachable: Mapping[str, str] = field(default_factory=dict)
    alternates: tuple[Alternate, ...] = ()
    asleep: bool = False
    new_policy: bool = False
    new_turns: bool = False

    @property
    def words(self) -> str:
        """The effect of the plan, in a sentence."""
        where, start = ", ".join(self.hosts), format_seconds(self.starts)
        if self.changes and self.asleep:
            policy = f". From now on {WORDS[self.policy]}" if self.new_policy else ""
            turns = f". {self._alternates or 'It takes no turns any more'}"
            return f"{self.model} sleeps on{policy}{turns if self.new_turns else ''}"
        if not self.changes:
            return (
                f"{self.model} {'sleeps' if self.action == 'sleep' else 'is awake'}; nothing to do"
            )
        if self.action == "wake":
            words = f"{self.model} wakes on {where}; a start usually takes {start}"
            return f"{words}. {self._alternates}" if self.alternates else words
        return (
            f"{self.model} falls asleep on {where} once its requests have ended. From then on "
            f"{WORDS[self.policy]}; a start usually takes {start}{'. ' if self.alternates else ''}{self._alternates}"
        )

    @property
    def _alternates(self) -> str:
        names = ", ".join(each.model for each in self.alternates)
        return (
            f"Before it wakes, {names} must have nothing to do, and falls asleep" if names else ""
        )

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "action": self.action,
            "model": self.model,
            "hosts": list(self.hosts),
            "when_asleep": str(self.policy),
            "start_seconds": self.starts,
            "in_turn_with": [each.model for each in self.alternates],
            "unreachable": dict(self.unreachable),
        }


@dataclass(frozen=True, slots=True)
class Slept:
    """The outcome: its plan, and whether and for how many `seconds` it took."""

    plan: SleepPlan
    seconds: float


@dataclass(frozen=True, slots=True)
class Turns:
    """Models with which one takes turns from now on, and those with which it takes none any more.

    The schedule has it take turns with those in `declared`, as far as they are on its hosts or on none yet.
    """

    with_: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    declared: tuple[str, ...] = ()

    def here(self, having: Sequence[HostFacts]) -> tuple[str, ...]:
        """Return the models with which one takes turns on the hosts that have it."""
        found = (name for name in self.declared if any(each.slots_of(name) for each in having))
        return tuple(sorted({*self.with_, *found}))

    def coming(self, facts: Mapping[str, HostFacts]) -> set[str]:
        """Return the declared models that no host has yet: each may come to the hosts of the others."""
        known = {slot.model for each in facts.values() for slot in each.slots}
        return {*self.declared} - known


Confirm = Callable[[SleepPlan], bool]
_NO_TURNS = Turns()


def put_to_sleep(
    members: Sequence[Tools],
    model: str,
    policy: WhenAsleep | None,
    confirm: Confirm,
    timing: Timing,
    turns: Turns = _NO_TURNS,
) -> Slept:
    """Put the model to sleep on all hosts; return once its replicas have ended.

    `policy` says what requests get. Without one they wait, and a model that sleeps already keeps its policy. A model
    that wakes falls asleep again. Before it wakes, its hosts put the models to sleep with which it takes `turns`: they
    are its alternates, beside those that it has so far.

    Raises InputError where no host has it, RefusedError where it cannot sleep now or `confirm` says no, BusyError where
    another command holds a host, and HostError where one does not answer, or a replica goes on after its time.
    """
    first, began = members[0], time.monotonic()
    seen = look_free([each.host for each in members], first.patience)
    plan = _sleep_plan(members, model, policy, seen, turns)
    if not plan.changes:
        return Slept(plan, 0.0)
    require_yes(plan, confirm)
    with lock_all([each.host for each in members], first.owner, first.patience):
        again = look([each.host for each in members])
        first.routers.observed(again.by_label)
        plan = _sleep_plan(members, model, policy, again, turns)
        labels = {each.host.label for each in members}
        if plan.changes:
            now, name = int(first.clock()), secrets.token_hex(8)
            idle = idle_targets(model, again.by_label)
            first.routers.change(
                lambda routes: _slept(routes, plan, turns, name, now, idle), labels
            )
    # A model that a client has woken meanwhile did sleep.
    _await(
        members,
        model,
        timing.drain + 120,
        "goes on",
        lambda slot: slot.rests or slot.asleep != ASLEEP,
    )
    return Slept(plan, time.monotonic() - began)


def wake(members: Sequence[Tools], model: str, timing: Timing, begin: Confirm) -> Slept:
    """Wake the model on all hosts that answer; return once it serves. `begin` sees a plan that changes something.

    Raises InputError where no host has it, NothingSuitableError where others have its memory, BusyError, and HostError
    where no host answers, a router missed the change or the model is not up in time.
    """
    first, began = members[0], time.monotonic()
    seen = look_free([each.host for each in members], first.patience)
    plan = _wake_plan(model, seen)
    if not plan.changes:
        return Slept(plan, 0.0)
    there = [each for each in members if each.host.name in seen.facts]
    first.say(plan.words)
    begin(plan)
    with lock_all([each.host for each in there], first.owner, first.patience):
        again = look([each.host for each in there])
        first.routers.observed(again.by_label)
        route = agreed(again.by_label)[0].of(model)
        # A host that a client has made wake it says so in its routes alone, and the others may sleep on.
        if route and route.sleep and _sleeps_on(model, again.by_label.values()):
            due = int(first.clock()) + route.sleep.starts
            first.routers.change(lambda routes: with_wake(routes, model, due), ())
            if behind := missed(first.routers.catch_up()):
                raise HostError(
                    f"{model} wakes on the other hosts:\n  " + "\n  ".join(behind), hint=TELL
                )
    try:
        _await(there, model, timing.ready, "is not up", lambda slot: not slot.asleep)
    except HostError as error:
        raise _in_the_way(model, look([each.host for each in there]), error) from error
    if down := _down(model, look([each.host for each in there])):
        raise HostError(
            f"{model} counts as awake, and {'; '.join(down)}",
            hint=f"toolkit status; toolkit logs {model}",
        )
    return Slept(plan, time.monotonic() - began)


def _sleep_plan(
    members: Sequence[Tools],
    model: str,
    asked: WhenAsleep | None,
    seen: FleetFacts,
    turns: Turns,
) -> SleepPlan:
    if seen.errors:
        # Its router would go on as before, and its replica too.
        raise seen.failure()
    require_routes(list(seen.facts.values()))
    routes, facts = agreed(seen.by_label)
    route = route_of(model, routes)
    having = tuple(name for name, each in facts.items() if each.slots_of(model))
    starts = _start_of(members[0], model)
    digests = {each.host.name: each.provision_digest for each in members}
    here = turns.here([facts[name] for name in having])
    require_alternates(model, here, facts, digests)
    # The model that sleeps knows its alternates, so they stay until both are awake.
    known = alternates_of(model, routes)
    require_turns(model, turns.without, known)
    others = sorted({*known, *here, *turns.coming(facts)} - {*turns.without})
    # A model that wakes will serve on all hosts, so it falls asleep anew.
    sleep = route.sleep if route.sleep and not route.sleep.due else None
    policy = asked or (WhenAsleep(sleep.policy) if sleep else WhenAsleep.WAIT)
    alternates = tuple(
        Alternate(each, taken := _start_of(members[0], each), patience(policy, taken))
        for each in others
    )
    if sleep and not route.partly_awake:
        has = {each.model for each in sleep.alternates}
        new_turns = {*others} != has or any(each in known for each in turns.without)
        new_policy = str(policy) != sleep.policy
        return SleepPlan(
            "sleep",
            model,
            having,
            policy,
            sleep.starts,
            new_turns or new_policy,
            alternates=alternates,
            asleep=True,
            new_policy=new_policy,
            new_turns=new_turns,
        )
    require_restful(model, facts, digests)
    return SleepPlan("sleep", model, having, policy, starts, changes=True, alternates=alternates)


def _slept(
    routes: Routes, plan: SleepPlan, turns: Turns, name: str, now: int, idle: Collection[str]
) -> Routes:
    """Return `routes` as `plan` wants them; a new sleep is called `name`, and begins `now`."""
    model, policy, hold = plan.model, str(plan.policy), patience(plan.policy, plan.starts)
    routes = without_turns(routes, model, turns.without)
    if plan.asleep:
        return with_terms(routes, model, policy, hold, plan.alternates)
    sleep = Sleep(name, policy, plan.starts, now, alternates=plan.alternates)
    return with_sleep(routes, model, sleep, hold, idle)


def _start_of(tools: Tools, model: str) -> int:
    return min(MAX_HOLD, max(1, round(usual_start(tools.history, model))))


def _wake_plan(model: str, seen: FleetFacts) -> SleepPlan:
    if not seen.facts:
        raise seen.failure()
    require_routes(list(seen.facts.values()))
    routes, facts = agreed(seen.by_label)
    sleep = route_of(model, routes).sleep
    having = tuple(name for name, each in facts.items() if each.slots_of(model))
    if sleep is None:
        return SleepPlan("wake", model, having, WhenAsleep.WAIT, 1, False, seen.unreachable)
    require_room(model, facts, [each.model for each in sleep.alternates])
    policy = WhenAsleep(sleep.policy)
    return SleepPlan(
        "wake", model, having, policy, sleep.starts, True, seen.unreachable, sleep.alternates
    )


def _sleeps_on(model: str, facts: Iterable[HostFacts]) -> bool:
    """Whether a host's own routes leave the model asleep: nobody has told it of a wake, and it has begun none."""
    routes = (Routes.from_json(each.routes).of(model) for each in facts)
    return any(each.sleep and not each.sleep.due for each in routes if each)


def _in_the_way(model: str, seen: FleetFacts, error: HostError) -> HostError:
    """Return the error of a model that did not wake; it names the busy models on its device, if any."""
    routes, facts = agreed(seen.by_label)
    alternates = alternates_of(model, routes)
    busy = [
        (name, other)
        for name, each in facts.items()
        if any(slot.asleep for slot in each.slots_of(model))
        for other in alternates
        if any(slot.release and not slot.asleep for slot in each.slots_of(other))
    ]
    if not busy:
        return error
    names = sorted({other for _, other in busy})
    where = ", ".join(f"{other} has the device of {name}" for name, other in busy)
    return HostError(
        f"{model} is not up: {where} and is busy, or a command or a guard holds it; {model} wakes once it has had no"
        f" request for 10 seconds",
        hint=" or ".join(f"toolkit sleep {each}" for each in names),
    )


def _down(model: str, seen: FleetFacts) -> list[str]:
    """Return in words which replicas of a model are down although it is awake: the watch waits for none in vain."""
    return [
        f"{name}: {slot.slot} is not up: its process is {slot.process}"
        for name, each in agreed(seen.by_label)[1].items()
        for slot in each.slots_of(model)
        if slot.release and not slot.healthy and not slot.dozes and not slot.rests
    ]


def _await(
    there: Sequence[Tools],
    model: str,
    seconds: float,
    fault: str,
    good: Callable[[SlotFacts], bool],
) -> None:
    """Return once all replicas of the model on hosts that answer are `good`; raises HostError after `seconds`."""
    # Not the clock of the command: it may be set meanwhile.
    until = time.monotonic() + seconds
    while True:
        _, facts = agreed(look([each.host for each in there]).by_label)
        late = [
            f"{name}: {model} in {slot.slot} {fault}"
            for name, each in facts.items()
            for slot in each.slots_of(model)
            if slot.release and not good(slot)
        ]
        if not late:
            return
        if time.monotonic() >= until:
            raise HostError(
                f"after {format_seconds(seconds)}, {'; '.join(late)}",
                hint=f"toolkit status; toolkit logs {model}",
            )
        there[0].interruption.sleep(_EACH)
