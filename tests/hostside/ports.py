"""Ports on loopback for servers of the tests."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
from collections.abc import Iterator

# The ports that `free_port` has given away.
_given: list[int] = []


def free_port() -> int:
    """Return a free port on loopback that stays free while its server is away.

    The kernel gives ports from 32768 on to outgoing connections, also the port of a router that is to start again. Each
    process of tests draws among ports of its own, and none again soon: two routers would share a port without a word.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    own = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    while True:
        port = 20000 + secrets.randbelow(12000 // workers) * workers + own
        if port in _given[-2000:]:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            _given.append(port)
            return port


@contextlib.contextmanager
def closed_port() -> Iterator[int]:
    """Take a port on loopback without listening at it, so that no other program of this machine listens there."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])
