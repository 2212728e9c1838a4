"""The TCP ports that are taken on this host, as the kernel lists its listeners (sock_diag(7)).

/proc/net/tcp lists connections as well: the kernel walks all places that connections can have, hundreds of thousands
on a machine with much memory, and an observation of the host would take half as long again.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Iterator

_SOCK_DIAG, _BY_FAMILY = 4, 20
_REQUEST_DUMP = 0x301
_ERROR, _DONE = 2, 3
_LISTEN = 10
_HEADER = struct.Struct("=IHHII")
# Family, protocol, extensions, states; of any address and port.
_WANTED = struct.Struct("=BBBxI48x")
# Behind family, state, timer and retransmissions of an answer.
_PORT = struct.Struct(">4xH")
# proc(5): a row's address and port, user, and inode.
_SOCKET = re.compile(
    r"\S+ (?:[0-9A-F]{8}|[0-9A-F]{32}):[0-9A-F]{4} (?:\S+ ){5}[0-9]{1,10} \S+ [0-9]{1,20}(?: |\Z)"
)
# proc(5): the state of a listener.
LISTENER = "0A"
_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")


def ports() -> list[int]:
    """Return the TCP ports with a listener, ordered."""
    try:
        found = {port for family in (socket.AF_INET, socket.AF_INET6) for port in asked(family)}
    except OSError:
        # A kernel without it, such as that of some containers.
        found = read()
    return sorted(found)


def asked(family: int) -> set[int]:
    """Return the ports with a listener of a family of addresses; raises OSError where the kernel cannot say."""
    found: set[int] = set()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as kernel:
        kernel.settimeout(2)
        wanted = _WANTED.pack(family, socket.IPPROTO_TCP, 0, 1 << _LISTEN)
        kernel.send(
            _HEADER.pack(_HEADER.size + len(wanted), _BY_FAMILY, _REQUEST_DUMP, 0, 0) + wanted
        )
        while True:
            data, at = kernel.recv(2**16), 0
            while at < len(data):
                if len(data) < at + _HEADER.size:
                    raise OSError("the kernel's answer is cut short")
                size, kind, _, _, _ = _HEADER.unpack_from(data, at)
                if kind == _DONE:
                    return found
                if kind == _ERROR or size < _HEADER.size + _PORT.size or at + size > len(data):
                    raise OSError("the kernel does not list its listeners")
                found.add(_PORT.unpack_from(data, at + _HEADER.size)[0])
                # Messages begin at multiples of four bytes.
                at += (size + 3) & ~3


def read() -> set[int]:
    """Return the ports with a listener from the tables of all sockets (proc(5))."""
    return {
        int(fields[1].rpartition(":")[2], 16)
        for table in _TABLES
        for fields in sockets(table, LISTENER)
    }


def sockets(table: str, state: str) -> Iterator[list[str]]:
    """Yield the fields of each socket in `state` that a table such as /proc/net/tcp has (proc(5)).

    A kernel that only resembles Linux has rows of another form, which say nothing.
    """
    for line in lines(table)[1:]:
        fields = line.split()
        if _SOCKET.match(" ".join(fields)) and fields[3] == state:
            yield fields


def lines(path: str) -> list[str]:
    """Return the lines of a file of the kernel; none where it does not exist."""
    try:
        with open(path, errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return []
