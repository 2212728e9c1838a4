"""A swarm that brings one tree to several hosts at once; the bytes leave this machine about once.

This machine connects to each host through a tunnel of its shared SSH connection, so it listens nowhere and needs no
open port. A host connects to the hosts that joined before it, at `relay_address` and the port after `relay_port`, and
accepts connections from their addresses alone. Where the fleet file asks for it they speak TLS, with certificates that
are made for this one tree and sent over SSH.
"""

from __future__ import annotations

import base64
import random
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.adapters.descriptors import free_descriptors, need_descriptors
from toolkit.adapters.distribution.delivery import Delivery, Need
from toolkit.adapters.distribution.port import Progress
from toolkit.adapters.distribution.swarm_library import Wheels, library_name
from toolkit.adapters.distribution.swarm_member import Link, Member, have_gathered
from toolkit.adapters.distribution.swarm_torrent import kept_hashes, piece_length, shares, torrent
from toolkit.adapters.hosts.dialog import Dialog
from toolkit.adapters.hosts.facts import understood
from toolkit.adapters.hosts.ssh import tunnel
from toolkit.domain.hosts.fleet import Host
from toolkit.domain.outside import texts_of, whole
from toolkit.errors import HostError, ToolkitError
from toolkit.hostside.swarm_settings import (
    EVERY_PEER,
    LOOPBACK,
    add_torrent,
    connect,
    new_session,
    rest,
    serve,
)

if TYPE_CHECKING:
    from toolkit.adapters.distribution.swarm_certificates import Authority

# The setup of a swarm takes longer than it takes to send fewer bytes.
LEAST_BYTES = 8 * 2**20
# The number of hosts with a share of their own. Further hosts get all pieces from these.
MOST_SHARES = 16
# Descriptors: of a session without peers, and files that libtorrent keeps open in it.
_OF_A_SESSION = 4
_FILES_OF_A_SESSION = 40
# The hosts that get pieces of any share from this machine at a time, while shares leave it. More of them take its link
# from the shares, for pieces that have left already.
SERVED_BY_SEED = 1
# The hosts that joined before it to which a host connects. With more, each piece comes in more parts from slower links.
NEIGHBOURS = 12
_TICK_SECONDS = 0.1
_RETRY_SECONDS = 3


def swarm_port(host: Host) -> int:
    """Return the port at which `host` listens for other hosts while a swarm runs."""
    return host.relay_port + 1


def why_not(need: Need, wheels: Wheels) -> str:
    """Return why this host cannot be part of a swarm, empty if it can."""
    if not need.host.relay_address:
        return "the fleet file gives no toolkit_address"
    if library_name(need.python) in need.libraries:
        return ""
    return wheels.lacking(need.python, need.machine)


