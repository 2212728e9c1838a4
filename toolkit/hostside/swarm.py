"""Take part in a swarm: receive the pieces of a tree from the ops machine and from other hosts, and pass them on.

A host requests its own share of the pieces first, so that each piece leaves the ops machine about once, and the other
pieces from any host that has them. After the request, JSON lines come on standard input: {"peers": [[address,
port]...]} names hosts to connect to, and {"stop": true} is the last line.
"""

from __future__ import annotations

import base64
import contextlib
import importlib
import json
import os
import threading
import time
from collections.abc import Collection, Iterable
from typing import Any, BinaryIO

import swarm_library
from swarm_checks import Checks
from swarm_order import FIRST, Order
from swarm_settings import LOOPBACK, add_torrent, connect, new_session, rest
from trees import Arrival, File, publish, require_room
from wire import Document, Report

_TICK_SECONDS = 0.05
_REPORT_SECONDS = 0.5
_LISTEN_SECONDS = 10
_CHECK_SECONDS = 3600


def join(request: Document, stream: BinaryIO, report: Report) -> Document:
    """Take part until told to stop, then publish the tree. Result: {"wrong": [path...]}.

    Reports {"listening": True, "bytes": kept} first, then {"bytes": done}, {"checking": True} once all pieces have
    come, and {"complete": True} once they are checked. After that, this host still serves others. Raises ValueError on
    an earlier stop.
    """
    swarm_library.use(request["root"], request["library"])
    tree, stop = Arrival(request), threading.Event()
    with tree.locked(), contextlib.closing(_Peer(request, tree)) as peer:
        peer.listen()
        report({"listening": True, "bytes": peer.done()})
        threading.Thread(target=_obey, args=(stream, peer, stop), daemon=True).start()
        came, complete, told = False, False, 0.0
        while not stop.wait(_TICK_SECONDS):
            peer.heed_alerts()
            if not came and peer.has_all():
                came = True
                report({"bytes": peer.done()})
                report({"checking": True})
            if came and not complete and peer.is_checked():
                complete = True
                report({"complete": True})
            if time.monotonic() - told > _REPORT_SECONDS:
                told = time.monotonic()
                report({"bytes": peer.done()})
        if not complete:
            raise ValueError("stopped before all of it had come")
        wrong = peer.wrong()
        if not wrong:
            publish(tree)
    return {"wrong": wrong}


def _obey(stream: BinaryIO, peer: _Peer, stop: threading.Event) -> None:
    for line in stream:
        order = json.loads(line)
        if "peers" in order:
            peer.connect((address, port) for address, port in order["peers"])
        if order.get("stop"):
            stop.set()
            return
    # Standard input has ended, so the command or the link to the ops machine is gone.
    os._exit(3)


