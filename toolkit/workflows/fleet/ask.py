"""Ask a model a question: through the door like a client, or a replica alone by its host."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from toolkit.adapters.door.door import Door
from toolkit.adapters.hosts.host import HostPort
from toolkit.domain.facts import FleetFacts, SlotFacts
from toolkit.domain.golden import Kind
from toolkit.errors import InputError
from toolkit.planning.guard.kinds import fault_of_answer
from toolkit.planning.upkeep.question import Question, kind_told, piece_of, refusal
from toolkit.workflows.fleet.look import look

DONE = "[DONE]"
# Seconds that a replica gets for an answer in one piece.
WHOLE_ANSWER = 600.0


@dataclass(frozen=True, slots=True)
class Answered:
    """A whole answer: its text and thoughts, the release that gave it, and its usage.

    `seconds` is the time of the whole answer, `first` that of its first part, None where it came in one piece.
    """

    text: str
    thoughts: str
    version: str
    release: int | None
    slot: str
    seconds: float
    first: float | None = None
    usage: Mapping[str, Any] = field(default_factory=dict)


def ask_door(
    door: Door, question: Question, clock: Callable[[], float], say: Callable[[str], None]
) -> Answered:
    """Ask through the door and tell each part of the answer to `say` as it comes.

    Raises HostError where the router cannot be reached or breaks off, InputError and BusyError where it refuses.
    """
    path, payload = question.request(kind_told(door.describe(question.model)), stream=True)
    begun = clock()
    first: float | None = None
    usage: dict[str, Any] = {}
    texts: list[str] = []
    thoughts: list[str] = []
    with door.ask(path, payload) as opened:
        if opened.status != 200:
            raise refusal(question, opened.status, "".join(opened.texts))
        for event in opened.texts:
            if event == DONE:
                break
            piece = piece_of(event)
            if first is None and (piece.text or piece.thought):
                first = clock() - begun
            texts.append(piece.text)
            thoughts.append(piece.thought)
            usage = dict(piece.usage or usage)
            if piece.text:
                say(piece.text)
        told = opened.headers
    release = told.get("x-toolkit-release", "")
    return Answered(
        "".join(texts),
        "".join(thoughts),
        told.get("x-toolkit-version", ""),
        int(release) if release.isdigit() else None,
        told.get("x-toolkit-slot", ""),
        clock() - begun,
        first,
        usage,
    )


def ask_replica(
    hosts: Sequence[HostPort], question: Question, *, version: str = "", slot: str = ""
) -> Answered:
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
    return Answered(
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
        facts = seen.facts.get(host.host.name)
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
