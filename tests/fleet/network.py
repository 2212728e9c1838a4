"""A bridge of its own for each run of the tests, with addresses that nobody else has."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

# The entries of the kernel's table of neighbours that it keeps in any case; up to three times as many fit.
NEIGHBOURS = 8192


@dataclass(frozen=True)
class Network:
    """`gateway` is this machine's address on it; a host may have any other of `prefix`1 to `prefix`254."""

    bridge: str
    prefix: str

    @property
    def gateway(self) -> str:
        return f"{self.prefix}1"

    def limit_bandwidth(self, rate: str) -> None:
        """Let this machine send at most `rate` to all hosts together, in tc's words; empty: as much as there is."""
        shape(self.bridge, rate)

    def sent_bytes(self) -> int:
        """Return how much this machine has sent to the hosts so far."""
        return int(Path(f"/sys/class/net/{self.bridge}/statistics/tx_bytes").read_text())


@contextmanager
def network() -> Iterator[Network]:
    """Make a bridge; it goes with the context, and one that a killed run left goes now."""
    _remove_abandoned()
    _have_room_for_neighbours()
    made = _claim()
    try:
        ip("link", "set", made.bridge, "alias", f"toolkit tests, pid {os.getpid()}")
        ip("addr", "add", f"{made.gateway}/24", "dev", made.bridge)
        ip("link", "set", made.bridge, "up")
        yield made
    finally:
        ip("link", "del", made.bridge)


def ip(*words: str, inside: int | None = None) -> str:
    """Run `ip`, in the network namespace of the process `inside` if given; return what it says."""
    command = [*_enter(inside), "ip", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def shape(device: str, rate: str, inside: int | None = None) -> None:
    """Limit what `device` sends, in the network namespace of the process `inside` if given."""
    limit = ["tbf", "rate", rate, "burst", "256kb", "latency", "100ms"]
    verb = ["replace", "dev", device, "root", *limit] if rate else ["del", "dev", device, "root"]
    words = [*_enter(inside), "tc", "qdisc", *verb]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    # There may be no limit to take away.
    if done.returncode and rate:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")


def _enter(inside: int | None) -> list[str]:
    """Return the words before a command that is to run in the network namespace of the process `inside`."""
    return [] if inside is None else ["nsenter", f"--net=/proc/{inside}/ns/net"]


def _claim() -> Network:
    # Making a bridge under a name that is taken fails, so two runs at once never get the same.
    for number in range(256):
        try:
            ip("link", "add", f"tktest{number}", "type", "bridge")
        except RuntimeError as error:
            if "File exists" not in str(error):
                raise
            continue
        return Network(f"tktest{number}", f"10.77.{number}.")
    raise RuntimeError("no bridge is free")


def _have_room_for_neighbours() -> None:
    """Let the kernel know as many addresses as many hosts have of each other.

    All namespaces share one table. It is full from some 30 hosts on that all ask each other; then connections time out.
    """
    for number in (1, 2, 3):
        limit = Path(f"/proc/sys/net/ipv4/neigh/default/gc_thresh{number}")
        # A container may not have this setting, or not the right to change it. Few hosts do without.
        with suppress(OSError):
            if int(limit.read_text()) < number * NEIGHBOURS:
                limit.write_text(str(number * NEIGHBOURS))


def _remove_abandoned() -> None:
    for link in json.loads(ip("-json", "link", "show", "type", "bridge")):
        owner = link.get("ifalias", "").rpartition("toolkit tests, pid ")[2]
        if owner.isdigit() and not Path("/proc", owner).exists():
            # Another run of tests may have removed it by now.
            with suppress(RuntimeError):
                ip("link", "del", link["ifname"])
