"""Releases that are still watched, or have failed before: what a new change of the same model has to know."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from toolkit.adapters.history.history import History
from toolkit.adapters.hosts.port import HostPort
from toolkit.domain.deployment.plan import Plan
from toolkit.domain.hosts.facts import FleetFacts, GuardFacts
from toolkit.domain.quantity import format_seconds
from toolkit.errors import BusyError, RefusedError
from toolkit.planning.change.judged import baking
from toolkit.workflows.change.wanted import Order
from toolkit.workflows.fleet.look import look
from toolkit.workflows.tools import Tools

# Seconds of a bake that a change of the same model waits for.
SHORT = 60.0


def await_bakes(members: Sequence[Tools], order: Order, seen: FleetFacts) -> FleetFacts:
    """Return the facts of the fleet once no guard watches the order's model any more, whose command is gone.

    A short wait is waited for; raises BusyError for a longer one. A rollback waits for none.
    """
    if order.ends_bake:
        return seen
    return await_guards([each.host for each in members], order.model, seen, members[0].say)


def await_guards(
    hosts: Sequence[HostPort], model: str, seen: FleetFacts, say: Callable[[str], None]
) -> FleetFacts:
    """Return the facts of the fleet once no guard watches `model` any more, as `await_bakes` does."""
    waited, heard = False, 0
    for host in hosts:
        facts = seen.facts.get(host.name)
        # A command that is there holds the lock, and is reported with it.
        for each in baking(facts, model) if facts and not facts.held_by else ():
            left = each.seconds - each.watched
            if left > SHORT:
                raise _still_watched(host.name, each)
            words = f"for {left:.0f} s more" if left > 0 else "until its guard can tell"
            say(f"{host.name}: {_title(each)} is watched {words}: waiting")

            def hear(_: Mapping[str, Any], name: str = host.name, guard: GuardFacts = each) -> None:
                # A guard that suspects something watches on, for all of its patience. It reports each second.
                nonlocal heard
                heard += 1
                if heard > SHORT:
                    raise _still_watched(name, guard)

            host.guard_follow(model, hear)
            waited = True
    return look(hosts) if waited else seen


def require_judged(order: Order, seen: FleetFacts) -> None:
    """Raise BusyError where a guard still watches the order's model; a rollback ends the watch."""
    for name, facts in seen.facts.items():
        for each in () if order.ends_bake else baking(facts, order.model):
            raise _still_watched(name, each)


def failed_before(history: History, order: Order, plans: Iterable[Plan]) -> tuple[str, ...]:
    """Return the remark on each release that failed before and is tried again.

    Raises RefusedError where no person sees the remark.
    """
    if order.action == "rollback":
        return ()
    new = {each.release.number: each.release for each in plans if each.release and not each.empty}
    notes = []
    for number, release in new.items():
        record = history.failure(order.model, number)
        if record is None:
            continue
        words = f"{release.title} failed its {record.result.gate} on {record.host}"
        reason = record.result.reason.partition("\n")[0]
        if order.unattended:
            raise RefusedError(
                f"{words}: {reason}; it is not tried again without a person",
                hint=f"toolkit releases {order.model} --gates; toolkit deploy {order.model}@{release.version}",
            )
        notes.append(f"{words} before: {reason}")
    return tuple(notes)


def _still_watched(host: str, guard: GuardFacts) -> BusyError:
    left = format_seconds(max(0.0, guard.seconds - guard.watched))
    return BusyError(
        f"{_title(guard)} is still watched on {host}, for {left} at least",
        hint=f"toolkit watch {guard.model}; toolkit promote {guard.model} ends the watch, toolkit abort "
        f"{guard.model} gives the traffic back",
    )


def _title(guard: GuardFacts) -> str:
    return f"{guard.model} #{guard.release} ({guard.version})"
