"""Paired probes: the same request to the new replica and the former one, one right after the other, in changing order.

Both meet the same moment of the host, so that a busy minute or another job on the machine is in both times. Probes go
to the replicas' own ports: no log and no count of use has them.
"""

from __future__ import annotations

import collections
import json
import math
import re
import threading
import time
from typing import Any, NamedTuple

import asking
from answer_form import faults_of, usage_in
from documents import parsed
from wire import Document

TIMEOUT = 20.0
# Seconds between the end of a pair and the next one; where a figure is over its limit; and after a failure.
PAUSE, DOUBT, HURRY = 1.0, 0.5, 0.3
# A stream also shows the time to the first token and those between tokens.
STREAMED = ("/v1/completions", "/v1/chat/completions")
_TEXT = 2000
# A number with a fraction, as JSON has it: of vectors and scores.
_FRACTION = re.compile(r"-?\d+(?:\.\d+(?:[eE][-+]?\d+)?|[eE][-+]?\d+)")
# Vectors of embeddings, and probabilities of classes, must have one, as their checks ask.
AIMLESS = "a vector without a direction"
UNCOUNTED = "it counts no tokens, and the serving release does"
# Vectors are alike whose distance is at most this part of their length: a cosine of 0.995.
NEAR = 0.1


class Said(NamedTuple):
    """The answer to a probe. `fault` says in words why it is none, empty where it is good.

    `times` are those of `Trial.pair`. A `refused` one found no server. Where the answer is no text, the `text` is its
    JSON with a mark in the place of each of its `numbers`. A `counted` one says how many tokens it has.
    """

    fault: str = ""
    text: str = ""
    seconds: float = 0.0
    refused: bool = False
    times: Document = {}  # noqa: RUF012 - nobody changes it
    numbers: tuple[float, ...] = ()
    counted: bool = False


class Pair(NamedTuple):
    """The answers to one probe, `old` being None where no former replica stands. `at` is the time of its end.

    A pair whose times can be compared is `fair`: the new replica had no more other requests than the former one.
    """

    probe: int
    new: Said
    old: Said | None
    at: float = 0.0
    fair: bool = True
    same: bool = False


class Pairs:
    """Probes in turn, by a thread of its own, until `end`.

    `loads` are the requests open to the new and the former replica; in a `hurry` there is less time between pairs.
    """

    def __init__(self, new: int, old: int | None, probes: list[Document]) -> None:
        """`new` and `old` are the ports of the replicas, `probes` what to ask."""
        self.loads, self.hurry = (0, 0), False
        self._ports, self._probes = (new, old), probes
        # Filled by the thread while others take: both ends of a deque may be used at once.
        self._done: collections.deque[Pair] = collections.deque(maxlen=100)
        self._asked: float | None = None
        self._ended = threading.Event()
        if probes:
            threading.Thread(target=self._run, daemon=True).start()

    def take(self) -> list[Pair]:
        """Return the pairs that ended since the last call."""
        return [self._done.popleft() for _ in range(len(self._done))]

    @property
    def waiting(self) -> bool:
        """Whether the new replica has a probe to answer."""
        return self._asked is not None

    def end(self) -> None:
        """Ask no more."""
        self._ended.set()

    def _run(self) -> None:
        turn = 0
        while not self._ended.is_set():
            pair = self._pair(turn)
            self._done.append(pair)
            turn += 1
            self._ended.wait(HURRY if pair.new.fault else DOUBT if self.hurry else PAUSE)

    def _pair(self, turn: int) -> Pair:
        number, turn = turn % len(self._probes), turn // len(self._probes)
        probe, (new, old) = self._probes[number], self._ports
        other_probe = probe
        if probe.get("former") is not None:
            # The version of an adapter that served before has another name in the same replica, if there was one.
            old = new if probe["former"] else None
            other_probe = {**probe, "payload": {**probe["payload"], "model": probe["former"]}}
        before = self.loads
        # Change the order with each probe: else one side would always profit from caches that the other has filled.
        if old is None:
            found, other = self._ask_new(new, probe), None
        elif (turn + number) % 2:
            other, found = said(old, other_probe), self._ask_new(new, probe)
        else:
            found, other = self._ask_new(new, probe), said(old, other_probe)
        if other is not None and other.counted and not (found.counted or found.fault):
            found = found._replace(fault=UNCOUNTED)
        fair = before[0] <= before[1] and self.loads[0] <= self.loads[1]
        return Pair(number, found, other, time.monotonic(), fair, bool(probe.get("same")))

    def _ask_new(self, port: int, probe: Document) -> Said:
        self._asked = time.monotonic()
        try:
            return said(port, probe)
        finally:
            self._asked = None


