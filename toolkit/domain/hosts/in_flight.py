"""The number of hosts that this machine works on at once: what its processors, memory and open files carry."""

from __future__ import annotations

from dataclasses import dataclass

_MIB = 2**20
# Work on at least so many hosts at once, even on a small machine: one slow host must not hold up all others.
_LEAST = 4
# Files that the command itself has open beside its hosts': history, log, registry, sockets, files that it reads.
OWN_FILES = 64


@dataclass(frozen=True, slots=True)
class Machine:
    """The processors that this process may use, bytes of memory that are free, and files that it may have open.

    0 bytes stand for a system that does not say.
    """

    processors: int
    memory: int
    files: int


@dataclass(frozen=True, slots=True)
class HostWork:
    """Work on one host: how many share a processor, the bytes of its processes here, and the files it has open."""

    per_processor: int
    memory: int
    files: int

    def width(self, machine: Machine) -> int:
        """Return the number of hosts at once on `machine`, of whose memory half is left to others."""
        bounds = [
            self.per_processor * machine.processors,
            (machine.files - OWN_FILES) // self.files,
        ]
        if machine.memory:
            bounds.append(machine.memory // 2 // self.memory)
        return max(_LEAST, min(bounds))


# An ssh for each host, and its key exchange, which takes a processor 0.14 s: more of them would make each other late.
# Three pipes of the process of its channel, three of one beside it, a playbook's socket and log.
ASKING = HostWork(per_processor=16, memory=8 * _MIB, files=8)
# One or two processes for each host that wait for its link nearly all the time.
SENDING = HostWork(per_processor=25, memory=24 * _MIB, files=12)
# A playbook is three forks of Ansible, which hold 52 MB for one task, more for roles, and compute much of the time.
CONVERGING = HostWork(per_processor=4, memory=128 * _MIB, files=16)