class _Peer:
    """A libtorrent session with the torrent of one tree."""

    def __init__(self, request: Document, tree: Arrival) -> None:
        # The ops machine has sent this library; this host's Python does not have it.
        libtorrent: Any = importlib.import_module("libtorrent")
        self._lt = libtorrent
        port = request["port"]
        self._listen = [f"{LOOPBACK}:{port}", f"{request['address']}:{port}"]
        certificate, key = request["certificate"].encode(), request["key"].encode()
        allowed = [LOOPBACK, *request["fleet"]]
        self._session = new_session(
            libtorrent, self._listen, allowed, request["limit"], tls=bool(certificate)
        )
        self._top = os.path.join(tree.swarm, request["directory"])
        os.makedirs(self._top, exist_ok=True)
        torrent = base64.b64decode(request["torrent"])
        member = (certificate, key) if certificate else None
        self._torrent = add_torrent(
            libtorrent, self._session, torrent, self._top, member, seed=False
        )
        self._files = self._wanted(tree)
        self._order = Order(
            {number: pieces for number, (_, pieces) in self._files.items()},
            request["index"],
            request["count"],
        )
        self._torrent.prioritize_pieces(
            self._order.priorities(self._torrent.torrent_file().num_pieces())
        )
        self._whole: set[int] = set()
        self._checks = Checks(tree, self._top, self._torrent.flush_cache)

    def _wanted(self, tree: Arrival) -> dict[int, tuple[File, range]]:
        """Return the missing files, by their numbers in the torrent, each with its pieces.

        Raises ValueError where the disk has no room for them, beside what another way has left.
        """
        missing = {file.path: file for file in tree.missing()}
        layout = self._torrent.torrent_file().layout()
        length = self._torrent.torrent_file().piece_length()
        wanted = {}
        for number in range(layout.num_files()):
            file = missing.get(layout.file_path(number).partition("/")[2])
            if file is not None:
                first = layout.file_offset(number) // length
                wanted[number] = file, range(first, first + -(-file.size // length))
        require_room(tree, list(missing.values()), self._top)
        return wanted

    def listen(self) -> None:
        """Return once the session listens and has checked the existing pieces; raises OSError or TimeoutError."""
        until = time.monotonic() + _LISTEN_SECONDS
        heard: set[tuple[str, int]] = set()
        while len(heard) < len(self._listen):
            if time.monotonic() > until:
                raise TimeoutError(f"does not listen at {', '.join(self._listen)}")
            self._session.wait_for_alert(100)
            for alert in self._session.pop_alerts():
                if isinstance(alert, self._lt.listen_failed_alert):
                    raise OSError(alert.message())
                if isinstance(alert, self._lt.listen_succeeded_alert):
                    heard.add((alert.address, alert.port))
        until = time.monotonic() + _CHECK_SECONDS
        states = self._lt.torrent_status
        while self._torrent.status().state in (
            states.checking_files,
            states.checking_resume_data,
        ):
            if time.monotonic() > until:
                raise TimeoutError("what an interrupted run has left is not checked after an hour")
            time.sleep(_TICK_SECONDS)
        there = self._torrent.status(self._lt.status_flags_t.query_pieces).pieces
        self._advance(number for number, is_there in enumerate(there) if is_there)
        rest(self._torrent)

    def connect(self, peers: Iterable[tuple[str, int]]) -> None:
        """Connect to other hosts, and accept connections from now on."""
        connect(self._torrent, peers)

    def heed_alerts(self) -> None:
        """Start the check of files that are complete; raises OSError where the disk fails."""
        whole, pieces = set(), []
        for alert in self._session.pop_alerts():
            if isinstance(alert, (self._lt.file_error_alert, self._lt.torrent_error_alert)):
                raise OSError(alert.message())
            if isinstance(alert, self._lt.cache_flushed_alert):
                self._checks.flushed()
            if isinstance(alert, self._lt.file_completed_alert):
                whole.add(alert.index)
            if isinstance(alert, self._lt.piece_finished_alert):
                pieces.append(alert.piece_index)
        self._advance(pieces)
        self._check(whole)

    def _check(self, whole: Collection[int]) -> None:
        fresh = [number for number in self._files if number in whole and number not in self._whole]
        if fresh:
            self._whole.update(fresh)
            self._checks.add(self._files[number][0] for number in fresh)

    def _advance(self, pieces: Iterable[int]) -> None:
        """Hash the pieces up to the first gap, and request the next pieces of the share."""
        length = self._torrent.torrent_file().piece_length()
        for number, count in self._order.advance(pieces).items():
            self._checks.grown(self._files[number][0], count * length)
        for piece in self._order.due():
            self._torrent.piece_priority(piece, FIRST)

    def done(self) -> int:
        """Return the bytes of all pieces that have come with the right hash."""
        return int(self._torrent.status().total_wanted_done)

    def has_all(self) -> bool:
        """Whether every wanted piece has come."""
        return bool(self._torrent.status().is_finished)

    def is_checked(self) -> bool:
        """Whether all files are checked, once all have come; raises TimeoutError where the disk does not store them."""
        self._check(self._files)
        return self._checks.are_done()

    def wrong(self) -> list[str]:
        """Return the paths of files with a wrong digest."""
        return self._checks.wrong()

    def close(self) -> None:
        """Start no further check."""
        self._checks.close()
