"""A Hub on loopback with given files and with faults on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from toolkit.adapters.fakes.hub import LARGE_SUFFIXES, commit_id
from toolkit.adapters.hub.errors import Fault
from toolkit.adapters.store.hashing import digest_file
from toolkit.adapters.store.manifest import StoredSnapshot
from toolkit.domain.files.snapshot import FileDigest, Snapshot

# A Hub's answer for each fault: status, and the headers that clients read.
ANSWERS: dict[Fault, tuple[int, dict[str, str]]] = {
    Fault.GATED: (403, {"X-Error-Code": "GatedRepo"}),
    Fault.MISSING: (401, {"X-Error-Code": "RepoNotFound"}),
    Fault.REFUSED: (401, {"X-Error-Message": "Invalid credentials in Authorization header"}),
    Fault.RATE_LIMITED: (429, {"Retry-After": "120"}),
    Fault.SERVER_FAILED: (503, {}),
}


class PublishedFiles:
    """A `MirrorSource` over files in `root`, with a directory for each commit."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._repos: dict[str, dict[str, StoredSnapshot]] = {}

    def publish(
        self,
        repo: str,
        files: Mapping[str, bytes],
        *,
        licence: str = "apache-2.0",
        names: tuple[str, ...] = (),
        candidate: bool = False,
    ) -> str:
        """Add a commit with exactly these files as the newest; returns its 40-hex id."""
        revision = commit_id(repo, files)
        place = self._root / repo / revision
        for path, content in files.items():
            target = place / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        digests = tuple(_digest(place, path) for path in sorted(files))
        snapshot = Snapshot(repo, revision, digests)
        self._repos.setdefault(repo, {})[revision] = StoredSnapshot(
            snapshot, licence, 1e9, place, names, candidate
        )
        return revision

    def snapshot(self, repo: str, revision: str) -> Snapshot:
        """Return the snapshot that a lock would pin for that commit."""
        return self._repos[repo][revision].snapshot

    def revisions(self, repo: str) -> Sequence[StoredSnapshot]:
        return tuple(self._repos.get(repo, {}).values())

    def repositories(self) -> Sequence[str]:
        return tuple(self._repos)


class Misbehaving:
    """An ASGI application in front of another one, which makes it fail like a Hub.

    `requests` lists `METHOD path`, `ranges` the ranges that were asked for, `credentials` what came
    as Authorization. `trouble` fails every request, `gated` those of repositories; `delay` is how long TIMED_OUT stays
    silent (s).
    """

    def __init__(self, app: ASGIApp, *, delay: float = 2.0) -> None:
        self._app = app
        self._delay = delay
        self.trouble: Fault | None = None
        self.gated: set[str] = set()
        self.extra_headers: dict[str, str] = {}
        self.ignore_ranges = False
        self.flipped: set[str] = set()
        self.cuts: dict[str, list[int]] = {}
        self.requests: list[str] = []
        self.ranges: list[str] = []
        self.credentials: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or make it fail."""
        self._note(scope)
        is_gated = any(f"/{repo}/" in scope["path"] for repo in self.gated)
        trouble = Fault.GATED if is_gated else self.trouble
        if trouble in ANSWERS:
            status, headers = ANSWERS[trouble]
            await _answer(send, status, headers)
            return
        if self.trouble is Fault.TIMED_OUT:
            await asyncio.sleep(self._delay)
        name = scope["path"].rpartition("/")[2]
        if scope["method"] == "HEAD":
            await self._app(scope, receive, self._with_headers(send))
            return
        if self.ignore_ranges:
            kept = [(key, value) for key, value in scope["headers"] if key != b"range"]
            scope = {**scope, "headers": kept}
        if name in self.flipped:
            send = _flipping(send)
        if self.cuts.get(name):
            send = _cutting(send, self.cuts[name].pop(0))
        try:
            await self._app(scope, receive, self._with_headers(send))
        except _CutError:
            # The server closes the connection when the application returns before the end of the body.
            return

    def _note(self, scope: Scope) -> None:
        headers = {key.decode(): value.decode() for key, value in scope["headers"]}
        self.requests.append(f"{scope['method']} {scope['path']}")
        if "range" in headers:
            self.ranges.append(headers["range"])
        if "authorization" in headers:
            self.credentials.append(headers["authorization"])

    def _with_headers(self, send: Send) -> Send:
        extra = [
            (key.lower().encode(), value.encode()) for key, value in self.extra_headers.items()
        ]

        async def passing(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        return passing


class _CutError(Exception):
    """Ends a response in the middle of its body."""


def _digest(place: Path, path: str) -> FileDigest:
    found = digest_file(place / path, path)
    large = path.endswith(LARGE_SUFFIXES)
    return FileDigest(path, found.size, found.sha256, "" if large else found.git_sha1)


async def _answer(send: Send, status: int, headers: Mapping[str, str]) -> None:
    encoded = [(key.lower().encode(), value.encode()) for key, value in headers.items()]
    encoded.append((b"content-length", b"0"))
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": b""})


def _cutting(send: Send, size: int) -> Send:
    left = size

    async def cutting(message: Message) -> None:
        nonlocal left
        if message["type"] == "http.response.body":
            body = message.get("body", b"")[:left]
            left -= len(body)
            await send({"type": "http.response.body", "body": body, "more_body": True})
            if left == 0:
                raise _CutError
            return
        await send(message)

    return cutting


def _flipping(send: Send) -> Send:
    """Change the first byte of the first body."""
    flipped = False

    async def flipping(message: Message) -> None:
        nonlocal flipped
        body = message.get("body", b"")
        if body and not flipped:
            flipped = True
            message = {**message, "body": bytes([body[0] ^ 1]) + body[1:]}
        await send(message)

    return flipping
