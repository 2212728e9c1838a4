"""Talk to a replica on this host's loopback."""

from __future__ import annotations

import json
import re
import time

from wire import Document


def healthy(port: int, timeout: float = 2) -> bool:
    """Return whether `/health` answers 200."""
    try:
        return _request(port, "GET", "/health", None, timeout)[0] == 200
    except OSError:
        return False


def complete(port: int, payload: Document, timeout: float) -> Document:
    """Ask for one chat completion; return {"status", "text", "finish_reason", "seconds", "error"}."""
    import http.client

    started = time.monotonic()
    try:
        status, body = _request(port, "POST", "/v1/chat/completions", payload, timeout)
    except (OSError, http.client.HTTPException) as error:
        return _answer(0, "", "", started, f"{type(error).__name__}: {error}")
    if status != 200:
        return _answer(status, "", "", started, body[:500].decode("utf-8", "replace"))
    try:
        choice = json.loads(body)["choices"][0]
        text = choice["message"]["content"] or choice["message"].get("reasoning_content") or ""
        return _answer(status, text, choice.get("finish_reason") or "", started, "")
    except (ValueError, LookupError, TypeError) as error:
        return _answer(status, "", "", started, f"not a completion: {error}")


def busy(port: int, timeout: float = 2) -> int:
    """Return vLLM's running + waiting requests, or 0 where it no longer answers (it has none then)."""
    try:
        status, body = _request(port, "GET", "/metrics", None, timeout)
    except OSError:
        return 0
    if status != 200:
        return 0
    return int(sum(float(value) for value in _LOAD.findall(body.decode("utf-8", "replace"))))


_LOAD = re.compile(r"^vllm:num_requests_(?:running|waiting)(?:\{[^}]*\})? ([0-9.e+]+)$", re.M)


def cache_info(port: int, timeout: float = 2) -> list[str]:
    """Return the lines of vLLM's metrics that describe its cache; none where it does not tell."""
    import http.client

    try:
        status, body = _request(port, "GET", "/metrics", None, timeout)
    except (OSError, http.client.HTTPException):
        return []
    lines = body.decode("utf-8", "replace").splitlines() if status == 200 else []
    return [line for line in lines if line.startswith("vllm:cache_config_info{")]


def _request(
    port: int, method: str, path: str, payload: Document | None, timeout: float
) -> tuple[int, bytes]:
    # Most looks at a host ask no replica, and this takes longer to load than they take.
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        body = None if payload is None else json.dumps(payload)
        connection.request(method, path, body, {"Content-Type": "application/json"})
        with connection.getresponse() as response:
            return response.status, response.read(2**22)
    finally:
        connection.close()


def _answer(status: int, text: str, finish_reason: str, started: float, error: str) -> Document:
    return {
        "status": status,
        "text": text,
        "finish_reason": finish_reason,
        "seconds": time.monotonic() - started,
        "error": error,
    }