class Swarm:
    """One tree on its way to the hosts of `needs`."""

    def __init__(
        self, delivery: Delivery, needs: Sequence[Need], wheels: Wheels, pieces: Path
    ) -> None:
        self._delivery, self._needs, self._wheels = delivery, tuple(needs), wheels
        self._members = {need.host.name: Member(number, need) for number, need in enumerate(needs)}
        self._share_count = min(MOST_SHARES, len(needs))
        self._guard = threading.Lock()
        self._sessions: list[Any] = []
        self._gathered = False
        self._link, self._handles = Link(), list[Any]()
        self._authority: Authority | None = None
        if any(need.host.swarm_tls for need in needs):
            from toolkit.adapters.distribution.swarm_certificates import Authority

            self._authority = Authority()
        self._sizes = {file.path: file.size for need in needs for file in need.files}
        self._length = piece_length(sum(self._sizes.values()))
        self._torrent = self._make_torrent(pieces)

    def run(self) -> Mapping[str, str]:
        """Bring the tree to all hosts; return for each host's name why that failed, empty if it did not.

        Raises ToolkitError where this process may not open what so many need.
        """
        need_descriptors(self, len(self._needs), self._descriptors())
        try:
            return self._run()
        finally:
            free_descriptors(self)

    def _descriptors(self) -> int:
        sessions = 1 + self._share_count
        files = min(_FILES_OF_A_SESSION, len(self._sizes))
        # Each host connects to the session that gives all, and to one that gives a share.
        return sessions * (_OF_A_SESSION + files) + 2 * len(self._needs)

    def _run(self) -> Mapping[str, str]:
        limit = self._delivery.throttle.limit
        # libtorrent limits a session, so with a limit one session gives all, and some pieces leave this machine twice.
        self._shared = not limit
        self._seed = self._give(limit)
        if self._shared:
            self._give_shares()
        with ThreadPoolExecutor(len(self._needs)) as pool:
            try:
                running = [pool.submit(self._bring, each) for each in self._members.values()]
                while wait(running, timeout=_TICK_SECONDS).not_done:
                    self._connect()
                    self._stop_where_due()
                    self._pause_where_due()
            except BaseException:
                self._delivery.clients.stop.begin()
                raise
            for done in running:
                done.result()
        return {name: member.wrong for name, member in self._members.items()}

    def _give(self, limit: int, only: Sequence[bool] = ()) -> Any:
        """Return the handle of a torrent that gives hosts all pieces, or those in `only`."""
        import libtorrent

        source = str(Path(self._delivery.tree.source).resolve())
        member = self._admit()
        tls, threads = member is not None, 1 if only else 4
        served = SERVED_BY_SEED if self._shared and not only else EVERY_PEER
        session = new_session(
            libtorrent, (), (LOOPBACK,), limit, tls=tls, threads=threads, served=served
        )
        self._sessions.append(session)
        handle = add_torrent(
            libtorrent, session, self._torrent, source, member, seed=True, only=only
        )
        rest(handle)
        self._handles.append(handle)
        return handle

    def _admit(self) -> tuple[bytes, bytes] | None:
        """Return the certificate and the key of a new member, None without TLS."""
        return self._authority.admit() if self._authority else None

    def _give_shares(self) -> None:
        """Offer each host a share of the pieces, which no other host gets from this machine.

        A host that is offered everything asks this machine for pieces that other hosts could give. This machine's link
        must carry every piece once, so it is the bottleneck.
        """
        members = list(self._members.values())[: self._share_count]
        wanted = [{file.path for file in each.need.files} for each in members]
        for member, share in zip(members, shares(self._sizes, self._length, wanted), strict=True):
            member.share = self._give(0, share)

    def _bring(self, member: Member) -> None:
        try:
            self._provide_library(member.need)
            self._take_part(member)
        except (ToolkitError, OSError) as error:
            member.wrong = str(error)
        finally:
            member.ended = True

    def _provide_library(self, need: Need) -> None:
        name = library_name(need.python)
        if name in need.libraries:
            return
        wheel, sha256 = self._wheels.wheel(need.python)
        data = wheel.read_bytes()
        request = {"name": name, "size": len(data), "sha256": sha256}
        with self._delivery.clients.of(need.host).open("swarm-library", **request) as dialog:
            self._delivery.throttle.take(len(data))
            dialog.write(data)
            for _ in dialog.events():
                pass

    def _take_part(self, member: Member) -> None:
        host, size = member.need.host, member.need.size
        scratch = self._delivery.clients.scratch
        with (
            self._delivery.clients.of(host).open("tree-swarm", **self._request(member)) as dialog,
            ExitStack() as stack,
        ):
            for event in dialog.events():
                with understood(host.name):
                    done = whole(event.get("bytes", 0), "bytes")
                    wrong = texts_of(event.get("result", {}).get("wrong", []), "wrong")
                if "listening" in event:
                    member.port = stack.enter_context(tunnel(host, scratch, swarm_port(host)))
                    member.kept = done
                    self._introduce(member, dialog)
                if "bytes" in event:
                    member.heard(done, time.monotonic())
                    self._delivery.report(Progress(host.name, member.done, size))
                elif "checking" in event:
                    member.checking = True
                elif "complete" in event:
                    member.complete = True
                elif wrong:
                    raise HostError(
                        f"{host.name}: not what was pinned when it arrived: {', '.join(wrong)}",
                        hint="toolkit verify, which hashes the store",
                    )

    def _introduce(self, member: Member, dialog: Dialog) -> None:
        """Make a host connect to hosts that joined before it."""
        with self._guard:
            others = [
                (each.need.host.relay_address, swarm_port(each.need.host))
                for each in self._members.values()
                if each.dialog is not None and not each.ended
            ]
            member.dialog = dialog
            member.moved_at = member.joined_at = time.monotonic()
            # Inside the lock: hosts that join later connect to this one, so it must be ready first.
            dialog.send({"peers": random.sample(others, min(NEIGHBOURS, len(others)))})

    def _connect(self) -> None:
        """Connect to the hosts that have joined, and again to those that have received nothing since.

        Each host gets its share. It is offered all pieces where nothing comes to it, and once this machine's link is
        free: then pieces that have left before keep no others from leaving.
        """
        now = time.monotonic()
        self._gathered = self._gathered or have_gathered(self._members.values(), now)
        if not self._gathered:
            return
        self._look_at_link(now)
        for member in self._members.values():
            if member.dialog is None or member.checking or now <= member.connect_at:
                continue
            untouched = member.done == member.kept
            givers = [member.share] if member.share and untouched else []
            if self._link.is_free or member.is_idle(now) or (untouched and not self._shared):
                givers.append(self._seed)
            for each in givers:
                member.connect_at = now + _RETRY_SECONDS
                connect(each, [(LOOPBACK, member.port)])

    def _look_at_link(self, now: float) -> None:
        if not self._link.is_due(now):
            return
        sent = sum(each.status().total_payload_upload for each in self._handles)
        self._link.sent(sent, now)
        if self._shared and self._link.is_free and sent >= sum(self._sizes.values()):
            # All shares have left.
            serve(self._sessions[0], EVERY_PEER, self._delivery.throttle.limit)

    def _stop_where_due(self) -> None:
        """Stop all hosts once each is complete or has failed, and before that the hosts that are stuck."""
        with self._guard:
            members = list(self._members.values())
            if all(each.complete or each.ended for each in members):
                stopped = members
            else:
                stopped = [each for each in members if each.is_stuck(time.monotonic())]
            for each in stopped:
                if each.dialog is not None and not each.stopped and not each.ended:
                    each.stopped = True
                    each.dialog.send({"stop": True})

    def _pause_where_due(self) -> None:
        """Pause the sessions once each host has all pieces, because closing open connections later takes seconds."""
        if all(each.checking or each.ended for each in self._members.values()):
            for session in self._sessions:
                session.pause()

    def _request(self, member: Member) -> dict[str, Any]:
        certificate, key = self._admit() or (b"", b"")
        return {
            **self._delivery.request(),
            "certificate": certificate.decode(),
            "key": key.decode(),
            "torrent": base64.b64encode(self._torrent).decode(),
            "directory": Path(self._delivery.tree.source).resolve().name,
            "library": library_name(member.need.python),
            "address": member.need.host.relay_address,
            "port": swarm_port(member.need.host),
            "fleet": [each.host.relay_address for each in self._needs],
            "index": member.number % self._share_count,
            "count": self._share_count,
            "limit": self._delivery.throttle.limit,
        }

    def _make_torrent(self, pieces: Path) -> bytes:
        """Return the torrent of all files that some host lacks. The directory `pieces` keeps their hashes."""
        tree, check, length = self._delivery.tree, self._delivery.interruption.check, self._length
        hashes = {}
        pieces.mkdir(parents=True, exist_ok=True)
        for file in tree.files:
            if file.path not in self._sizes:
                continue
            kept = pieces / f"{file.sha256}-{length}"
            hashes[file.path] = kept_hashes(kept, Path(tree.source) / file.path, length, check)
        authority = self._authority.certificate if self._authority else b""
        name = Path(tree.source).resolve().name
        return torrent(name, self._sizes, hashes, length, authority)
