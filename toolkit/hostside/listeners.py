"""The sockets that listen on this host: those of TCP, and those of UDP that take packets from anybody."""

from __future__ import annotations

import contextlib
import os
import pwd
import socket
import struct

import listening
from wire import Document

_TABLES = (
    ("tcp", "/proc/net/tcp"),
    ("tcp", "/proc/net/tcp6"),
    ("udp", "/proc/net/udp"),
    ("udp", "/proc/net/udp6"),
)
# proc(5): 07 is a socket of UDP that is not connected.
_STATES = {"tcp": listening.LISTENER, "udp": "07"}
MOST = 1024


def listeners() -> list[Document]:
    """Return [{"protocol", "address", "port", "user", "program"}], ordered; `program` is empty where it is unknown."""
    found: dict[tuple[str, str, int, str], str] = {}
    for protocol, table in _TABLES:
        for fields in listening.sockets(table, _STATES[protocol]):
            address, port = _address(fields[1])
            found[protocol, address, port, user_of(int(fields[7]))] = fields[9]
    programs = _programs(set(found.values()))
    return [
        {
            "protocol": protocol,
            "address": address,
            "port": port,
            "user": user,
            "program": programs.get(inode, ""),
        }
        for (protocol, address, port, user), inode in sorted(found.items())[:MOST]
    ]


def own_addresses() -> list[str]:
    """Return this host's own IPv4 addresses, except for those of the loopback."""
    found, lines = set(), listening.lines("/proc/net/fib_trie")
    before = ""
    for line in lines:
        if line.split()[:3] == ["/32", "host", "LOCAL"]:
            address = before.rpartition(" ")[2]
            if address and not address.startswith("127."):
                found.add(address)
        before = line
    return sorted(found)


def _address(text: str) -> tuple[str, int]:
    """Return address and port of `0100007F:1F90`: words of four bytes in the order of this machine."""
    digits, _, port = text.partition(":")
    words = [int(digits[at : at + 8], 16) for at in range(0, len(digits), 8)]
    data = struct.pack("=%dI" % len(words), *words)
    family = socket.AF_INET if len(data) == 4 else socket.AF_INET6
    address = socket.inet_ntop(family, data)
    mapped = "::ffff:"
    plain = address.startswith(mapped) and "." in address
    return (address[len(mapped) :] if plain else address), int(port, 16)


def user_of(uid: int) -> str:
    """Return the name of a user, or the number of one that has no name here."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _programs(inodes: set[str]) -> dict[str, str]:
    """Return the name of a program that holds each socket; root sees all of them."""
    found: dict[str, str] = {}
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            names = os.listdir("/proc/%s/fd" % pid)
        except OSError:
            continue
        for name in names:
            # A descriptor that is closed meanwhile says nothing of the others.
            with contextlib.suppress(OSError):
                link = os.readlink("/proc/%s/fd/%s" % (pid, name))
                if link.startswith("socket:[") and link[8:-1] in inodes:
                    found.setdefault(link[8:-1], _command(pid))
    return found


def _command(pid: str) -> str:
    with open("/proc/%s/comm" % pid, errors="replace") as file:
        return file.read().strip()
