"""A plan as people read it, and the question whether to go ahead."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from toolkit.cli.output import note, print_json, say

if TYPE_CHECKING:
    from toolkit.domain.plan import Plan


class DryRun(Exception):
    """Ends a command after its plan was shown."""


def show_plan(plan: Plan) -> None:
    """Print a plan to standard error: it is a question, not a result."""
    wanted = plan.release.title if plan.release else plan.model
    before = f", serving now: {plan.previous.title}" if plan.previous else ""
    note(f"{plan.action} {wanted}{before}")
    note(f"  strategy {plan.strategy}, expected downtime {plan.downtime or '0 s'}")
    width = max((len(step.kind) for step in plan.steps), default=0)
    slots = max((len(step.slot) for step in plan.steps), default=0)
    for number, step in enumerate(plan.steps, 1):
        note(f"  {number:2}  {step.kind:<{width}}  {step.slot:<{slots}}  {step.reason}")
    if plan.empty:
        note("  nothing to do")
    for remark in plan.notes:
        note(f"  note: {remark}")


def confirmation(*, yes: bool, dry_run: bool, as_json: bool) -> Callable[[Plan], bool]:
    """Return the function that shows a plan and answers whether to go ahead.

    Asking needs a terminal: without one the answer is no unless `yes` is given.
    """

    def confirm(plan: Plan) -> bool:
        if dry_run:
            if as_json:
                print_json({"plan": plan.as_json(), "dry_run": True})
            else:
                show_plan(plan)
                say("dry run: nothing was changed")
            raise DryRun
        show_plan(plan)
        return yes or ask("go ahead?")

    return confirm


def ask(question: str) -> bool:
    """Ask on the terminal; no where there is none."""
    if not sys.stdin.isatty():
        note("not a terminal, so nobody can be asked")
        return False
    answer: bool = click.confirm(question, default=False, err=True)
    return answer
