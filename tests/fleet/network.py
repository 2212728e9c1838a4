"""A bridge of its own for each run of the tests, with addresses that nobody else has."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Network:
    """`gateway` is this machine's address on it; a host may have any other of `prefix`1 to `prefix`254."""

    bridge: str
    prefix: str

    @property
    def gateway(self) -> str:
        return f"{self.prefix}1"


@contextmanager
def network() -> Iterator[Network]:
    """Make a bridge; it goes with the context, and one that a killed run left goes now."""
    _remove_abandoned()
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
    enter = [] if inside is None else ["nsenter", f"--net=/proc/{inside}/ns/net"]
    done = subprocess.run([*enter, "ip", *words], capture_output=True, text=True, timeout=10)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


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


def _remove_abandoned() -> None:
    for link in json.loads(ip("-json", "link", "show", "type", "bridge")):
        owner = link.get("ifalias", "").rpartition("toolkit tests, pid ")[2]
        if owner.isdigit() and not Path("/proc", owner).exists():
            ip("link", "del", link["ifname"])
