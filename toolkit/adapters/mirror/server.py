"""Serve a mirror over HTTP until a signal."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from toolkit.adapters.mirror.app import mirror_app
from toolkit.adapters.mirror.source import MirrorSource
from toolkit.errors import InputError

# Running downloads get this many seconds after the signal to stop.
GRACE = 5


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


class Server(uvicorn.Server):
    """Closes the connections of downloads that outlast the grace period.

    A client treats that as a broken connection and resumes later. The tasks that uvicorn would cancel instead fill the
    log with tracebacks.
    """

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_level="warning",
                access_log=False,
                lifespan="off",
                server_header=False,
                timeout_graceful_shutdown=2 * GRACE,
                timeout_keep_alive=30,
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
