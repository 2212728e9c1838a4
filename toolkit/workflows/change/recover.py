"""End the deployments that an earlier command left open, and undo one that this command cannot finish."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from toolkit.domain.facts import FleetFacts, HostFacts
from toolkit.domain.fleet import Host
from toolkit.domain.plan import StepKind
from toolkit.domain.release import Deployment, OpenDeployment, Outcome, Release, StepRecord
from toolkit.planning.change.recovery import Recovery, plan_recovery
from toolkit.workflows.change.act import Act, Change
from toolkit.workflows.change.recording import end_deployment, forget_on_host, record_foreign
from toolkit.workflows.tools import Timing, Tools

# Deployments of a model among which the end of one may be recorded.
_LOOK_BACK = 500


def end_unfinished(tools: Tools, timing: Timing) -> list[Recovery]:
    """Complete or undo every open deployment on the host. The caller holds its lock: no command works on them.

    The history knows those of this ops machine, and the host the last one of any.
    """
    found = open_on(tools.host.host, tools.history.unfinished())
    facts = tools.host.observe()
    kept, done = facts.opened, []
    for deployment in found:
        if deployment.kept and not _keeps(facts, deployment):
            _close(tools, deployment, facts)
            continue
        tools.say(
            f"deployment {deployment.id} ({deployment.action} {deployment.model}) was cut short"
        )
        done.append(_end(tools, deployment, "cut short", timing, may_complete=True, kept=kept))
    if kept and all(each.rollout != kept.rollout for each in found):
        done += _end_foreign(tools, kept, facts, timing)
    return done


def _keeps(facts: HostFacts, deployment: Deployment) -> bool:
    """Whether the host still has the deployment, or a record that cannot be read."""
    if facts.opened is None:
        return "deployment.json" in facts.damaged
    return facts.opened.rollout == deployment.rollout


def _close(tools: Tools, deployment: Deployment, facts: HostFacts) -> None:
    """Record the end of a deployment that did not begin on the host, or was ended there from elsewhere."""
    current = facts.serving_slot(deployment.model)
    serving = current.release.number if current and current.release else None
    live = serving == deployment.release
    outcome = Outcome.LIVE if live else Outcome.UNDONE
    if deployment.action == "stop":
        outcome = Outcome.DONE
    tools.say(f"deployment {deployment.id} ended without a record here: it is {outcome}")
    end_deployment(
        tools,
        deployment.id,
        outcome,
        "its end was not recorded here",
        rollout=deployment.rollout,
    )


def _end_foreign(
    tools: Tools, kept: OpenDeployment, facts: HostFacts, timing: Timing
) -> list[Recovery]:
    """Complete or undo the deployment that the host keeps and no open one of this history is."""
    history, name = tools.history, tools.host.name
    if any(
        each.rollout == kept.rollout and each.host == name
        for each in history.deployments(kept.model, _LOOK_BACK)
    ):
        # Its end was recorded; the command was cut short before the host knew.
        forget_on_host(tools, kept.rollout)
        return []
    tools.say(f"{kept.action} {kept.model} by {kept.actor} was cut short")
    deployment = record_foreign(tools, kept)
    there = next((each for each in facts.slots_of(kept.model) if each.slot == kept.slot), None)
    if kept.starts and there and there.release and there.release.number == deployment.release:
        started = StepRecord(0, StepKind.START, kept.slot, Outcome.RUNNING, kept.started_at)
        deployment = replace(deployment, steps=(started,))
    reason = f"cut short, and ended by {tools.owner.actor}"
    return [_end(tools, deployment, reason, timing, may_complete=True, kept=kept)]


def left_open(members: Sequence[Tools], seen: FleetFacts) -> list[Deployment]:
    """Return the deployments that an earlier command did not end on hosts that answer."""
    unfinished = members[0].history.unfinished()
    found = []
    for each in members:
        facts = seen.facts.get(each.host.name)
        if facts is None:
            continue
        known = open_on(each.host.host, unfinished)
        found += known
        if facts.opened and all(one.rollout != facts.opened.rollout for one in known):
            found.append(facts.opened.on(facts.name))
    return found


def open_on(host: Host, unfinished: Iterable[Deployment]) -> list[Deployment]:
    """Return the open deployments of the host. A deployment without a host predates fleets and is the only host's."""
    own = (host.name,) if host.peers else (host.name, "")
    return [each for each in unfinished if each.host in own]


def undo(tools: Tools, deployment: int, reason: str, timing: Timing) -> Recovery:
    """Give the traffic back to the release that served before `deployment`, and empty its slot."""
    found = next(each for each in tools.history.unfinished() if each.id == deployment)
    return _end(tools, found, reason, timing, may_complete=False)


def _end(
    tools: Tools,
    deployment: Deployment,
    reason: str,
    timing: Timing,
    *,
    may_complete: bool,
    kept: OpenDeployment | None = None,
) -> Recovery:
    own = kept if kept and kept.rollout == deployment.rollout else None
    previous = own.previous if own else _release(tools, deployment.model, deployment.previous)
    new = own.release if own else _release(tools, deployment.model, deployment.release)
    facts = tools.host.observe()
    tools.routers.observed({tools.host.label: facts})
    recovery = plan_recovery(deployment, previous, facts, may_complete=may_complete)
    tools.say(f"{'completing' if recovery.completes else 'undoing'} it: {recovery.reason}")
    wanted = ((recovery.slot, new), (recovery.previous_slot, previous))
    releases = {slot: release for slot, release in wanted if slot and release}
    # A release that failed takes no traffic over.
    change = Change(
        deployment.model,
        releases,
        None,
        timing,
        standby=recovery.completes,
        proven=True,
        leaves=deployment.action == "stop",
    )
    Act(tools, change, deployment.id, facts).perform(recovery.steps)
    outcome = Outcome.LIVE if recovery.completes else Outcome.UNDONE
    if deployment.action == "stop":
        outcome = Outcome.DONE
    if not may_complete:
        outcome = Outcome.FAILED
    end_deployment(tools, deployment.id, outcome, reason, rollout=deployment.rollout)
    return recovery


def _release(tools: Tools, model: str, number: int | None) -> Release | None:
    return None if number is None else tools.history.release(model, number)
