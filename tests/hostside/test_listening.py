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


@pytest.fixture
def taken() -> Iterator[set[int]]:
    """Ports with a listener, one of each family of addresses."""
    with ExitStack() as held:
        sockets = [
            held.enter_context(socket.create_server(("127.0.0.1", 0))),
            held.enter_context(socket.create_server(("::1", 0), family=socket.AF_INET6)),
        ]
        yield {each.getsockname()[1] for each in sockets}


@pytest.fixture
def used(taken: set[int]) -> Iterator[int]:
    """The port of a client's connection, which is no listener."""
    with socket.create_connection(("127.0.0.1", next(iter(_of(socket.AF_INET, taken))))) as client:
        yield client.getsockname()[1]


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
