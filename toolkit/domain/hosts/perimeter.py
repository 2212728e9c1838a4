"""The sockets that listen on a host, and the addresses that its replicas reached when they tried."""

from __future__ import annotations

from dataclasses import dataclass

# The ends of a try, see toolkit/hostside/perimeter.py.
HELD = ("refused", "silent")
OUTCOMES = (*HELD, "no way", "no answer", "through")


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket of `protocol`, tcp or udp, that takes connections or packets; `program` is empty where it is unknown."""

    protocol: str
    address: str
    port: int
    user: str
    program: str

    @property
    def place(self) -> str:
        """Its address, as people read it."""
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{address}:{self.port}{'' if self.protocol == 'tcp' else '/' + self.protocol}"


@dataclass(frozen=True, slots=True)
class Try:
    """A try to reach `to`, which is `what`, and how it ended: one of OUTCOMES."""

    what: str
    to: str
    outcome: str


@dataclass(frozen=True, slots=True)
class ReplicaTries:
    """The tries from where the replica `program` is, as its `user`; `fault` says why there are none."""

    program: str
    model: str
    slot: str
    user: str
    tries: tuple[Try, ...]
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Perimeter:
    """The report of a host. `firewall` is whether the rules of its role are loaded."""

    listeners: tuple[Listener, ...]
    firewall: bool
    replicas: tuple[ReplicaTries, ...]
