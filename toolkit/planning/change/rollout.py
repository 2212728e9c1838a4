"""The order in which the hosts of a fleet change their release."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from toolkit.domain.deployment.change import Change, folded
from toolkit.domain.deployment.plan import Plan, Step, StepKind, Strategy
from toolkit.domain.deployment.release import Release
from toolkit.domain.hosts.facts import HostFacts
from toolkit.errors import RefusedError, ToolkitError
from toolkit.planning.change.adapters import adapter_changes
from toolkit.planning.change.batch_sizes import BatchSize, batched
from toolkit.planning.change.canary import has_canary, is_declared, with_canary
from toolkit.planning.change.deploy import HOLD_NOTE, SWAP_NOTE, Wanted
from toolkit.planning.change.doze import DOZE_NOTE
from toolkit.planning.change.traffic import traffic_words
from toolkit.planning.change.waiting import IMPATIENCE_NOTE, unbounded
from toolkit.planning.routing.routes import Routes

# Steps that prepare a host before the first batch; none of them touches a serving replica.
PREPARATION = (
    StepKind.PROVISION,
    StepKind.FETCH,
    StepKind.VERIFY,
    StepKind.INSTALL_ENGINE,
    StepKind.DISTRIBUTE,
)

# Steps that, at the end of a plan, concern no replica that takes new requests.
_LETTING_GO = (StepKind.DRAIN, StepKind.STANDBY, StepKind.STOP)

UNHELD_NOTE = "requests do not wait meanwhile: they go to"


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of a rollout.

    `serial` hosts change at once, or as many as the sizes of the first and each later batch say; more than
    `max_failures` failed hosts end the rollout; at least `keep` hosts go on serving the model at each moment.
    """

    serial: int | tuple[BatchSize, ...] = 1
    max_failures: int = 0
    keep: int = 1


@dataclass(frozen=True, slots=True)
class RolloutPlan:
    """The plan of each host, by name, and the batches in which hosts change.

    `unreachable` are the hosts that do not answer, with the reason; `unable` those that have the model and cannot go
    back with the others, with the error.
    """

    action: str
    model: str
    plans: Mapping[str, Plan]
    batches: tuple[tuple[str, ...], ...]
    unreachable: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    unable: Mapping[str, ToolkitError] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether no host needs a change."""
        return not self.batches

    @property
    def prepared_before(self) -> int:
        """The batch before which hosts are prepared: the second of a rollback whose first needs nothing prepared."""
        first = self.batches[0] if self.batches else ()
        steps = {step.kind for name in first for step in self.plans[name].steps}
        return int(self.action == "rollback" and steps.isdisjoint(PREPARATION))

    def bearable(self, batch: Collection[str], allowed: int) -> int:
        """Return how many hosts may fail before all of `batch` are restored, where `allowed` may fail in the rollout.

        In a rollback a host whose standby is no good keeps no other from going back.
        """
        apart = self.action == "rollback" and all(_only_switches(self.plans[n]) for n in batch)
        whole = any(release.span for release in self.releases)
        return allowed + (len(batch) if apart and not whole else 0)

    @property
    def kinds(self) -> frozenset[StepKind]:
        """The kinds of steps that any host takes."""
        return frozenset(step.kind for plan in self.plans.values() for step in plan.steps)

    @property
    def rolling(self) -> frozenset[str]:
        """The hosts whose old replica stops before the new one starts."""
        stopping = (Strategy.ROLLING, Strategy.SWAP)
        return frozenset(n for n, plan in self.plans.items() if plan.strategy in stopping)

    @property
    def traffic(self) -> str:
        """The effect on the model's requests, in a sentence."""
        return traffic_words(self.model, self.plans, self.batches)

    @property
    def changes(self) -> tuple[Change, ...]:
        """The differences from what runs, of all hosts that change; equal changes of several hosts are one."""
        return folded({name: plan.changes for name, plan in self.plans.items() if not plan.empty})

    @property
    def serving(self) -> tuple[Release, ...]:
        """The releases that have traffic now on the hosts that take part: several in the midst of a rollout."""
        found = {
            plan.previous.number: plan.previous for plan in self.plans.values() if plan.previous
        }
        return tuple(found.values())

    @property
    def releases(self) -> tuple[Release, ...]:
        """The releases that hosts get: one, unless the devices of hosts differ."""
        found: dict[int, Release] = {}
        for plan in self.plans.values():
            if plan.release:
                found[plan.release.number] = plan.release
        return tuple(found.values())

    @property
    def other_owners(self) -> tuple[str, ...]:
        """The repositories of the new weights whose owner is not the owner of the weights that serve now."""
        changes = [
            (plan.release.source, plan.previous.source)
            for plan in self.plans.values()
            if not plan.empty and plan.release and plan.previous
        ]
        crossed = [after for after, before in changes if _owner(after) != _owner(before)]
        return tuple(dict.fromkeys(crossed))

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "action": self.action,
            "model": self.model,
            "traffic": self.traffic,
            "changes": [each.as_json() for each in self.changes],
            "hosts": {name: plan.as_json() for name, plan in self.plans.items()},
            "batches": [list(batch) for batch in self.batches],
            "unreachable": dict(self.unreachable),
            "notes": list(self.notes),
        }


