"""Try to leave this host from where each replica is, and list what listens on it.

A packet that cannot leave must be refused by this host's own kernel: that nobody answers proves nothing. So each try
has one of these outcomes:

    refused    the kernel gave the packet back
    silent     nothing came back, though the same try gets an answer from outside of the fence
    no way     this host has no route there, or nobody listens: nobody on it gets through, fenced or not
    no answer  nothing came back, and nobody knows whether anybody would have answered
    through    it left, or somebody answered

Packets go to this host itself, to the addresses that the Internet reserves for examples (RFC 5737 and RFC 3849), which
belong to nobody, and as a question for a name to this host's own resolvers. Outside of the fence nothing is sent but to
this host itself.
"""

from __future__ import annotations

import errno
import os
import re
import select
import socket
import struct
import subprocess
import time
from collections.abc import Callable
from typing import Optional

import inside
import listeners
import processes
import slot_manifest
from directory import read_text
from wire import Document

# Addresses that belong to no machine: they are reserved for documentation.
OUTSIDE, OUTSIDE_6 = "192.0.2.1", "2001:db8::1"
# A name that no resolver may know (RFC 6761).
NAME = b"toolkit-perimeter.invalid"
SECONDS = 20
_PATIENCE = 1.5
_MOST_SERVERS = 3
_MOST_INTERFACES = 8
_RESOLVERS = (
    "/run/systemd/resolve/io.systemd.Resolve",
    "/run/nscd/socket",
    "/run/dbus/system_bus_socket",
    "/run/avahi-daemon/socket",
)
_REFUSED = (errno.EPERM, errno.EACCES)
_NO_WAY = (errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.ENOENT, errno.ENODEV)
_Try = Callable[[], str]


def check(root: str) -> Document:
    """Return {"listeners", "firewall", "replicas": [{"program", "model", "slot", "user", "tries", "fault"}]}.

    A try is {"what", "to", "outcome"}. `fault` says why a replica's tries were not made. A replica that does not run is
    left out.
    """
    until = time.monotonic() + SECONDS
    begun = [each for each in (_Replica.of(root, one) for one in slot_manifest.sound(root)) if each]
    replicas = [each.end(until) for each in begun]
    return {
        "listeners": listeners.listeners(),
        "firewall": _has_table(
            re.sub("[^A-Za-z0-9_]", "_", os.path.basename(os.path.normpath(root)))
        ),
        "replicas": replicas,
    }


class _Replica:
    """The tries of a replica that runs: they begin at once and end together."""

    def __init__(self, manifest: Document, pid: int) -> None:
        uid, gid = _owner(pid)
        self._told = {
            "program": "%s-%s" % (manifest["model"], manifest["slot"]),
            "model": manifest["model"],
            "slot": manifest["slot"],
            "user": listeners.user_of(uid),
        }
        # The hosts of one replica reach each other at these addresses.
        shared = (manifest["release"].get("span") or {}).get("hosts", [])
        own = [each for each in listeners.own_addresses() if each not in shared]
        self._doors = _Doors(own[:1])
        tries = [*self._doors.tries(), *_ways(_servers())]
        self._act = inside.Act(pid, uid, gid, lambda: {"tries": _made(tries)})

    @staticmethod
    def of(root: str, manifest: Document) -> Optional[_Replica]:
        """Begin the tries of the replica in a slot; None where it does not run."""
        main = processes.state(root, "%s-%s" % (manifest["model"], manifest["slot"]))["pid"]
        # Without systemd, what starts the replica stays, as root.
        pid = next((each for each in processes.tree(main) if _owner(each)[0] > 0), 0)
        return _Replica(manifest, pid) if pid else None

    def end(self, until: float) -> Document:
        """Return the tries of the replica."""
        with self._doors as doors:
            try:
                tries, fault = self._act.end(until)["tries"], ""
            except inside.NotInside as error:
                tries, fault = [], str(error)
            judged = [doors.judged(each) for each in tries]
        return {**self._told, "tries": judged, "fault": fault}


class _Doors:
    """Listeners of this process at addresses of this host, to show that only the fence is in the way to them."""

    def __init__(self, addresses: list[str]) -> None:
        self._sockets = []
        for address in addresses:
            try:
                self._sockets.append(socket.create_server((address, 0)))
            except OSError:
                continue

    def __enter__(self) -> _Doors:
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._sockets:
            each.close()

    def tries(self) -> list[tuple[str, str, _Try]]:
        return [
            ("this host's own address", "%s tcp" % place[0], _connecting(*place))
            for place in (each.getsockname()[:2] for each in self._sockets)
        ]

    def judged(self, tried: Document) -> Document:
        """Return a try; one that heard nothing was kept in by the fence, if the same gets an answer without it."""
        mine = [
            each for what, to, each in self.tries() if (what, to) == (tried["what"], tried["to"])
        ]
        if mine and tried["outcome"] in ("no answer", "no way"):
            answers = mine[0]() == "through"
            return {**tried, "outcome": "silent" if answers else tried["outcome"]}
        return tried


