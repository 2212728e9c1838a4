"""A plan as people read it, the question whether to go ahead, and what runs afterwards."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import click

from toolkit.cli.opening.trail import trail_now
from toolkit.cli.terminal.output import note, print_json, say
from toolkit.cli.views.changes import show_changes
from toolkit.cli.views.dry_run import DryRun
from toolkit.domain.deployment.plan import StepKind

if TYPE_CHECKING:
    from toolkit.domain.deployment.plan import Plan
    from toolkit.planning.change.rollout import RolloutPlan
    from toolkit.workflows.change.gating import GatePlan
    from toolkit.workflows.change.stop import StopPlan


class _Document(Protocol):
    def as_json(self) -> dict[str, Any]: ...


def confirmation(
    show: Callable[[Any], None],
    *,
    yes: bool,
    dry_run: bool,
    as_json: bool,
    consent: Callable[[Any], bool] | None = None,
) -> Callable[[_Document], bool]:
    """Return the function that shows a plan with `show` and answers whether to go ahead.

    The question needs a terminal: without one the answer is no unless `yes` is given. `consent` asks for what `yes`
    does not answer.
    """

    def confirm(plan: _Document) -> bool:
        if dry_run and as_json:
            print_json({"plan": plan.as_json(), "dry_run": True})
            raise DryRun
        show(plan)
        if dry_run:
            say("dry run: nothing was changed")
            raise DryRun
        if consent is not None and not consent(plan):
            return False
        return go_ahead(plan.as_json(), yes=yes)

    return confirm


def go_ahead(
    plan: Mapping[str, Any], *, yes: bool, question: str = "go ahead?", record: bool = True
) -> bool:
    """Return whether to carry out the plan, and write the intent to the audit log where the answer is yes.

    A plan that changes nothing is not to be recorded. Raises what `CommandTrail.begin` raises.
    """
    if not (yes or confirmed(question)):
        return False
    if record:
        trail_now().begin(plan)
    return True


def confirmed(question: str) -> bool:
    """Return a person's answer at the terminal; no where there is none."""
    if sys.stdin is None or not sys.stdin.isatty():
        note("not a terminal, so nobody can be asked")
        return False
    answer: bool = click.confirm(question, default=False, err=True)
    return answer


def show_rollout(plan: RolloutPlan) -> None:
    """Print a plan to standard error: it is a question, not a result."""
    # Here and not above: `toolkit --help` loads this module too, and must answer at once.

    titles = ", ".join(each.title for each in plan.releases) or plan.model
    note(plan.traffic)
    note(f"{plan.action} {titles}{_serving_now(plan)}")
    show_changes(plan.changes, note)
    if len(plan.plans) > 1:
        for number, batch in enumerate(plan.batches, 1):
            note(f"  batch {number}: {', '.join(batch)}")
    _show_hosts(plan.plans)
    _show_rest(plan.unreachable, plan.notes)


def show_stop(plan: StopPlan) -> None:
    """Print the plan of a stop to standard error."""
    note(plan.traffic)
    note(f"stop {plan.model}: it does not serve on these hosts until it is deployed again")
    _show_hosts(plan.plans)
    _show_rest(plan.unreachable, ())


def show_gate(gating: GatePlan) -> None:
    """Print the plan of a gate to standard error."""
    plan = gating.plan
    title = plan.release.title if plan.release else plan.model
    if gating.asks_alone:
        note(f"gate {title} on {gating.host}: it runs there, nothing is started or stopped")
        _show_hosts({gating.host: plan})
        return
    tries = any(step.kind is StepKind.ADAPT for step in plan.steps)
    how = "its new adapters are loaded" if tries else "it starts beside what serves"
    end = "get no traffic and are forgotten" if tries else "gets no traffic and is stopped"
    note(f"gate {title} on {gating.host}: {how}, {end}")
    _show_hosts({gating.host: plan})


def _serving_now(plan: RolloutPlan) -> str:
    before = ", ".join(each.title for each in plan.serving)
    return f", serving now: {before}" if before else ""


def _show_hosts(plans: Mapping[str, Plan]) -> None:
    """Print the steps of each host; hosts with the same steps share one list."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for name, plan in plans.items():
        alike.setdefault(_lines(plan), []).append(name)
    for lines, names in alike.items():
        if len(plans) > 1:
            note(f"  {', '.join(names)}")
        for line in lines:
            note(f"{'  ' if len(plans) > 1 else ''}  {line}")


def _lines(plan: Plan) -> tuple[str, ...]:
    if plan.empty:
        return ("nothing to do",)
    kinds = max(len(step.kind) for step in plan.steps)
    slots = max(len(step.slot) for step in plan.steps)
    return (
        f"strategy {plan.strategy}, expected downtime {plan.downtime or '0 s'}",
        *(
            f"{number:2}  {step.kind:<{kinds}}  {step.slot:<{slots}}  {step.reason}"
            for number, step in enumerate(plan.steps, 1)
        ),
        *(f"note: {remark}" for remark in plan.notes),
    )


def _show_rest(unreachable: Mapping[str, str], notes: tuple[str, ...]) -> None:
    for name, why in unreachable.items():
        note(f"  {name}: unreachable, {why}")
    for remark in notes:
        note(f"  note: {remark}")
