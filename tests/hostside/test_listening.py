"""Which ports of the host are taken: the kernel lists its listeners, and the tables of all sockets agree with it."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import toolkit.hostside

sys.path.insert(0, str(Path(toolkit.hostside.__file__).parent))

import listening

LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


@pytest.fixture
def taken() -> Iterator[set[int]]:
    """Ports with a listener, one of each family of addresses."""
    with ExitStack() as held:
        yield {_listener(held, family) for family in LOOPBACK}


@pytest.fixture
def used(taken: set[int]) -> Iterator[int]:
    """The port of a client's connection, which is no listener."""
    with ExitStack() as held:
        place = "127.0.0.1", next(iter(_of(socket.AF_INET, taken)))
        while True:
            port = held.enter_context(socket.create_connection(place)).getsockname()[1]
            if _holds(held, socket.AF_INET6, port):
                break
        yield port


def _listener(held: ExitStack, family: socket.AddressFamily) -> int:
    """Return the port of a new listener, at which no other program listens in the other family."""
    (other,) = LOOPBACK.keys() - {family}
    while True:
        listener = held.enter_context(socket.create_server((LOOPBACK[family], 0), family=family))
        port = int(listener.getsockname()[1])
        if _holds(held, other, port):
            return port


def _holds(held: ExitStack, family: socket.AddressFamily, port: int) -> bool:
    """Take a port without listening at it; return whether nobody had it."""
    holder = held.enter_context(socket.socket(family))
    try:
        holder.bind((LOOPBACK[family], port))
    except OSError:
        return False
    return True


def _of(family: int, ports: set[int]) -> set[int]:
    return listening.asked(family) & ports


def test_the_kernel_lists_the_listeners_of_each_family(taken: set[int]) -> None:
    found = [_of(family, taken) for family in (socket.AF_INET, socket.AF_INET6)]
    assert [len(each) for each in found] == [1, 1]
    assert found[0] | found[1] == taken


def test_a_connection_takes_no_port(taken: set[int], used: int) -> None:
    assert taken <= set(listening.ports())
    assert used not in listening.ports()
    assert used not in listening.read()


def test_without_the_kernels_list_the_tables_tell_the_same(
    taken: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: int) -> set[int]:
        raise OSError("the kernel does not list its listeners")

    monkeypatch.setattr(listening, "asked", refused)
    assert taken <= set(listening.ports())


def test_a_kernel_that_refuses_is_an_error_and_no_empty_list() -> None:
    with pytest.raises(OSError, match="does not list"):
        listening.asked(255)
