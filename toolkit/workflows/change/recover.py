"""End the deployments that an earlier command left open, and undo one that this command cannot finish."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from toolkit.adapters.hosts.held import lock_lost
from toolkit.domain.deployment.plan import StepKind
from toolkit.domain.deployment.release import (
    Deployment,
    OpenDeployment,
    Outcome,
    Release,
    StepRecord,
)
from toolkit.domain.hosts.facts import RECORD, FleetFacts, HostFacts, left_record
from toolkit.domain.hosts.fleet import Host
from toolkit.domain.registry.release_parts import DEFAULT_HOLD
from toolkit.domain.said_once import listed
from toolkit.errors import CalledOffError, InterruptionError, ToolkitError
from toolkit.planning.change.judged import baking, guard_of, is_unjudged
from toolkit.planning.change.keeping import undone_in_turn
from toolkit.planning.change.recovery import Recovery, plan_recovery, until_returned
from toolkit.planning.change.span import beside
from toolkit.workflows.change.act import Act
from toolkit.workflows.change.apart import perform_apart
from toolkit.workflows.change.guarding import end_guard, is_returned, keep_verdict
from toolkit.workflows.change.recording import end_deployment, forget_on_host, record_foreign
from toolkit.workflows.change.subject import HostChange
from toolkit.workflows.change.wanted import usual_start
from toolkit.workflows.fleet.look import each_at_once
from toolkit.workflows.tools import Timing, Tools


@dataclass(frozen=True, slots=True)
class Ending:
    """The way to end what others left open: the `timing`, and the rollouts whose release has `failed` on any host.

    A release whose guard still watches it is left alone, but where the command is about its model, `ends_bake`. One
    whose guard has lost its order is left to a command about that model: `model` is this one's.
    """

    timing: Timing
    failed: frozenset[str] = frozenset()
    ends_bake: str = ""
    model: str = ""

    def leaves(self, facts: HostFacts, deployment: Deployment) -> bool:
        """Whether the command leaves the release to its guard, or to a person where that cannot judge it any more."""
        if deployment.model == self.ends_bake:
            return False
        if any(each.rollout == deployment.rollout for each in baking(facts, deployment.model)):
            return True
        failed = deployment.rollout in self.failed
        return deployment.model != self.model and not failed and is_unjudged(facts, deployment)


def end_everywhere(
    there: Sequence[Tools], seen: FleetFacts, ending: Ending, *, keep: int = 1
) -> dict[str, ToolkitError]:
    """Complete or undo every open deployment on all hosts, whose locks the caller holds.

    At once, but as far as `keep` hosts go on serving each model: see `undone_in_turn`. Where that fails on a host that
    served, no further host stops its replica. Return the errors of all hosts, by name, on which one is still open.
    """
    opened = left_open(there, seen, ending)
    if len(there) == 1:
        opened = [replace(each, host=there[0].host.name) for each in opened]
    tools = {each.host.name: each for each in there}
    failed: dict[str, ToolkitError] = {}

    def end(each: Tools) -> None:
        try:
            end_unfinished(each, ending)
        except InterruptionError:
            raise
        except ToolkitError as error:
            failed[each.host.name] = error

    for names in undone_in_turn(opened, seen.facts, keep):
        if any(slot.serving for name in failed for slot in seen.facts[name].slots):
            called_off = CalledOffError("what was cut short on another host could not be ended")
            failed |= dict.fromkeys(names, called_off)
        else:
            each_at_once(
                [tools[name] for name in names if name in tools],
                end,
                there[0].interruption.begin,
            )
    return failed


def end_unfinished(tools: Tools, ending: Ending) -> list[Recovery]:
    """Complete or undo every open deployment on the host. The caller holds its lock: no command works on them.

    The history knows those of this ops machine, and the host those of any that it keeps.
    """
    facts = tools.host.observe()
    found = [
        each
        for each in open_on(tools.host.host, tools.history.unfinished())
        if not ending.leaves(facts, each)
    ]
    kept, done = {each.rollout: each for each in facts.open_deployments}, []
    for deployment in found:
        if deployment.kept and not _keeps(facts, deployment):
            _close(tools, deployment, facts)
            continue
        tools.say(
            f"deployment {deployment.id} ({deployment.action} {deployment.model}) was cut short"
        )
        own = kept.get(deployment.rollout)
        done.append(_end_cut(tools, deployment, "cut short", ending, own))
    known = {each.rollout for each in found}
    for rollout, each in kept.items():
        if rollout not in known and not ending.leaves(facts, each.on(tools.host.name)):
            done += _end_foreign(tools, each, facts, ending)
    return done


def _end_cut(
    tools: Tools, deployment: Deployment, reason: str, ending: Ending, kept: OpenDeployment | None
) -> Recovery:
    """Complete or undo a deployment whose command is gone. A release that failed on one host completes on none."""
    completes = deployment.rollout not in ending.failed
    return _end(tools, deployment, reason, ending.timing, may_complete=completes, kept=kept)


def _keeps(facts: HostFacts, deployment: Deployment) -> bool:
    """Whether the host still has the deployment, or a record that cannot be read."""
    unread = {RECORD, left_record(deployment.rollout)}
    return bool(unread & {*facts.lost_records}) or any(
        each.rollout == deployment.rollout for each in facts.open_deployments
    )


def _close(tools: Tools, deployment: Deployment, facts: HostFacts) -> None:
    """Record the end of a deployment that did not begin on the host, or was ended there from elsewhere."""
    current = facts.serving_slot(deployment.model)
    serving = current.release.number if current and current.release else None
    live = serving == deployment.release
    outcome = Outcome.LIVE if live else Outcome.UNDONE
    if deployment.action == "stop":
        outcome = Outcome.DONE
    guard = guard_of(facts, deployment.rollout)
    keep_verdict(tools, guard)
    tools.say(f"deployment {deployment.id} ended without a record here: it is {outcome}")
    end_deployment(
        tools,
        deployment.id,
        outcome,
        "its end was not recorded here",
        rollout=deployment.rollout,
        guarded=guard.model if guard else "",
    )


def _end_foreign(
    tools: Tools, kept: OpenDeployment, facts: HostFacts, ending: Ending
) -> list[Recovery]:
    """Complete or undo the deployment that the host keeps and no open one of this history is."""
    history, name = tools.history, tools.host.name
    if history.is_recorded(kept.model, name, kept.rollout):
        # The history has the end of this deployment: the command was cut short before it told the host.
        forget_on_host(tools, kept.rollout)
        return []
    tools.say(f"{kept.action} {kept.model} by {kept.actor} was cut short")
    deployment = record_foreign(tools, kept)
    there = next((each for each in facts.slots_of(kept.model) if each.slot == kept.slot), None)
    if kept.starts and there and there.release:
        # A replica that was there is stopped first, and nobody tells whether that has begun.
        begun: tuple[StepKind, ...] = (StepKind.STOP,)
        if there.release.number == deployment.release:
            begun = (StepKind.START, *((StepKind.SHIFT,) if there.serving else ()))
        steps = (StepRecord(0, each, kept.slot, Outcome.RUNNING, kept.started_at) for each in begun)
        deployment = replace(deployment, steps=tuple(steps))
    reason = f"cut short, and ended by {tools.owner.actor}"
    return [_end_cut(tools, deployment, reason, ending, kept)]


def left_open(members: Sequence[Tools], seen: FleetFacts, ending: Ending) -> list[Deployment]:
    """Return the deployments that an earlier command did not end on hosts that answer.

    Those that the `ending` leaves to a guard or to a person are not among them.
    """
    unfinished = members[0].history.unfinished()
    found = []
    for each in members:
        facts = seen.facts.get(each.host.name)
        if facts is None:
            continue
        known = open_on(each.host.host, unfinished)
        rollouts = {one.rollout for one in known}
        kept = [one for one in facts.open_deployments if one.rollout not in rollouts]
        known += [one.on(facts.name) for one in kept]
        found += [one for one in known if not ending.leaves(facts, one)]
    return found


@contextmanager
def naming_left_open(members: Sequence[Tools]) -> Iterator[None]:
    """Where Ctrl-C ends the block at once, raise InterruptionError with the hosts of `members` that have a change open.

    Nothing was undone there: a second Ctrl-C forbids it, or the first one came while an earlier change was being ended.
    """
    try:
        yield
    except KeyboardInterrupt:
        unfinished = members[0].history.unfinished()
        left = [each.host.name for each in members if open_on(each.host.host, unfinished)]
        if not left:
            raise
        raise InterruptionError(
            f"interrupted; a change is left open on {listed(left)}",
            hint="toolkit status; the next deploy, upgrade, rollback or stop ends it",
        ) from None


def open_on(host: Host, unfinished: Iterable[Deployment]) -> list[Deployment]:
    """Return the open deployments of the host. A deployment without a host predates fleets and is the only host's."""
    own = (host.name,) if host.peers else (host.name, "")
    return [each for each in unfinished if each.host in own]


