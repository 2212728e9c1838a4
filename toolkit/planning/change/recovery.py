"""The end of a deployment that was left open: complete it, or undo it.

The same decision serves a step that failed, a Ctrl-C and a command that was killed: it is taken from what the
host shows now, never from what the command believed it had done.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from toolkit.domain.deployment.plan import BEGINS, ENDS, Step, StepKind
from toolkit.domain.deployment.release import Deployment, Outcome, Release
from toolkit.domain.hosts.facts import HostFacts, SlotFacts
from toolkit.domain.registry.release_parts import DEFAULT_HOLD
from toolkit.planning.change.adapters import was_adapted
from toolkit.planning.change.doze import WAKE_SECONDS, is_cold, made_way, wake_step
from toolkit.planning.change.judged import guard_of
from toolkit.planning.change.waiting import drain_before
from toolkit.planning.routing.routes import Routes


@dataclass(frozen=True, slots=True)
class Recovery:
    """The steps that end an open deployment; `completes` says whether as live or as undone.

    The host `keeps_place`, without traffic, where the routes led to it before although it had no replica.
    """

    completes: bool
    reason: str
    steps: tuple[Step, ...]
    slot: str
    previous_slot: str
    keeps_place: bool = False


def plan_recovery(
    deployment: Deployment,
    previous: Release | None,
    facts: HostFacts,
    *,
    may_complete: bool,
    returned: bool = False,
    refused: bool = False,
    hold: float = DEFAULT_HOLD,
    starts: float = 60.0,
) -> Recovery:
    """Return how to end `deployment`, whose release the guard of any host may have `returned` as no good.

    It is completed only where `may_complete` (no step failed), its release has the traffic and answers, and no guard
    has withdrawn or returned it; otherwise the `previous` release gets the traffic back and the new slot is emptied. A
    share of a canary is no traffic that completes anything: it goes back. A replica that was there before the
    deployment stays unless its release was returned, even where it has ended and its host starts it again. It takes
    the traffic over as before unless any host has `refused` the release. Requests wait for up to `hold` seconds while
    the previous release starts anew, which usually takes `starts` seconds.
    """
    slots = {slot.slot: slot for slot in facts.slots_of(deployment.model)}
    if deployment.action == "stop":
        return Recovery(True, "a stop goes on", stop_steps(deployment.model, facts), "", "")
    new = slots.get(deployment.slot)
    if new and facts.router.silent:
        # A silent router does not tell its sessions: assume one.
        new = replace(new, sessions=max(1, new.sessions))
    old = _slot_of(previous, slots, deployment.slot)
    guard = guard_of(facts, deployment.rollout)
    withdrawn = bool(guard and guard.withdrawn)
    # Its guard may be forgotten by now: an undo that was cut short had begun to empty its slot.
    may_complete = may_complete and not returned
    refused = refused or (may_complete and _is_refused(deployment))
    if old is None and was_adapted(deployment, previous, new):
        return _adapted(deployment, new, may_complete=may_complete and not withdrawn)
    if may_complete and not withdrawn and _is_live(new, deployment.release):
        return Recovery(True, *_complete(deployment, old))
    back = may_complete and deployment.action == "rollback" and old is None
    if back and new and (new.dozes or (not refused and _answers(deployment, new))):
        return Recovery(True, *_back(deployment, new))
    stays = new is not None and not returned and _was_there(deployment, new)
    waits = (
        Step(StepKind.HOLD, "", deployment.slot, seconds=hold),
        drain_before(deployment.slot, hold, WAKE_SECONDS if old and old.dozes else starts),
    )
    unheld = _is_unheld(deployment, facts)
    steps = _undo(
        deployment, previous, new, old, waits, withdrawn=withdrawn, stays=stays, unheld=unheld
    )
    undone = Recovery(False, *steps, keeps_place=previous is None and _had_place(deployment, facts))
    former = previous is not None and not _changed_host_alone(deployment, previous, old)
    takes_over = former and new is not None and not made_way(new) and stays and not refused
    return _with_standby(undone, facts, deployment) if takes_over else undone


def has_place(model: str, facts: HostFacts) -> bool:
    """Whether the model's routes lead to the host, with or without traffic."""
    route = Routes.from_json(facts.routes).of(model)
    return bool(route and route.on(facts.routes.get("at", "")))


