"""What this machine can do at once; `domain/hosts/in_flight.py` says what work on a host takes of it."""

from __future__ import annotations

import os
import resource
from functools import cache

from toolkit.adapters.control_group import limits
from toolkit.adapters.descriptors import MOST
from toolkit.domain.hosts.in_flight import HostWork, Machine
from toolkit.hostside import memory


def width(work: HostWork) -> int:
    """Return the number of hosts on which this machine does such work at once."""
    return work.width(this_machine())


@cache
def this_machine() -> Machine:
    """Return the capacity of this machine, or the part that this process may use, as it is at the first call."""
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    processors, free, group = len(os.sched_getaffinity(0)), memory.available(), limits()
    return Machine(
        min(processors, group.processors or processors),
        min(free, group.memory or free),
        # A command raises its own limit as far as it may.
        MOST if files == resource.RLIM_INFINITY else min(files, MOST),
    )
