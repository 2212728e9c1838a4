"""Talk to a replica on this host's loopback."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import bounds
from documents import parsed
from wire import Document


def healthy(port: int, path: str, timeout: float = 2) -> bool:
    """Return whether the path of the engine's health answers 200 within `timeout` seconds."""
    import http.client

    try:
        return _request(port, "GET", path, None, timeout)[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def complete(port: int, payload: Document, timeout: float) -> Document:
    """Ask for one completion, of a chat if there are messages; a stream is read to its end.

    Return {"status", "text", "finish_reason", "seconds", "error"}.
    """
    import http.client

    started = time.monotonic()
    path = "/v1/chat/completions" if "messages" in payload else "/v1/completions"
    try:
        status, body = _request(port, "POST", path, payload, timeout)
    except (OSError, http.client.HTTPException) as error:
        return _answer(0, "", "", started, f"{type(error).__name__}: {error}")
    if status != 200:
        return _answer(status, "", "", started, body[:500].decode("utf-8", "replace"))
    try:
        text, reason, fault = answer_in(body, bool(payload.get("stream")))
        return _answer(status, text, reason, started, fault)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        return _answer(status, "", "", started, f"not a completion: {error}"[: bounds.WORDS])


def answer_in(body: bytes, streamed: bool) -> tuple[str, str, str]:
    """Return the text of a completion, the reason of its end, and an error that the engine tells in a stream.

    Raises ValueError, LookupError, TypeError or AttributeError where `body` is no completion.
    """
    if streamed:
        found = _streamed(body)
    else:
        choice = parsed(body)["choices"][0]
        found = (_text(choice), choice.get("finish_reason") or "", "")
    text, reason, fault = found
    if not isinstance(text, str) or not isinstance(reason, str):
        raise TypeError("its text is none")
    # The console of the ops machine takes UTF-8.
    text, reason, fault = (each.encode(errors="replace").decode() for each in found)
    return text[: bounds.TEXT], reason[: bounds.WORDS], fault


def _streamed(body: bytes) -> tuple[str, str, str]:
    """Return the events of a stream as one answer (server-sent events, ended by `[DONE]`)."""
    lines = [line[6:] for line in body.splitlines() if line.startswith(b"data: ")]
    if not lines or lines[-1].strip() != b"[DONE]":
        return "", "", "a stream that breaks off"
    texts: list[str] = []
    reason = ""
    for event in map(parsed, lines[:-1]):
        if "error" in event:
            return "".join(texts), "", "an error: %.500s" % event["error"]
        for choice in event["choices"]:
            texts.append(_text(choice))
            reason = choice.get("finish_reason") or reason
    return "".join(texts), reason, ""


def _text(choice: Document) -> str:
    """Return the text of a completion, of a chat's answer, or of a part of one."""
    if "text" in choice:
        return choice["text"] or ""
    said = choice["delta"] if "delta" in choice else choice["message"]
    # A thought is an answer: vLLM names its field `reasoning`, engines before it and others `reasoning_content`.
    return said.get("content") or said.get("reasoning") or said.get("reasoning_content") or ""


def busy(port: int, signs: Document) -> int:
    """Return the requests in work by the engine's own metrics, 0 if it does not answer and so has none."""
    return load_in(metrics(port, signs["metrics"]), signs["load"])


def load_in(lines: list[str], names: list[str]) -> int:
    """Return the sum of the gauges `names` in lines of metrics; what is no number counts as nothing."""
    gauges = "|".join(re.escape(name) for name in names)
    gauge = re.compile(
        r"(?:%s)(?:\{[^}]*\})? ([0-9]{1,12}(?:\.[0-9]{1,12})?(?:e\+?[0-9]{1,2})?)$" % gauges
    )
    found = [gauge.match(line) for line in lines]
    return int(min(bounds.LOAD, sum(float(each[1]) for each in found if each)))


def figures(port: int, signs: Document, timeout: float = 0.5) -> dict[str, float] | None:
    """Return the engine's counts of requests in work and of its progress, by name; None where it does not answer."""
    return counters(port, signs["metrics"], [*signs["load"], *signs["progress"]], timeout)


def counters(port: int, path: str, names: list[str], timeout: float = 2) -> dict[str, float] | None:
    """Return the values of the engine's metrics `names`, at `path`; None where it does not answer."""
    lines = metrics(port, path, timeout)
    return counts_in(lines, names) if lines else None


def counts_in(lines: list[str], names: list[str]) -> dict[str, float]:
    """Return the values of the metrics `names` in lines of metrics; what is no number counts as nothing.

    The values of a metric's labels are added.
    """
    found: dict[str, float] = {}
    for line in lines:
        name, _, value = line.rpartition(" ")
        name = name.partition("{")[0]
        # Prometheus' library ends the names of counters so.
        name = name[: -len("_total")] if name.endswith("_total") else name
        if name in names and _NUMBER.match(value):
            found[name] = min(bounds.COUNT, found.get(name, 0.0) + float(value))
    return found


# Python writes numbers below 1 with up to 21 digits behind the point, and smaller ones with an exponent.
_VALUE = r"[0-9]{1,18}(?:\.[0-9]{1,24})?(?:e[+-]?[0-9]{1,2})?"
_NUMBER = re.compile(rf"{_VALUE}\Z")


def sums(
    port: int, path: str, names: list[str], timeout: float = 1
) -> dict[str, tuple[float, float]]:
    """Return (sum, count) of histograms of the engine at the path of its metrics, by name, over all their labels.

    What is no number counts as nothing.
    """
    found: dict[str, tuple[float, float]] = {}
    for line in metrics(port, path, timeout):
        name = next((each for each in names if line.startswith(each)), "")
        part, _, value = line[len(name) :].rpartition(" ")
        if name and part.startswith(("_sum", "_count")) and _NUMBER.match(value):
            total, count = found.get(name, (0.0, 0.0))
            more = min(bounds.COUNT, float(value))
            found[name] = (total + more, count) if part[1] == "s" else (total, count + more)
    return found


def histograms_in(lines: list[str], names: list[str]) -> dict[str, Document]:
    """Return {name: {"buckets": [(bound, number up to it)], "total", "count"}} of histograms, over all their labels.

    The bounds are finite and rise; what is no number counts as nothing.
    """
    found: dict[str, dict[float, float]] = {}
    ends: dict[str, dict[str, float]] = {}
    for line in lines:
        name = next((each for each in names if line.startswith(each)), "")
        part = _PART.match(line, len(name)) if name else None
        if part is None:
            continue
        value, bound = min(bounds.COUNT, float(part[3])), _BOUND.search(part[2] or "")
        if part[1] != "bucket":
            known = ends.setdefault(name, {"sum": 0.0, "count": 0.0})
            known[part[1]] += value
        elif bound and len(found.setdefault(name, {})) < bounds.BUCKETS:
            known_to = found[name]
            known_to[float(bound[1])] = known_to.get(float(bound[1]), 0.0) + value
    return {
        name: {
            "buckets": sorted(found.get(name, {}).items()),
            "total": known["sum"],
            "count": known["count"],
        }
        for name, known in ends.items()
    }


_PART = re.compile(rf"_(bucket|sum|count)(\{{[^}}]*\}})? ({_VALUE})\Z")
# The last bound is no number, and its bucket is the count.
_BOUND = re.compile(r'[{,]le="([0-9]{1,9}(?:\.[0-9]{1,9})?(?:e[+-]?[0-9]{1,2})?)"')


def status_of(port: int, path: str, payload: Document, timeout: float) -> int:
    """Return the status of the answer to a request; 0 where there is none within `timeout` seconds."""
    import http.client

    try:
        return _request(port, "POST", path, payload, timeout)[0]
    except (OSError, http.client.HTTPException):
        return 0


def cache_info(port: int, signs: Document) -> list[str]:
    """Return the lines of the engine's metrics that describe its cache, none if it has no such metric."""
    return [
        line for line in metrics(port, signs["metrics"]) if line.startswith(signs["cache"] + "{")
    ]


def metrics(port: int, path: str, timeout: float = 2) -> list[str]:
    """Return the lines of the engine's metrics at `path`; none where it does not answer within `timeout` seconds."""
    import http.client

    try:
        return text(port, path, timeout).splitlines()
    except (OSError, http.client.HTTPException):
        return []


def text(port: int, path: str, timeout: float) -> str:
    """Return the body at a path of the engine, empty where its status is not 200.

    Raises OSError and HTTPException, also after `timeout` seconds.
    """
    status, body = _request(port, "GET", path, None, timeout)
    return body.decode("utf-8", "replace") if status == 200 else ""


def _request(
    port: int, method: str, path: str, payload: Document | None, timeout: float
) -> tuple[int, bytes]:
    # Most observations ask no replica, and loading this module takes longer than an observation.
    import in_time

    ends = time.monotonic() + timeout
    connection = in_time.Connection(port, timeout)
    try:
        body = None if payload is None else json.dumps(payload)
        connection.request(method, path, body, {"Content-Type": "application/json"})
        # The connection forgets it where the server closes.
        socket = connection.sock
        with connection.getresponse() as response:
            return response.status, b"".join(parts(response, socket, ends))
    finally:
        connection.close()


def parts(response: Any, socket: Any, ends: float) -> Iterator[bytes]:
    """Yield the parts of a body as they come, at most 4 MiB; raises TimeoutError at `ends`."""
    taken, most = 0, min(2**22, 2**22 if response.length is None else response.length)
    while taken < most:
        left = ends - time.monotonic()
        if left <= 0:
            raise TimeoutError("its answer did not end in time")
        socket.settimeout(left)
        part = response.read1(2**16)
        if not part:
            break
        taken += len(part)
        yield part


def _answer(status: int, text: str, finish_reason: str, started: float, error: str) -> Document:
    return {
        "status": status,
        "text": text,
        "finish_reason": finish_reason,
        "seconds": time.monotonic() - started,
        "error": error,
    }