def _had_place(deployment: Deployment, facts: HostFacts) -> bool:
    """Whether the model's routes led to the host before `deployment`, as after a new installation.

    The next commands must bring the model there again. Where the host does not keep the deployment, routes that it has
    changed tell nothing.
    """
    kept = (each for each in facts.open_deployments if each.rollout == deployment.rollout)
    if any(each.placed for each in kept):
        return True
    shifted = any(step.kind == StepKind.SHIFT for step in deployment.steps)
    return not shifted and has_place(deployment.model, facts)


def _is_unheld(deployment: Deployment, facts: HostFacts) -> bool:
    """Whether nothing serves the model and no request waits: the hold ended some time after its command."""
    route = Routes.from_json(facts.routes).of(deployment.model)
    if route is None or route.hold or route.sleep:
        return False
    at = facts.routes.get("at", "")
    own = any(each.slot == deployment.slot and each.host == at for each in route.targets)
    return own and not any(each.weight or each.share for each in route.targets)


def _with_standby(undone: Recovery, facts: HostFacts, deployment: Deployment) -> Recovery:
    """Return an undo after which the replica that stays takes the traffic over as before.

    The routes do not let it where it was given a share, or was to be replaced.
    """
    route = Routes.from_json(facts.routes).of(deployment.model)
    own = route.on(facts.routes.get("at", "")) if route else ()
    if not any(each.slot == deployment.slot and not each.standby for each in own):
        return undone
    step = Step(StepKind.STANDBY, "takes the traffic over as before", deployment.slot)
    return replace(undone, steps=(*undone.steps, step))


def _adapted(deployment: Deployment, slot: SlotFacts | None, *, may_complete: bool) -> Recovery:
    """Return how to end a change of adapters, which left the replica where it was.

    Its slot names the new release once each adapter has passed its checks. The engine may still lack some.
    """
    passed = slot is not None and slot.release and slot.release.number == deployment.release
    name = deployment.slot
    if may_complete and passed:
        step = Step(
            StepKind.ADAPT, "the adapters of the new release, which passed their checks", name
        )
        return Recovery(True, "the new adapters had passed their checks", (step,), name, "")
    step = Step(StepKind.ADAPT, "the adapters of the former release", name)
    return Recovery(False, "the new adapters had not become live", (step,), "", name)


def until_returned(steps: Sequence[Step]) -> int:
    """Return how many of an undo's `steps` give the traffic back, before any of them stops a replica; 0 where none do.

    A guard must watch until then: if the undo is killed before, it gives the traffic back itself. After that it would
    see its replica end, and withdraw what is gone.
    """
    for count, step in enumerate(steps, 1):
        if step.kind in (StepKind.SHIFT, StepKind.REMOVE, StepKind.ADAPT):
            return count
        if step.kind is StepKind.STOP:
            return 0
    return 0


def stop_steps(model: str, facts: HostFacts) -> tuple[Step, ...]:
    """Return the steps that take a model out of service: no new requests, drain, stop."""
    steps = [Step(StepKind.REMOVE, f"no new requests for {model}")]
    for slot in facts.slots_of(model):
        if slot.healthy:
            steps.append(Step(StepKind.DRAIN, "its running requests end first", slot.slot))
        steps.append(Step(StepKind.STOP, "taken out of service", slot.slot))
    return tuple(steps)


def _complete(
    deployment: Deployment, old: SlotFacts | None
) -> tuple[str, tuple[Step, ...], str, str]:
    steps = [Step(StepKind.SHIFT, "all traffic to the new release", deployment.slot)]
    # A replica that dozes or rests gave its device back before, and stays as it is.
    if old is not None and not made_way(old):
        steps.append(Step(StepKind.DRAIN, "its running requests end first", old.slot))
        steps.append(Step(StepKind.STANDBY, "stays for a rollback", old.slot))
    reason = "the traffic had been shifted and the new release answers"
    return reason, tuple(steps), deployment.slot, old.slot if old else ""


def _answers(deployment: Deployment, new: SlotFacts) -> bool:
    """Whether the release of a deployment is ready in `new`."""
    there = new.release is not None and new.release.number == deployment.release
    return there and new.healthy


def _back(deployment: Deployment, new: SlotFacts) -> tuple[str, tuple[Step, ...], str, str]:
    """Return how to complete a rollback whose release dozes or answers, and whose predecessor was stopped for it."""
    steps = (
        *((wake_step(new),) if new.dozes else ()),
        Step(StepKind.GATE, "it must answer before it takes traffic", deployment.slot),
        Step(StepKind.SHIFT, "all traffic to the release before", deployment.slot),
    )
    how = "dozes" if new.dozes else "is ready"
    return f"its release {how} here, and nothing else is left", steps, deployment.slot, ""