def _ways(servers: list[str]) -> list[tuple[str, str, _Try]]:
    ways = [
        ("outside", "%s udp" % OUTSIDE, _sending(OUTSIDE, 53)),
        ("outside", "%s tcp" % OUTSIDE, _connecting(OUTSIDE, 443)),
        ("outside", "%s udp" % OUTSIDE_6, _sending(OUTSIDE_6, 53)),
        ("outside", "%s tcp" % OUTSIDE_6, _connecting(OUTSIDE_6, 443)),
        ("a resolver", "127.0.0.53 udp", _sending("127.0.0.53", 53)),
    ]
    # A socket that is bound to an interface sends even what is for this address there: to the gateway.
    ways += [
        ("outside", "127.0.0.1 by %s udp" % each, _sending("127.0.0.1", 9, each))
        for each in _interfaces()
    ]
    ways += [("a name", "%s udp" % each, _asking(each)) for each in servers]
    ways += [("a resolver", path, _opening(path)) for path in _RESOLVERS]
    return [*ways, ("a name", NAME.decode(), _resolving)]


def _made(tries: list[tuple[str, str, _Try]]) -> list[Document]:
    """Make the tries, one after the other: where a fence stands, the kernel answers most of them at once."""
    return [{"what": what, "to": to, "outcome": attempt()} for what, to, attempt in tries]


def _outcome(error: OSError) -> str:
    if error.errno in _REFUSED:
        return "refused"
    # A firewall's answer from this host and a router's from elsewhere look the same.
    return "no way" if error.errno in _NO_WAY else "no answer"


def _sending(address: str, port: int, interface: str = "") -> _Try:
    """Return the try to send one packet, by an interface if given: the kernel takes it, or gives it back at once."""

    def send() -> str:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as sender:
                if interface:
                    sender.setsockopt(
                        socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0"
                    )
                sender.sendto(b"", (address, port))
        except OSError as error:
            return _outcome(error)
        return "through"

    return send


def _connecting(address: str, port: int) -> _Try:
    def connect() -> str:
        try:
            socket.create_connection((address, port), timeout=_PATIENCE).close()
        except ConnectionRefusedError:
            # A machine has refused the connection, so the packet came through.
            return "through"
        except OSError as error:
            return _outcome(error)
        return "through"

    return connect


def _asking(server: str) -> _Try:
    """Return the try to ask a resolver for a name that there is not; any answer came through."""

    def ask() -> str:
        family = socket.AF_INET6 if ":" in server else socket.AF_INET
        labels = b"".join(bytes([len(each)]) + each for each in NAME.split(b"."))
        question = (
            struct.pack(">HHHHHH", os.getpid() & 0xFFFF, 0x0100, 1, 0, 0, 0)
            + labels
            + b"\0\0\1\0\1"
        )
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as asker:
                asker.connect((server, 53))
                asker.send(question)
                if not select.select([asker], [], [], _PATIENCE)[0]:
                    return "no answer"
                asker.recv(512)
        except ConnectionRefusedError:
            # No server listens there.
            return "no way"
        except OSError as error:
            return _outcome(error)
        return "through"

    return ask


def _opening(path: str) -> _Try:
    def open_socket() -> str:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as opener:
                opener.settimeout(_PATIENCE)
                opener.connect(path)
        except ConnectionRefusedError:
            return "no way"
        except OSError as error:
            return _outcome(error)
        return "through"

    return open_socket


def _resolving() -> str:
    """Ask the system for a name as any program does; it has no bound of its own, so a process does it."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            # As bytes: the codec of names would be imported here, where Python's files may not be in sight.
            socket.getaddrinfo(NAME, 443)
            os.write(writing, b"through")
        except OSError:
            os.write(writing, b"no answer")
        finally:
            os._exit(0)
    os.close(writing)
    try:
        ready = select.select([reading], [], [], 2 * _PATIENCE)[0]
        said = os.read(reading, 16).decode() if ready else ""
    finally:
        os.close(reading)
        os.kill(child, 9)
        os.waitpid(child, 0)
    return said or "no answer"


def _interfaces() -> list[str]:
    """Return the names of the host's first interfaces other than loopback."""
    return [name for _, name in socket.if_nameindex() if name != "lo"][:_MOST_INTERFACES]


def _servers() -> list[str]:
    """Return the resolvers that this host asks, and the place where a program asks without any."""
    lines = (read_text("/etc/resolv.conf") or "").splitlines()
    found = [
        line.split()[1] for line in lines if line.split()[:1] == ["nameserver"] and line.split()[1:]
    ]
    known = [each.partition("%")[0] for each in found[:_MOST_SERVERS]]
    return list(dict.fromkeys([*known, "127.0.0.1"]))


def _owner(pid: int) -> tuple[int, int]:
    """Return user and group of a process; -1 where it is gone."""
    found = {}
    for line in (read_text("/proc/%d/status" % pid) or "").splitlines():
        name, _, value = line.partition(":")
        if name in ("Uid", "Gid"):
            found[name] = int(value.split()[0])
    return found.get("Uid", -1), found.get("Gid", -1)


def _has_table(name: str) -> bool:
    try:
        done = subprocess.run(
            ["nft", "list", "table", "inet", name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=3,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0
