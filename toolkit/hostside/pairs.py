"""Ask the new and the serving replica on this host in turn, several requests at once, and take the times.

One pair is one turn of each: `concurrency` requests at once to the one, then the same requests to the other. Both see
the same load beside it, and who begins alternates, so an unchanged release is as often slower as it is faster.
"""

from __future__ import annotations

import secrets
import statistics
import threading
import time
from typing import Any, Optional

import asking
from documents import parsed
from wire import Document, Report

# A random word of its own takes this place in each request, the same for both replicas: no cache knows the prompt.
FRESH = "{fresh}"


def pairs(request: Document, report: Report) -> Document:
    """Take `pairs` pairs of the request `payload` to `path`, `concurrency` at once, `timeout` seconds for each answer.

    `new` and `old` are ports; without `old` (0) the new replica is asked alone. With `former` the old one is asked for
    the model of that name. Report {"pair": number} after each.
    Return {"pairs": [{"new": times, "old": times or None}]}, see `turn`.
    """
    found = []
    for index in range(request["pairs"]):
        found.append(pair(request, new_first=index % 2 == 0))
        report({"pair": index + 1})
    return {"pairs": found}


def pair(request: Document, new_first: bool) -> Document:
    """Return the times of one pair: {"new", "old"}."""
    payloads = [fresh(request["payload"]) for _ in range(request["concurrency"])]
    sides = ["new", "old"] if new_first else ["old", "new"]
    found: Document = {"new": None, "old": None}
    for side in sides:
        if request[side]:
            named = {"model": request["former"]} if side == "old" and request.get("former") else {}
            asked = [{**each, **named} for each in payloads]
            found[side] = turn(request[side], request["path"], asked, request["timeout"])
    return found


def turn(port: int, path: str, payloads: list[Document], timeout: float) -> Document:
    """Send the payloads at once and return the times of their answers, in seconds.

    {"first": until the first token, "next": between tokens, each the median and None where no answer shows it,
    "whole": of an answer, or None, "seconds": of all of them, "tokens": in all of them, "failed", "asked",
    "error": why one failed}.
    """
    answers: list[Document] = []
    threads = [
        threading.Thread(
            target=lambda each=each: answers.append(asking.ask(port, path, each, timeout))
        )
        for each in payloads
    ]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - started
    good = [each for each in answers if each["status"] == 200 and not each["error"]]
    bad = [each["error"] or "status %d" % each["status"] for each in answers if each not in good]
    return {
        "first": _median([each["first"] for each in good]),
        "next": _median([_between(each) for each in good]),
        "whole": _median([each["seconds"] for each in good]),
        "seconds": seconds,
        "tokens": sum(_tokens(each) for each in good),
        "failed": len(bad),
        "asked": len(answers),
        "error": bad[0] if bad else "",
    }


def fresh(value: Any, word: str = "") -> Any:
    """Return a payload with a new random word in the place of FRESH."""
    word = word or secrets.token_hex(6)
    if isinstance(value, str):
        return value.replace(FRESH, word)
    if isinstance(value, dict):
        return {key: fresh(each, word) for key, each in value.items()}
    if isinstance(value, list):
        return [fresh(each, word) for each in value]
    return value


def _between(answer: Document) -> Optional[float]:
    """Return the mean time between tokens. An engine that is in a hurry puts several into one event."""
    gaps, tokens = answer["gaps"], _tokens(answer)
    return sum(gaps) / (tokens - 1) if gaps and tokens > 1 else None


def _tokens(answer: Document) -> int:
    """Return the number of tokens by the engine's own word, or else the events of the stream."""
    for text in [*reversed(answer["events"][-2:]), answer["body"]]:
        try:
            said = parsed(text)["usage"]["completion_tokens"]
        except (ValueError, LookupError, TypeError):
            continue
        if isinstance(said, int) and 0 <= said < 10**9:
            return said
    return len(answer["gaps"]) + 1 if answer["first"] is not None else 0


def _median(values: list[Optional[float]]) -> Optional[float]:
    known = [each for each in values if each]
    return statistics.median(known) if known else None