def _changed_host_alone(deployment: Deployment, previous: Release, old: SlotFacts | None) -> bool:
    """Whether the deployment changed the host under its release, which was live before and stays live."""
    return previous.number == deployment.release and old is None


def _is_refused(deployment: Deployment) -> bool:
    """Whether a gate refused the release in its slot, as far as its command could record that."""
    return any(
        (step.kind, step.detail, step.outcome) == (StepKind.GATE, deployment.slot, Outcome.FAILED)
        for step in deployment.steps
    )


def _undo(
    deployment: Deployment,
    previous: Release | None,
    new: SlotFacts | None,
    old: SlotFacts | None,
    waits: tuple[Step, Step],
    *,
    withdrawn: bool,
    stays: bool,
    unheld: bool,
) -> tuple[str, tuple[Step, ...], str, str]:
    """Return why and by which steps, the new slot and the former one; the new replica `stays` as it is, or ends.

    Where requests must wait, `waits` has the step that lets them, and the drain that they wait for. With `unheld`
    nothing serves the model, and they do not wait.
    """
    old_slot = old.slot if old else ""
    if previous is not None and _changed_host_alone(deployment, previous, old):
        return "its release was live before and stays so", (), deployment.slot, old_slot
    ended = () if stays else _emptied(deployment, new)
    steps = ended
    if previous is None:
        steps = (Step(StepKind.REMOVE, "no release served before", deployment.slot), *ended)
    elif old is None or is_cold(old):
        # The former replica made way for its memory: the new one must end before it can start again, or wake.
        old_slot = old_slot or _other(deployment.slot)
        gives_up = new is not None and new.weight and (ended or (old is not None and old.dozes))
        steps = (
            *([_until_it_is_back(waits[0], old)] if gives_up or unheld else ()),
            *(waits[1] if each.kind is StepKind.DRAIN else each for each in ended),
            *_brought_back(previous, old, old_slot),
        )
    elif withdrawn or old.weight == 0 or (new is not None and (new.weight or new.share)):
        # The routers of the other hosts must learn what this one has withdrawn.
        steps = (_traffic_back(previous, old_slot), *ended)
    return "the new release had not become live", steps, deployment.slot, old_slot


def _until_it_is_back(wait: Step, old: SlotFacts | None) -> Step:
    """Return the step that lets requests wait, with the reason."""
    how = "has woken" if old and old.dozes else "has started"
    return replace(wait, reason=f"no new requests to it; they wait until the former release {how}")


def _brought_back(previous: Release, old: SlotFacts | None, slot: str) -> Iterator[Step]:
    """Yield the steps by which the former release wakes or starts anew in its `slot`, and serves."""
    if old and old.dozes:
        yield wake_step(old)
    else:
        if old and made_way(old):
            why = f"the engine of {previous.title} has ended while it dozed"
            yield Step(StepKind.STOP, why, slot)
        yield Step(StepKind.START, f"{previous.title} had been stopped", slot)
    yield Step(StepKind.GATE, "it must answer before it takes traffic", slot)
    yield _traffic_back(previous, slot)


def _traffic_back(previous: Release, slot: str) -> Step:
    return Step(StepKind.SHIFT, f"traffic back to {previous.title}", slot)


def _emptied(deployment: Deployment, new: SlotFacts | None) -> tuple[Step, ...]:
    if new is None:
        return ()
    stop = Step(StepKind.STOP, "the release that did not become live", deployment.slot)
    if not (new.sessions and new.healthy):
        return (stop,)
    return (Step(StepKind.DRAIN, "its running requests end first", deployment.slot), stop)


def _was_there(deployment: Deployment, new: SlotFacts) -> bool:
    """Whether the slot holds a replica from before the deployment.

    Its host may be about to start it again; one that the deployment has begun to end, or to give other adapters, is
    there while it answers.
    """
    touched = {step.kind for step in deployment.steps if step.detail == deployment.slot}
    if new.release is None or not touched.isdisjoint(BEGINS):
        return False
    return new.healthy or new.dozes or touched.isdisjoint((*ENDS, StepKind.ADAPT))


def _is_live(new: SlotFacts | None, number: int) -> bool:
    return bool(new and new.serving and new.release and new.release.number == number)


def _slot_of(
    previous: Release | None, slots: dict[str, SlotFacts], new_slot: str
) -> SlotFacts | None:
    for name, slot in slots.items():
        if (
            previous
            and name != new_slot
            and slot.release
            and slot.release.number == previous.number
        ):
            return slot
    return None


def _other(slot: str) -> str:
    return "green" if slot == "blue" else "blue"
