"""The wishes of persons to guards, and the findings of guards while no command was there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from toolkit.adapters.history.history import History
from toolkit.adapters.hosts.port import HostPort
from toolkit.domain.gates.verdict import GateRecord, GuardPhase
from toolkit.domain.hosts.facts import FleetFacts, GuardFacts, HostFacts
from toolkit.domain.replicas.probe import LockOwner
from toolkit.errors import BusyError, HostError, InputError
from toolkit.planning.change.judged import failed_rollouts
from toolkit.workflows.change.guarding import gate_record
from toolkit.workflows.change.recording import end_baked
from toolkit.workflows.fleet.look import each_at_once, look


def wish(hosts: Sequence[HostPort], model: str, wanted: str, actor: str) -> dict[str, bool]:
    """Tell all guards of `model` what `actor` wants, `promote` or `abort`; return by host's name who took it.

    It needs no lock: a command that waits for the guards hears it from them. Raises InputError where no guard watches
    the model, or all have come to their verdict, and `joined` errors where a host does not answer.
    """
    seen = look(hosts)
    having = [each for each in hosts if _guards(seen.facts.get(each.name), model)]
    if not having and not seen.errors:
        raise InputError(
            f"no guard watches {model}",
            hint=f"toolkit status {model}; Ctrl-C ends a deployment that has no traffic yet",
        )
    told = each_at_once(having, lambda host: _told(host, model, wanted, actor))
    answers = dict(zip([each.name for each in having], told, strict=True))
    taken = {name: each for name, each in answers.items() if isinstance(each, bool)}
    lost = {name: each for name, each in answers.items() if isinstance(each, HostError)}
    if lost or seen.errors:
        heard = [name for name, heard in taken.items() if heard]
        rest = f"{', '.join(heard) or 'no host'} took it"
        failed = replace(seen, errors={**seen.errors, **lost})
        raise failed.failure(hint=f"toolkit {wanted} {model}, once they answer", more=rest)
    if not any(taken.values()):
        raise InputError(
            f"no guard watches {model} any more: it has come to its verdict",
            hint=f"toolkit watch {model} --once; toolkit rollback {model} goes back all the same",
        )
    return taken


def _told(host: HostPort, model: str, wanted: str, actor: str) -> bool | HostError:
    """Return whether the host's guard took the wish, or why nobody can tell."""
    try:
        return host.guard_wish(model, wanted, actor)
    except HostError as error:
        return error


def watched(seen: FleetFacts, model: str | None = None) -> list[tuple[str, GuardFacts]]:
    """Return each guard with its host's name, those of `model` alone where it is given."""
    return [(name, each) for name, facts in seen.facts.items() for each in _guards(facts, model)]


def settle_bakes(
    hosts: Sequence[HostPort],
    history: History,
    seen: FleetFacts,
    owner: LockOwner,
    clock: Callable[[], float],
) -> list[GateRecord]:
    """Record what guards have found since their command ended; return what was not known yet.

    A release whose bake came to its end in peace is recorded as live. One that a guard has returned is recorded as
    failed; the next change of the hosts empties its slot. `clock` returns seconds since the epoch.
    """
    found = []
    failed = failed_rollouts(seen.facts.values())
    for host in hosts:
        facts = seen.facts.get(host.name)
        # Skip a host that another command holds: that command waits for the verdicts and records them.
        for guard in () if facts is None or facts.held_by else facts.guards:
            if guard.verdict is None:
                continue
            record = gate_record(host.name, guard, guard.verdict, clock())
            told = history.gates_of(guard.model, host.name, guard.rollout)
            # Another command may have recorded it in between, and tells of it.
            if record.result not in [each.result for each in told] and history.add_gate(record):
                found.append(record)
            if facts and guard.rollout not in failed and _is_live(facts, guard):
                # Under the host's lock: a command may have come first.
                with suppress(BusyError, HostError), host.lock(owner):
                    end_baked(host, history, guard)
    return found


def _is_live(facts: HostFacts, guard: GuardFacts) -> bool:
    serving = facts.serving_slot(guard.model)
    ended = guard.phase is GuardPhase.BAKE and not guard.withdrawn
    return bool(ended and serving and serving.slot == guard.slot and serving.healthy)


def _guards(facts: HostFacts | None, model: str | None) -> list[GuardFacts]:
    return [each for each in facts.guards if model in (None, each.model)] if facts else []
