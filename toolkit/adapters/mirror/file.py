"""Send a file, or a range of it, over ASGI in pieces of 1 MiB."""

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
# No file has a size of more digits.
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class ByteRange:
    """The bytes of a file from `start` to before `end`; `partial` if the request named a range."""

    start: int
    end: int
    partial: bool


def requested_range(headers: Mapping[str, str], size: int, tag: str) -> ByteRange | None:
    """Return the range of a file of `size` bytes that a request names, None for a range outside of the file.

    The range is the whole file if the request names none, has several ranges, which a server may ignore, or has an
    If-Range other than the file's `tag`.
    """
    everything = ByteRange(0, size, partial=False)
    found = _RANGE.fullmatch(headers.get("range", "").replace(" ", ""))
    if found is None or not any(found.groups()):
        return everything
    if headers.get("if-range", tag) != tag:
        return everything
    first, last = found.groups()
    if not first:
        chosen = ByteRange(max(size - int(last), 0), size, partial=True)
    else:
        end = min(int(last) + 1, size) if last else size
        if last and int(last) < int(first):
            return everything
        chosen = ByteRange(int(first), end, partial=True)
    return chosen if chosen.start < chosen.end else None


class FileRange(Response):
    """A response whose body is the range `sent` of the file at `path`, which has `size` bytes."""

    def __init__(self, path: Path, sent: ByteRange, size: int, headers: Mapping[str, str]) -> None:
        super().__init__(
            status_code=206 if sent.partial else 200,
            headers={**headers, "Content-Length": str(sent.end - sent.start)},
            media_type="application/octet-stream",
        )
        if sent.partial:
            self.headers["Content-Range"] = f"bytes {sent.start}-{sent.end - 1}/{size}"
        self._path = path
        self._sent = sent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response. The next piece is read while one is sent."""
        start = {
            "type": "http.response.start",
            "status": self.status_code,
            "headers": self.raw_headers,
        }
        if scope["method"] == "HEAD" or self._sent.start == self._sent.end:
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
        at, end = self._sent.start, self._sent.end
        ahead = asyncio.ensure_future(asyncio.to_thread(_read, handle, at, end))
        try:
            while at < end and not gone.done():
                piece = await ahead
                at += len(piece)
                if not piece:
                    # The file was truncated. A body shorter than announced tells the client.
                    return
                ahead = asyncio.ensure_future(asyncio.to_thread(_read, handle, at, end))
                await send({"type": "http.response.body", "body": piece, "more_body": at < end})
        finally:
            # The caller closes the descriptor next, so no read may still use it.
            await asyncio.wait([ahead])


def _read(handle: int, at: int, end: int) -> bytes:
    return os.pread(handle, min(PIECE, end - at), at)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