def _owner(source: str) -> str:
    return source.partition("/")[0].lower()


def numbered(
    wanted: Mapping[str, Wanted], known: Iterable[Release], facts: Iterable[HostFacts]
) -> dict[str, Wanted]:
    """Return `wanted`, by host's name, with one number for each different release.

    A release that is `known` to the history, or lies in a slot of `facts`, keeps its number. Hosts whose devices
    differ get different releases, which count on from the highest number.
    """
    model = next(iter(wanted.values())).release.model
    slots = [slot for each in facts for slot in each.slots_of(model)]
    there = [*(slot.release for slot in slots if slot.release), *known]
    found = {}
    for name, each in wanted.items():
        same = next((release for release in there if release.same_as(each.release)), None)
        if same is None:
            number = max((release.number for release in there), default=0) + 1
            same = replace(each.release, number=number)
            there.append(same)
        found[name] = replace(each, release=same)
    return found


def differs(plan: RolloutPlan, shown: RolloutPlan) -> bool:
    """Whether `plan` has anything to do that was not `shown`."""

    def steps(rollout: RolloutPlan) -> dict[str, list[tuple[StepKind, str]]]:
        return {
            name: [(step.kind, step.slot) for step in plan.steps]
            for name, plan in rollout.plans.items()
        }

    return not plan.empty and steps(plan) != steps(shown)


def plan_rollout(
    plans: Mapping[str, Plan],
    facts: Mapping[str, HostFacts],
    limits: Limits,
    *,
    unreachable: Mapping[str, str],
    notes: Sequence[str] = (),
) -> RolloutPlan:
    """Return the batches in which the hosts perform their plans.

    Hosts that do not serve the model yet come first and together, since they hold no traffic. Where all of the
    others only switch to a standby, they do so at once. In a rollback those that only switch come before all others,
    so that the newer release is left at once wherever that can be. The rest follows in batches by `serial`, and where a
    host must stop its old replica for want of room, never so many at once that fewer than `keep` would serve.
    Raises RefusedError where that is not possible.
    """
    first = next(iter(plans.values()))
    if first.release and first.release.span:
        return _together(plans, unreachable, notes)
    busy = [name for name, plan in plans.items() if not plan.empty]
    serving = serving_hosts(first.model, facts)
    fresh = tuple(name for name in busy if name not in serving)
    others = [name for name in busy if name in serving]
    rolling = {name for name in others if plans[name].strategy is Strategy.SWAP}
    most = None
    if rolling and len(serving) > 1:
        spare = len(serving) - limits.keep
        if spare < 1:
            raise RefusedError(
                too_few(first.model, len(serving), limits.keep, rolling),
                hint="add a host, or lower --keep",
            )
        most = spare
    switching = [name for name in others if _only_switches(plans[name])]
    back = first.action == "rollback"
    at_once = switching if back or len(switching) == len(others) else []
    serial = limits.serial
    sizes = (BatchSize(serial),) if isinstance(serial, int) else serial
    batches = batched([name for name in others if name not in at_once], sizes, most)
    if at_once:
        batches.insert(0, tuple(at_once))
    plans = _swapping(plans, facts, batches, rolling, serving)
    if batches and any(has_canary(plan) for plan in plans.values()):
        # Hosts that join get a part of all requests at once: not before the canary has passed.
        plans = with_canary(plans, batches[0], len(serving))
        batches[1:1] = [fresh] if fresh else []
    elif fresh:
        batches.insert(1 if back and at_once else 0, fresh)
    first_hosts = _first_with_adapters(plans, batches, len(serving))
    return RolloutPlan(
        action=first.action,
        model=first.model,
        plans=plans,
        batches=tuple(batches),
        unreachable=unreachable,
        notes=(*notes, *first_hosts),
    )


def _first_with_adapters(
    plans: Mapping[str, Plan], batches: Sequence[tuple[str, ...]], serving: int
) -> tuple[str, ...]:
    """Say which part of the requests newer adapters get first, where they are watched.

    Both versions of an adapter are in one replica, and routers give shares to replicas. So hosts are the only shares.
    """
    exchanged = {
        each
        for plan in plans.values()
        if plan.strategy is Strategy.ADAPT and is_declared(plan) and plan.previous and plan.release
        for each in adapter_changes(plan.previous, plan.release).exchanged
    }
    if not exchanged:
        return ()
    names, first = ", ".join(sorted(exchanged)), batches[0]
    if len(first) < serving:
        part = (
            f"{len(first)} of {serving} hosts, so about {len(first) / serving:.0%} of the requests"
        )
        return (
            f"the newer {names} answers on {' and '.join(first)} first: {part}, until its bake has passed",
        )
    return (
        f"the newer {names} answers all requests at once: a canary needs a host that follows later",
    )


