"""The use of keys on the other hosts, asked of their routers every two seconds, by the way that relays go anyway.

The watch reaches nothing beyond this host. Its router passes the question on: `/use/N` at the socket `uses.sock` leads
to the relay of another host, whose router hands out what the watch there has published. A host that does not answer
keeps its last sums, and keeps no other host back for longer than a second.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
import time

import router_files
import use_sums
from directory import connectable
from documents import parsed
from wire import Document

SOCKET = "uses.sock"
SECONDS, TIMEOUT = 2.0, 3.0
# A host that kept others waiting is asked again after so many seconds.
PATIENCE, SILENCE = 0.3, 10.0
# Bytes of an answer: 20,000 keys with the longest names and sums.
MOST_BYTES = 2**22
_PEER = re.compile(r"^backend use:([0-9]+)$", re.MULTILINE)


class Peers:
    """The other hosts of the fleet, as the router of the host at `root` knows them. A thread asks them."""

    def __init__(self, root: str) -> None:
        self.root = root
        # {PEER: its ledger and sums}. The key is the peer, so none can take more than one place.
        self._said: dict[str, tuple[str, Document]] = {}
        self._silent: dict[str, float] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def said(self) -> Document:
        """Return the sums by ledger that came since the last call; the first call begins to ask."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._ask_on, daemon=True)
            self._thread.start()
        with self._lock:
            said, self._said = self._said, {}
        return use_sums.joined(said.values())

    def _ask_on(self) -> None:
        while True:
            with contextlib.suppress(OSError):
                self.ask()
            time.sleep(SECONDS)

    def ask(self) -> None:
        """Ask each host once."""
        base = router_files.read(os.path.join(self.root, "router", "haproxy.cfg")) or ""
        for peer in _PEER.findall(base):
            if self._silent.get(peer, 0.0) > time.monotonic():
                continue
            began = time.monotonic()
            try:
                statement = use_sums.stated(parsed(fetch(self.root, peer)))
            except (OSError, ValueError):
                if time.monotonic() - began > PATIENCE:
                    self._silent[peer] = time.monotonic() + SILENCE
                continue
            with self._lock:
                self._said[peer] = statement


def fetch(root: str, peer: str) -> bytes:
    """Return the published sums of the host `peer`, its number in the router's base. Raises OSError or ValueError."""
    user, _ = router_files.reader(root)
    handle = connectable(os.path.join(root, "sockets", SOCKET), (user, 0, os.geteuid()))
    try:
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(TIMEOUT)
            link.connect(f"/proc/self/fd/{handle}")
            link.sendall(f"GET /use/{peer} HTTP/1.0\r\n\r\n".encode())
            answer = b""
            until = time.monotonic() + TIMEOUT
            while part := link.recv(65_536):
                answer += part
                if len(answer) > MOST_BYTES or time.monotonic() > until:
                    raise ValueError("too long an answer")
    finally:
        os.close(handle)
    head, _, body = answer.partition(b"\r\n\r\n")
    if not re.match(rb"HTTP/1\.[01] 200 ", head):
        raise ValueError("no sums")
    return body
