"""End the deployments that an earlier command left open, and undo one that this command cannot finish."""

from __future__ import annotations

from collections.abc import Iterable

from toolkit.domain.fleet import Host
from toolkit.domain.release import Deployment, Outcome, Release
from toolkit.planning.change.recovery import Recovery, plan_recovery
from toolkit.workflows.change.act import Act, Change
from toolkit.workflows.change.recording import end_deployment
from toolkit.workflows.tools import Timing, Tools


def end_unfinished(tools: Tools, timing: Timing) -> list[Recovery]:
    """Complete or undo every open deployment on the host. The caller holds its lock: no command works on them."""
    done = []
    for deployment in open_on(tools.host.host, tools.history.unfinished()):
        tools.say(
            f"deployment {deployment.id} ({deployment.action} {deployment.model}) was cut short"
        )
        done.append(_end(tools, deployment, "cut short", timing, may_complete=True))
    return done


def open_on(host: Host, unfinished: Iterable[Deployment]) -> list[Deployment]:
    """Return the open deployments of the host. A deployment without a host predates fleets and is the only host's."""
    own = (host.name,) if host.peers else (host.name, "")
    return [each for each in unfinished if each.host in own]


def undo(tools: Tools, deployment: int, reason: str, timing: Timing) -> Recovery:
    """Give the traffic back to the release that served before `deployment`, and empty its slot."""
    found = next(each for each in tools.history.unfinished() if each.id == deployment)
    return _end(tools, found, reason, timing, may_complete=False)


def _end(
    tools: Tools, deployment: Deployment, reason: str, timing: Timing, *, may_complete: bool
) -> Recovery:
    previous = _release(tools, deployment.model, deployment.previous)
    facts = tools.host.observe()
    tools.routers.observed({tools.host.label: facts})
    recovery = plan_recovery(deployment, previous, facts, may_complete=may_complete)
    tools.say(f"{'completing' if recovery.completes else 'undoing'} it: {recovery.reason}")
    releases = _releases(tools, deployment, recovery, previous)
    # A release that failed takes no traffic over.
    change = Change(deployment.model, releases, None, timing, standby=recovery.completes)
    Act(tools, change, deployment.id, facts).perform(recovery.steps)
    outcome = Outcome.LIVE if recovery.completes else Outcome.UNDONE
    if deployment.action == "stop":
        outcome = Outcome.DONE
    if not may_complete:
        outcome = Outcome.FAILED
    end_deployment(tools, deployment.id, outcome, reason)
    return recovery


def _releases(
    tools: Tools, deployment: Deployment, recovery: Recovery, previous: Release | None
) -> dict[str, Release]:
    releases = {}
    new = _release(tools, deployment.model, deployment.release)
    if new is not None:
        releases[recovery.slot] = new
    if previous is not None and recovery.previous_slot:
        releases[recovery.previous_slot] = previous
    return releases


def _release(tools: Tools, model: str, number: int | None) -> Release | None:
    return None if number is None else tools.history.release(model, number)
