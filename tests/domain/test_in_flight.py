"""How many hosts this machine works on at once, from its processors, memory and open files."""

from __future__ import annotations

import pytest

from toolkit.domain.hosts.in_flight import ASKING, CONVERGING, SENDING, Machine

GIB = 2**30
MANY = 2**16


@pytest.mark.parametrize(
    ("processors", "memory", "files", "asking", "sending", "converging"),
    [
        # by processors
        (1, 8 * GIB, MANY, 16, 25, 4),
        (2, 24 * GIB, MANY, 32, 50, 8),
        (4, 24 * GIB, MANY, 64, 100, 16),
        (16, 64 * GIB, MANY, 256, 400, 64),
        # by memory, of which half is left to others
        (16, 4 * GIB, MANY, 256, 85, 16),
        (16, 1 * GIB, MANY, 64, 21, 4),
        (2, 512 * 2**20, MANY, 32, 10, 4),
        # by open files, as in a session of 1,024 that no one may raise
        (16, 64 * GIB, 1024, 120, 80, 60),
        (2, 24 * GIB, 256, 24, 16, 8),
        # never so few that one slow host holds up the others
        (1, 2**20, 64, 4, 4, 4),
        (1, 2**20, 16, 4, 4, 4),
        # a system that says nothing of its memory
        (2, 0, MANY, 32, 50, 8),
    ],
)
def test_a_machine_works_on_so_many_hosts_at_once(
    processors: int, memory: int, files: int, asking: int, sending: int, converging: int
) -> None:
    machine = Machine(processors, memory, files)
    found = [work.width(machine) for work in (ASKING, SENDING, CONVERGING)]
    assert found == [asking, sending, converging]
