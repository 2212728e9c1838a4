"""Errors on the paths of Anthropic's API, in the shape and with the types of that API.

vLLM says in OpenAI's shape what it cannot parse there, and names its own classes as types. Clients of that API go by
its shape and its types. Each other answer, and an error that is no JSON, passes as it is.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable
from typing import Any

from toolkit_recorder.use import Message, Scope, Send, Use

PATH = "/v1/messages"
# Bytes; a longer error passes as it is.
MOST = 2**20
_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_JSON = b"application/json"


def in_shape(scope: Scope, send: Send) -> Send:
    """Return a `send` for the client of this request, which gives errors the shape of the API."""
    held: list[Message] = []

    def sent(message: Message) -> Awaitable[None]:
        # No coroutine of its own for the events of a stream.
        return _hold(message) if held or _begins_error(message) else send(message)

    async def _hold(message: Message) -> None:
        held.append(message)
        size = sum(len(each.get("body", b"")) for each in held)
        ends = message["type"] == "http.response.body" and not message.get("more_body")
        if not ends and size <= MOST:
            return
        messages = [*held]
        held.clear()
        for each in _shaped(Use(scope).id, messages) if ends and size <= MOST else messages:
            await send(each)

    return sent


def _begins_error(message: Message) -> bool:
    if message["type"] != "http.response.start" or message["status"] < 400:
        return False
    kinds = (value for name, value in message.get("headers", ()) if name.lower() == b"content-type")
    return any(kind.startswith(_JSON) for kind in kinds)


def _shaped(request_id: str, messages: list[Message]) -> list[Message]:
    """Return the messages of a whole answer with the error in the shape of the API."""
    start, *rest = messages
    status = start["status"]
    error = _error(b"".join(each.get("body", b"") for each in rest))
    if error is None:
        return messages
    type_ = _TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
    document = {"type": "error", "error": {**error, "type": type_}, "request_id": request_id}
    body = json.dumps(document).encode()
    headers = [
        (name, str(len(body)).encode() if name.lower() == b"content-length" else value)
        for name, value in start["headers"]
    ]
    return [{**start, "headers": headers}, {"type": "http.response.body", "body": body}]


def _error(body: bytes) -> dict[str, Any] | None:
    try:
        error = json.loads(body)["error"]
        return error if isinstance(error["message"], str) else None
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