def undo(
    tools: Tools, deployment: int, reason: str, timing: Timing, *, refused: bool = False
) -> Recovery:
    """Give the traffic back to the release that served before `deployment`, and empty its slot.

    A replica that was there before stays, and takes the traffic over as before unless its release was `refused` on any
    host. Raises HostError where the deployment has ended: only a command that has taken the lock of the host over ends
    it.
    """
    opened = _opened(tools, deployment)
    return _end(tools, opened, reason, timing, may_complete=False, refused=refused)


def complete(tools: Tools, deployment: int, reason: str, timing: Timing) -> Recovery:
    """End `deployment` as live where its release has the traffic and answers, else as `undo` does.

    The former replica stays for a rollback. Raises HostError where the deployment has ended, as `undo` does.
    """
    return _end(
        tools, _opened(tools, deployment), reason, timing, may_complete=True, has_passed=True
    )


def _opened(tools: Tools, deployment: int) -> Deployment:
    found = next((each for each in tools.history.unfinished() if each.id == deployment), None)
    if found is None:
        raise lock_lost()
    return found


def _end(
    tools: Tools,
    deployment: Deployment,
    reason: str,
    timing: Timing,
    *,
    may_complete: bool,
    has_passed: bool = False,
    kept: OpenDeployment | None = None,
    refused: bool = False,
) -> Recovery:
    previous = kept.previous if kept else _release(tools, deployment.model, deployment.previous)
    new = kept.release if kept else _release(tools, deployment.model, deployment.release)
    previous = beside(previous, new)
    facts = tools.host.observe()
    tools.routers.observed({tools.host.label: facts})
    facts = tools.routers.agreed(tools.host.label, facts)
    guard = guard_of(facts, deployment.rollout)
    keep_verdict(tools, guard)
    if guard and guard.verdict and guard.withdrawn:
        reason = f"{guard.verdict.gate}: {guard.verdict.reason}"
    # A host on which the release has passed may keep it although another host's guard has returned it, if so many hosts
    # may fail.
    returned = not has_passed and is_returned(tools, deployment)
    recovery = plan_recovery(
        deployment,
        previous,
        facts,
        may_complete=may_complete,
        returned=returned,
        refused=refused,
        hold=declared.hold if (declared := new or previous) else DEFAULT_HOLD,
        starts=usual_start(tools.history, deployment.model),
    )
    tools.say(f"{'completing' if recovery.completes else 'undoing'} it: {recovery.reason}")
    wanted = ((recovery.slot, new), (recovery.previous_slot, previous))
    # Where the slot names the former release, its replica has given up none of the adapters yet.
    former = previous if recovery.completes else None
    releases = {slot: release for slot, release in wanted if slot and release}
    change = HostChange(
        deployment.model,
        releases,
        None,
        timing,
        # A release that failed takes no traffic over.
        standby=recovery.completes,
        proven=True,
        leaves=deployment.action == "stop",
        keeps_place=recovery.keeps_place,
        former=former,
        tried=tuple(each for each in (new, previous) if each),
    )
    act, steps = Act(tools, change, deployment.id, facts), recovery.steps
    if guard and not recovery.completes:
        count = until_returned(steps)
        act.perform(steps[:count])
        end_guard(tools, guard.model, guard.rollout)
        steps = steps[count:]
    if deployment.action == "stop":
        perform_apart(act, steps, tools.interruption)
    else:
        act.perform(steps)
    outcome = _outcome(deployment, recovery, may_complete=may_complete, returned=returned)
    guarded = guard.model if guard else ""
    end_deployment(
        tools, deployment.id, outcome, reason, rollout=deployment.rollout, guarded=guarded
    )
    return recovery


def _outcome(
    deployment: Deployment, recovery: Recovery, *, may_complete: bool, returned: bool
) -> Outcome:
    if not may_complete:
        return Outcome.FAILED
    if deployment.action == "stop":
        return Outcome.DONE
    if returned and not recovery.completes:
        return Outcome.FAILED
    return Outcome.LIVE if recovery.completes else Outcome.UNDONE


def _release(tools: Tools, model: str, number: int | None) -> Release | None:
    return None if number is None else tools.history.release(model, number)
