"""What `deploy`, `upgrade`, `rollback` and `stop` do where the fleet has several hosts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from toolkit.cli.output import note, print_json, say, table
from toolkit.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from toolkit.cli.context import Pins
    from toolkit.domain.fleet import Host
    from toolkit.domain.model import Version
    from toolkit.planning.change.rollout import RolloutPlan
    from toolkit.workflows.change.change import Ask
    from toolkit.workflows.tools import Timing, Tools


def _rate(text: str | None) -> int:
    from toolkit.domain.quantity import parse_size

    try:
        return parse_size(text) if text else 0
    except ValueError as error:
        raise InputError(f"--send-limit: {error}", hint="--send-limit 20MB") from error


def roll(
    place: Path,
    hosts: Sequence[Host],
    pins: Pins | None,
    model: str,
    ask: Callable[[Tools], Ask],
    *,
    version: Version | None,
    timing: Timing,
    extend: bool,
    replicas: int | None,
    options: dict[str, Any],
    as_json: bool,
) -> None:
    """Make what `ask` wants live on the fleet and say how it went."""
    from toolkit.cli.context import open_members
    from toolkit.planning.change.rollout import Limits
    from toolkit.workflows.change.rollout import Order, roll_out

    members = open_members(place, hosts, pins, send_limit=_rate(options["send_limit"]))
    limits = Limits(options["serial"], options["max_failures"], options["keep"])
    order = Order(
        model=model,
        ask=ask(members[0]),
        version=version,
        timing=timing,
        limits=limits,
        named=tuple(options["named"]),
        replicas=replicas,
        extend=extend,
    )
    confirm = _confirmation(yes=options["yes"], dry_run=options["dry_run"], as_json=as_json)
    done = roll_out(members, order, confirm)
    from toolkit.domain.quantity import format_seconds

    endpoints = {host.name: f"http://{host.router_bind}/v1" for host in hosts}
    if as_json:
        print_json(
            {
                "plan": done.plan.as_json(),
                "changed": done.changed,
                "hosts": dict(done.states),
                "seconds": round(done.seconds, 3),
                "endpoints": endpoints,
            }
        )
        return
    if not done.changed:
        say(f"{model} is live as ordered on {', '.join(done.plan.plans)}; nothing to do")
    else:
        table(("HOST", "STATE"), list(done.states.items()))
        say(f"\ndone after {format_seconds(done.seconds)}")
    for name, endpoint in endpoints.items():
        say(f"endpoint on {name}: {endpoint}  (model {model!r})")


def stop_on_fleet(
    members: Sequence[Tools],
    model: str,
    named: Sequence[str],
    timing: Timing,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Take the model out of service on the fleet and say so."""
    from toolkit.cli.plan_view import DryRun, ask
    from toolkit.workflows.change.fleet_stop import StopPlan, stop_fleet

    def as_document(plan: StopPlan) -> dict[str, Any]:
        steps = {
            name: [{"kind": str(s.kind), "slot": s.slot, "reason": s.reason} for s in each]
            for name, each in plan.steps.items()
        }
        return {"action": "stop", "model": model, "hosts": steps, "unreachable": dict(plan.lost)}

    def confirm(plan: StopPlan) -> bool:
        if dry_run and as_json:
            print_json({"plan": as_document(plan), "dry_run": True})
            raise DryRun
        note(f"stop {model}: it does not serve on these hosts until it is deployed again")
        for name, steps in plan.steps.items():
            for step in steps:
                note(f"  {name}: {step.kind} {step.slot} {step.reason}")
        for name, why in plan.lost.items():
            note(f"  {name}: unreachable, {why}")
        if dry_run:
            say("dry run: nothing was changed")
            raise DryRun
        return yes or ask("go ahead?")

    done = stop_fleet(members, model, confirm, named=named, timing=timing)
    if as_json:
        print_json({"plan": as_document(done), "changed": True})
    else:
        say(
            f"{model} is stopped on {', '.join(done.steps)}; to serve it again: toolkit deploy {model}"
        )


def show_rollout(plan: RolloutPlan) -> None:
    """Print a plan to standard error: it is a question, not a result."""
    titles = ", ".join(each.title for each in plan.releases)
    note(f"{plan.action} {titles or plan.model}")
    for number, batch in enumerate(plan.batches, 1):
        note(f"  batch {number}: {', '.join(batch)}")
    for name, each in plan.plans.items():
        if each.empty:
            note(f"  {name}: nothing to do")
            continue
        before = f", serving now: {each.previous.title}" if each.previous else ""
        note(f"  {name}: {each.strategy}, expected downtime {each.downtime or '0 s'}{before}")
        for step in each.steps:
            note(f"      {step.kind:<14} {step.slot:<6} {step.reason}")
        for remark in each.notes:
            note(f"      note: {remark}")
    for name, why in plan.lost.items():
        note(f"  {name}: unreachable, {why}")
    for remark in plan.notes:
        note(f"  note: {remark}")


def _confirmation(*, yes: bool, dry_run: bool, as_json: bool) -> Callable[[RolloutPlan], bool]:
    from toolkit.cli.plan_view import DryRun, ask

    def confirm(plan: RolloutPlan) -> bool:
        if dry_run and as_json:
            print_json({"plan": plan.as_json(), "dry_run": True})
            raise DryRun
        show_rollout(plan)
        if dry_run:
            say("dry run: nothing was changed")
            raise DryRun
        return yes or ask("go ahead?")

    return confirm
