"""The mirror's server on a thread of its own, for tests."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import ASGIApp

from toolkit.adapters.mirror.server import Server, listening_at, url_of


@contextmanager
def serve_on_thread(app: ASGIApp, bind: str = "127.0.0.1:0") -> Iterator[str]:
    """Serve an ASGI application, such as a `mirror_app`, while the block runs; yields its URL."""
    with listening_at(bind) as listener:
        server = Server(app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            # The socket listens already: connections wait in its queue until the server accepts them.
            yield url_of(listener)
        finally:
            server.should_exit = True
            thread.join()
