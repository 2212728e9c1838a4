"""Serve a mirror over HTTP until a signal."""

from __future__ import annotations

import asyncio
import re
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from toolkit.adapters.mirror.app import mirror_app
from toolkit.adapters.mirror.source import MirrorSource
from toolkit.errors import InputError

# Running downloads get this many seconds after the signal to stop.
GRACE = 5
KEPT = 30
# Seconds until a connection that is new or was kept has sent the head of a request.
HEAD = 2 * KEPT
# Seconds in which a client must take something of its answer.
UNREAD = 120
# Files of one download: its connection and what it reads. The rest of this process has some too.
_FILES, _OWN_FILES = 2, 256


def serve(source: MirrorSource, bind: str, listening: Callable[[str], None]) -> None:
    """Serve at `bind` (HOST:PORT) until SIGINT or SIGTERM; `listening` gets the URL (`http://HOST:PORT`).

    Raises InputError where `bind` is malformed or cannot be bound.
    """
    with listening_at(bind) as listener:
        server = Server(mirror_app(source))

        def end(*_: object) -> None:
            server.should_exit = True

        # For a signal that comes before uvicorn has its own handlers. Once it has stopped, it raises the signal again,
        # but a requested stop is no failure.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, end)
        listening(url_of(listener))
        server.run(sockets=[listener])


class Unhurried(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """A connection that ends where its client keeps a request to itself, at once where others need the place.

    Otherwise a thousand clients that never end their requests would hold all files that this process may open.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Take the place of the connection that has waited for a request the longest, where all places are taken."""
        super().connection_made(transport)
        self._timer: asyncio.TimerHandle | None = None
        self._follow()
        present = [each for each in self.connections if not each.transport.is_closing()]
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if _FILES * len(present) > limit - _OWN_FILES:
            # The set has no order, but the timer that is due next is that of the longest wait.
            min(present, key=lambda each: each.due).transport.abort()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._follow()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._follow()

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        if self._timer is not None:
            self._timer.cancel()

    @property
    def due(self) -> float:
        """The time at which the connection ends, of the loop's clock; infinite while it has a request."""
        return self._timer.when() if self._timer is not None else float("inf")

    def _follow(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = None
        elif self._timer is None:
            self._timer = self.loop.call_later(HEAD, self.transport.abort)


class Server(uvicorn.Server):
    """Closes the connections of downloads that outlast the grace period.

    A client treats that as a broken connection and resumes later. The tasks that uvicorn would cancel instead fill the
    log with tracebacks.
    """

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=Unhurried,
                log_level="warning",
                access_log=False,
                lifespan="off",
                server_header=False,
                timeout_graceful_shutdown=2 * GRACE,
                timeout_keep_alive=KEPT,
                # Accepted at a time, before any of them can make room for the next.
                backlog=_OWN_FILES // 2,
            )
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening and wait for running downloads, GRACE seconds at most."""
        ending = asyncio.get_running_loop().call_later(GRACE, self._close_connections)
        try:
            await super().shutdown(sockets)
        finally:
            ending.cancel()

    def _close_connections(self) -> None:
        for connection in list(self.server_state.connections):
            transport = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()


@contextmanager
def listening_at(bind: str) -> Iterator[socket.socket]:
    """Yield a socket that listens at `bind` (HOST:PORT); raises InputError as `serve` does."""
    host, separator, port = bind.rpartition(":")
    host = host.strip("[]")
    if not separator or not host or not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535:
        raise InputError(f"{bind!r} is no address to bind", hint="write it like 127.0.0.1:8090")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only for sockets that name TCP. With it, each small file takes 40 ms more.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Its connections inherit this. The kernel ends one whose client takes nothing for so long.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD * 1000)
        try:
            listener.bind((host, int(port)))
        except (OSError, UnicodeError) as error:
            # A name that no resolver can be asked for is an error of its encoding.
            raise InputError(
                f"{bind} cannot be bound: {getattr(error, 'strerror', '') or error}",
                hint="see who has it: ss -ltnp; or choose another: toolkit mirror --bind ADDRESS",
            ) from error
        listener.listen(1024)
        yield listener


def url_of(listener: socket.socket) -> str:
    """Return the URL of a socket that listens."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
