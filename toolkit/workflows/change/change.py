"""Make a release live: observe, decide, confirm, lock, observe again, act, record.

Deploy, upgrade and rollback all come through here; they differ in the release they ask for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from toolkit.domain.facts import HostFacts
from toolkit.domain.model import Version
from toolkit.domain.plan import Plan
from toolkit.domain.release import Deployment, Outcome, Release
from toolkit.errors import NothingSuitableError, RefusedError, ReleaseFailedError, ToolkitError
from toolkit.planning.change.deploy import Wanted, plan_deploy
from toolkit.workflows.change.act import Act, Change
from toolkit.workflows.change.recording import open_deployment
from toolkit.workflows.change.recover import end_unfinished, undo
from toolkit.workflows.tools import Timing, Tools

Confirm = Callable[[Plan], bool]
Ask = Callable[[HostFacts], Wanted]


@dataclass(frozen=True, slots=True)
class Result:
    """What a change of release did: its plan, and the deployment's id where anything was done."""

    plan: Plan
    deployment: int | None
    seconds: float


def change_release(
    tools: Tools, ask: Ask, confirm: Confirm, *, version: Version | None, timing: Timing
) -> Result:
    """Make the release that `ask` derives from the facts live on the host.

    `ask` is called again under the lock, where facts may have moved; where that changes the plan, `confirm` is
    asked again. Raises RefusedError where `confirm` says no, BusyError where another deployment runs,
    ReleaseFailedError where the release did not become live; what served before serves then.
    """
    started = tools.clock()
    shown, _ = _plan(tools, ask)
    opened = tools.history.unfinished()
    if shown.empty and not opened:
        return Result(shown, None, tools.clock() - started)
    _confirmed(replace(shown, notes=(*shown.notes, *map(_note, opened))), confirm)
    with tools.host.lock(tools.owner):
        end_unfinished(tools, timing)
        plan, facts = _plan(tools, ask)
        if plan.empty:
            return Result(plan, None, tools.clock() - started)
        if _differs(plan, shown):
            tools.say("the host changed since the plan was shown; this is the new one")
            _confirmed(plan, confirm)
        deployment = _perform(tools, plan, facts, version, timing)
    return Result(plan, deployment, tools.clock() - started)


def _plan(tools: Tools, ask: Ask) -> tuple[Plan, HostFacts]:
    facts = tools.host.observe()
    tools.doors.observed({tools.host.label: facts})
    wanted = ask(facts)
    if wanted.release.span:
        raise NothingSuitableError(
            f"{wanted.release.model} {wanted.release.version} runs on {wanted.release.span.size} hosts "
            "together; the fleet has one",
            hint="name more hosts in the fleet file: docs/fleet.md",
        )
    return plan_deploy(wanted, facts), facts


def _confirmed(plan: Plan, confirm: Confirm) -> None:
    if not confirm(plan):
        raise RefusedError("not confirmed; nothing was changed", hint="add --yes to go ahead")


def _note(opened: Deployment) -> str:
    return (
        f"deployment {opened.id} ({opened.action} {opened.model} by {opened.actor}) has not ended: "
        "unless it still runs, it is completed or undone first"
    )


def _differs(plan: Plan, shown: Plan) -> bool:
    return [(s.kind, s.slot) for s in plan.steps] != [(s.kind, s.slot) for s in shown.steps]


def _perform(
    tools: Tools, plan: Plan, facts: HostFacts, version: Version | None, timing: Timing
) -> int:
    release = plan.release
    assert release is not None
    deployment = open_deployment(tools, plan, [facts])
    change = Change(plan.model, {plan.slot: release}, version, timing)
    try:
        Act(tools, change, deployment, facts).perform(plan.steps)
    except (ToolkitError, KeyboardInterrupt) as error:
        _restore(tools, deployment, release, error, timing)
        raise
    tools.history.end_deployment(deployment, Outcome.LIVE)
    return deployment


def _restore(
    tools: Tools, deployment: int, release: Release, error: BaseException, timing: Timing
) -> None:
    reason = error.message if isinstance(error, ToolkitError) else "interrupted"
    tools.say(f"failed: {reason}" if isinstance(error, ToolkitError) else "interrupted")
    tools.say("restoring what served before")
    try:
        undo(tools, deployment, reason, timing)
    except ToolkitError as second:
        raise ReleaseFailedError(
            f"{reason}\n  and restoring was not possible: {second.message}",
            hint=f"toolkit status; then toolkit deploy {release.model} completes or undoes it",
        ) from error
