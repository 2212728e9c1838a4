"""Ask one replica a question by its host: a standby too, to which the router leads nobody."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.adapters.hosts.port import HostPort
from toolkit.domain.gates.kind import Kind
from toolkit.domain.hosts.facts import FleetFacts, SlotFacts
from toolkit.errors import InputError
from toolkit.planning.guard.kinds import fault_of_answer
from toolkit.planning.upkeep.question import ModelQuestion, piece_of, refusal
from toolkit.workflows.fleet.ask import WholeAnswer
from toolkit.workflows.fleet.look import look

# Seconds that a replica gets for an answer in one piece.
WHOLE_ANSWER = 600.0


def ask_replica(
    hosts: Sequence[HostPort], question: ModelQuestion, *, version: str = "", slot: str = ""
) -> WholeAnswer:
    """Ask the replica of a version or in a slot, with or without traffic, by the first host that has it.

    Such a request is a probe: it is in no access log. Raises InputError where no host has such a replica up.
    """
    seen = look(hosts)
    host, found = _replica(hosts, seen, question.model, version, slot)
    release = found.release
    kind = release.does.kind if release and release.does else Kind.CHAT
    path, payload = question.request(kind, stream=False)
    answer = host.ask(found.port, path, payload, WHOLE_ANSWER)
    if fault_of_answer(answer):
        raise refusal(question, answer.status, answer.error or answer.body)
    piece = piece_of(answer.body)
    return WholeAnswer(
        piece.text,
        piece.thought,
        release.version if release else "",
        release.number if release else None,
        found.slot,
        answer.seconds,
        usage=piece.usage or {},
    )


def _replica(
    hosts: Sequence[HostPort], seen: FleetFacts, model: str, version: str, slot: str
) -> tuple[HostPort, SlotFacts]:
    known = []
    for host in hosts:
        facts = seen.facts.get(host.name)
        for each in facts.slots_of(model) if facts else ():
            its = each.release.version if each.release else ""
            known.append(f"{its} in {each.slot}")
            if each.healthy and version in ("", its) and slot in ("", each.slot):
                return host, each
    if not known and seen.errors:
        raise seen.failure()
    wanted = " in ".join(filter(None, (version, slot)))
    raise InputError(
        f"no replica of {model} is up as {wanted}",
        hint=f"there is {', '.join(dict.fromkeys(known))}" if known else f"toolkit deploy {model}",
    )