def _together(
    plans: Mapping[str, Plan], unreachable: Mapping[str, str], notes: Sequence[str]
) -> RolloutPlan:
    """Return the plan of one replica over all hosts: one batch, without other hosts that serve meanwhile."""
    first = next(iter(plans.values()))
    busy = tuple(name for name, plan in plans.items() if not plan.empty)
    plans = with_canary(plans, busy, len(busy))
    note = f"one replica over {' and '.join(plans)}, which change together"
    batches = (busy,) if busy else ()
    return RolloutPlan(first.action, first.model, plans, batches, unreachable, (*notes, note))


def too_few(model: str, serving: int, keep: int, stopping: Collection[str]) -> str:
    """Return in words that fewer than `keep` hosts would serve, were the hosts `stopping` to stop their replicas."""
    serve = "1 host serves" if serving == 1 else f"{serving} hosts serve"
    names = ", ".join(sorted(stopping))
    return f"{serve} {model} and {keep} must go on, but {names} cannot hold both releases at once"


def serving_hosts(model: str, facts: Mapping[str, HostFacts]) -> list[str]:
    """Return the names of the hosts on which a healthy replica has traffic of the model."""
    slots = {name: each.serving_slot(model) for name, each in facts.items()}
    return [name for name, slot in slots.items() if slot is not None and slot.healthy]


def _swapping(
    plans: Mapping[str, Plan],
    facts: Mapping[str, HostFacts],
    batches: Sequence[tuple[str, ...]],
    swaps: Collection[str],
    serving: Collection[str],
) -> dict[str, Plan]:
    """Return the plans; a plan with a swap says whether requests go to other hosts meanwhile, or wait."""
    found = dict(plans)
    # Hosts that join serve by the time that the only one stops its replica.
    known = {*serving, *(name for name, plan in plans.items() if not plan.empty)}
    for batch in batches:
        stopped = [name for name in batch if name in swaps]
        left = len(serving) - len(stopped)
        for name in stopped:
            plan = plans[name]
            found[name] = _rolling(plan, left) if left else _waiting(plan, facts[name], known)
    return found


def _rolling(plan: Plan, left: int) -> Plan:
    serve = "1 other host serves" if left == 1 else f"{left} other hosts serve"
    leaves = "falls asleep" if plan.has(StepKind.DOZE) else "stops"
    comes = "the former one wakes" if plan.has(StepKind.WAKE) else "the new one starts"
    note = f"its old replica {leaves} before {comes}; {serve} meanwhile"
    said = (SWAP_NOTE, DOZE_NOTE, HOLD_NOTE, IMPATIENCE_NOTE)
    kept = [each for each in plan.notes if not each.startswith(said)]
    steps = tuple(map(unbounded, plan.steps))
    return replace(plan, strategy=Strategy.ROLLING, downtime="", steps=steps, notes=(*kept, note))


def _waiting(plan: Plan, facts: HostFacts, known: Collection[str]) -> Plan:
    """Return the plan of a swap beside which no host serves: requests wait, unless the routes lead to an unknown host.

    A host that does not answer the ops machine may still answer its clients.
    """
    route = Routes.from_json(facts.routes).of(plan.model)
    elsewhere = sorted(
        {
            each.host
            for each in (route.targets if route else ())
            if (each.weight or each.standby) and each.host not in {*known, ""}
        }
    )
    if not elsewhere:
        return plan
    where, are = " and ".join(elsewhere), "are" if len(elsewhere) > 1 else "is"
    note = f"{UNHELD_NOTE} {where}, which {are} not known to serve"
    kept = [each for each in plan.notes if not each.startswith((HOLD_NOTE, IMPATIENCE_NOTE))]
    why = f"no new requests to it; they go to {where}"
    steps = tuple(
        replace(each, reason=why, seconds=0.0) if each.kind is StepKind.HOLD else unbounded(each)
        for each in plan.steps
    )
    return replace(plan, steps=steps, notes=(*kept, note))


def steps_of(plan: Plan, *, preparing: bool) -> list[Step]:
    """Return the steps of a host before the first batch, `preparing` it, or those of its batch."""
    return [step for step in plan.steps if (step.kind in PREPARATION) is preparing]


def until_letting_go(steps: Sequence[Step]) -> int:
    """Return how many of a host's `steps` come before those that only let go of the former replica."""
    count = len(steps)
    while count and steps[count - 1].kind in _LETTING_GO:
        count -= 1
    return count


def _only_switches(plan: Plan) -> bool:
    # A switch that needs files or an engine follows a changed pin: it is watched like a new replica.
    return plan.strategy is Strategy.SWITCH and all(
        step.kind not in (*PREPARATION, StepKind.CANARY, StepKind.BAKE) for step in plan.steps
    )
