"""Send a file, or a range of it, over ASGI in large pieces."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

PIECE = 2**20
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes `start` up to `end`, without the latter; `partial` where a range was asked for."""

    start: int
    end: int
    partial: bool


def wanted_span(headers: Mapping[str, str], size: int, tag: str) -> Span | None:
    """Return what of a file of `size` bytes is asked for; None where that lies outside of it.

    Everything is sent where no range is asked for, where it has a form that servers may ignore
    (several ranges), and where If-Range names another state of the file than `tag`.
    """
    everything = Span(0, size, partial=False)
    found = _RANGE.fullmatch(headers.get("range", "").replace(" ", ""))
    if found is None or not any(found.groups()):
        return everything
    if headers.get("if-range", tag) != tag:
        return everything
    first, last = found.groups()
    if not first:
        span = Span(max(size - int(last), 0), size, partial=True)
    else:
        end = min(int(last) + 1, size) if last else size
        if last and int(last) < int(first):
            return everything
        span = Span(int(first), end, partial=True)
    return span if span.start < span.end else None


class FileSpan(Response):
    """A response whose body is a span of a file."""

    def __init__(self, path: Path, span: Span, size: int, headers: Mapping[str, str]) -> None:
        super().__init__(
            status_code=206 if span.partial else 200,
            headers={**headers, "Content-Length": str(span.end - span.start)},
            media_type="application/octet-stream",
        )
        if span.partial:
            self.headers["Content-Range"] = f"bytes {span.start}-{span.end - 1}/{size}"
        self._path = path
        self._span = span

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send head and body; the next piece is read while one is sent."""
        start = {
            "type": "http.response.start",
            "status": self.status_code,
            "headers": self.raw_headers,
        }
        if scope["method"] == "HEAD" or self._span.start == self._span.end:
            await send(start)
            await send({"type": "http.response.body", "body": b""})
            return
        handle = await asyncio.to_thread(os.open, self._path, os.O_RDONLY | os.O_CLOEXEC)
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            await send(start)
            await self._send_body(handle, send, gone)
        finally:
            gone.cancel()
            os.close(handle)

    async def _send_body(self, handle: int, send: Send, gone: asyncio.Future[None]) -> None:
        at, end = self._span.start, self._span.end
        ahead = asyncio.ensure_future(asyncio.to_thread(_read, handle, at, end))
        try:
            while at < end and not gone.done():
                piece = await ahead
                at += len(piece)
                if not piece:
                    # The file became shorter; ending early lets the client notice.
                    return
                ahead = asyncio.ensure_future(asyncio.to_thread(_read, handle, at, end))
                await send({"type": "http.response.body", "body": piece, "more_body": at < end})
        finally:
            # The descriptor is about to be closed; no read may be on its way.
            await asyncio.wait([ahead])


def _read(handle: int, at: int, end: int) -> bytes:
    return os.pread(handle, min(PIECE, end - at), at)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