def said(port: int, probe: Document) -> Said:
    """Ask a replica, and compare its answer with what the probe expects."""
    payload = probe["payload"]
    if probe["path"] in STREAMED:
        payload = {"stream": True, "stream_options": {"include_usage": True}, **payload}
    answer = asking.ask(port, probe["path"], payload, TIMEOUT)
    text, gaps = text_of(answer), answer["gaps"]
    times = {
        "first": answer["first"],
        "next": sum(gaps) / len(gaps) if gaps else None,
        "whole": answer["seconds"],
    }
    words, numbers = (text or "", ()) if probe["path"] in STREAMED else _parted(text or "")
    return Said(
        fault_of(answer, text, probe.get("contains", ""), payload),
        words[:_TEXT],
        answer["seconds"],
        answer["error"].startswith("ConnectionRefusedError"),
        times,
        numbers,
        answer["status"] == 200 and text is not None and bool(usage_in(_documents(answer))),
    )


def alike(one: Said, other: Said) -> bool:
    """Whether two answers say the same: their words must be equal, and numbers differ a little between engines."""
    if one.text != other.text or len(one.numbers) != len(other.numbers):
        return False
    return math.dist(one.numbers, other.numbers) <= NEAR * math.hypot(*other.numbers)


def _parted(text: str) -> tuple[str, tuple[float, ...]]:
    """Return the words of an answer that is no completion, and its numbers where it is a list: vectors or scores."""
    if not text.startswith("["):
        return text, ()
    return _FRACTION.sub("#", text), tuple(map(float, _FRACTION.findall(text)))


def fault_of(answer: Document, text: str | None, contains: str, payload: Document) -> str:
    """Return why the answer to a request is no good, in words; empty where it is good."""
    if answer["status"] != 200:
        return f"status {answer['status']}" if answer["status"] else answer["error"]
    if answer["error"]:
        return str(answer["error"])
    if text is None:
        return "no answer of this kind"
    if not text:
        return "an empty answer"
    if contains not in text:
        return f"without `{contains[:40]}`"
    if _is_aimless(answer["body"]):
        return AIMLESS
    return "; ".join(faults_of(payload, _documents(answer)).values())


def _documents(answer: Document) -> list[Document]:
    return [parsed(each) for each in answer["events"] or [answer["body"]]]


def text_of(answer: Document) -> str | None:
    """Return the content of an answer: its text or calls of tools, for another kind its JSON; None for no answer."""
    try:
        if answer["events"]:
            return "".join(map(_choice, _documents(answer)))
        (found,) = _documents(answer)
        if "choices" in found:
            return _choice(found)
        # Silence may be transcribed by no words.
        if isinstance(found.get("text"), str):
            return json.dumps(found["text"])
        # Embeddings, scores.
        kinds = [found[name] for name in ("data", "results") if name in found]
        if "results" in found:
            # In the order of the documents: two that are nearly as good may change places.
            kinds = [sorted(found["results"], key=lambda each: each["index"])]
        return json.dumps(kinds[0]) if kinds and kinds[0] else "" if kinds else None
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


def _is_aimless(body: str) -> bool:
    """Whether a vector of the answer is empty, or nothing but zeros and what is no number."""
    found = parsed(body) if '"embedding"' in body or '"probs"' in body else {}
    rows = found.get("data") if isinstance(found, dict) else None
    vectors = [
        each[name]
        for each in (rows if isinstance(rows, list) else ())
        if isinstance(each, dict)
        for name in ("embedding", "probs")
        if name in each
    ]
    return not all(isinstance(each, (list, str)) and any(each) for each in vectors)


def _choice(document: Any) -> str:
    parts = []
    for choice in document["choices"]:
        told = choice.get("delta") or choice.get("message") or choice
        names = ("text", "content", "reasoning_content", "reasoning")
        parts += [told[name] for name in names if isinstance(told.get(name), str)]
        if told.get("tool_calls"):
            parts.append(json.dumps(told["tool_calls"]))
    return "".join(parts)
