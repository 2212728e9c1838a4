"""Replicas that share a device start one after the other, whoever starts them: a command, a crash, a boot of the host.

An engine measures what is free on its devices while it starts, and takes another engine's weights that come meanwhile
for its own. The deployment lock keeps commands apart; after a boot or two crashes no command is there. So a replica
with devices asks for its turn before it starts, by a file in its slot, and waits for another one that shares a device
and has its turn, until that is ready, or has waited for longer. So one that crashes again and again keeps none waiting.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys
import time
from typing import NamedTuple

import completion
import doze
import processes
import signs
import slot_manifest
from directory import Directory, lock_file, read_text
from wire import Document

FILE = "starting.json"
LOCK = "starting.lock"
# Seconds for which a turn without a process is one that is about to start, and one that waits may not have looked.
BEGUN = 10.0
# Seconds for which others wait for a replica to get ready; then the next one starts.
LONGEST = 900.0
_PAUSE = 1.0


class Claim(NamedTuple):
    """A replica that asked for its turn at `since`. With its `turn`, `age` is the seconds since it came; else since the
    replica looked whether it has come. `runs` says whether its process does, `ready` whether it answers."""

    program: str
    devices: frozenset[int]
    since: float
    turn: bool
    age: float
    runs: bool = False
    ready: bool = False


def before(devices: frozenset[int], since: float, claims: list[Claim]) -> str:
    """Return the program whose turn is before a replica on `devices` that asked at `since`; empty where none is."""
    for each in claims:
        if each.turn:
            starts = not each.ready and (each.age < BEGUN or (each.runs and each.age < LONGEST))
        else:
            starts = each.since < since and each.age < BEGUN
        if starts and each.devices & devices:
            return each.program
    return ""


def take(root: str, program: str) -> None:
    """Return once it is the turn of a replica to start, which is at once where it has no devices of its own.

    A replica over several hosts takes no turn: not all of its parts tell whether they are ready.
    Raises SystemExit where the process that is to start the replica ends meanwhile.
    """
    manifest = slot_manifest.read(root, program)
    devices = _devices(manifest)
    if not devices or slot_manifest.release(root, program).get("span"):
        return
    since, parent, said = _now(), os.getppid(), ""
    while _now() < since + LONGEST:
        other = _ask(root, program, devices, since)
        if not other:
            return
        # The process that is to start the replica may have ended meanwhile.
        if os.getppid() != parent:
            raise SystemExit(1)
        if other != said:
            sys.stderr.write(f"waiting until {other}, which starts on the same device, is ready\n")
            sys.stderr.flush()
            said = other
        time.sleep(_PAUSE)


def _ask(root: str, program: str, devices: frozenset[int], since: float) -> str:
    """Write down that the program waits or has its turn; return the one that it must wait for."""
    lock = lock_file(os.path.join(root, LOCK))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        other = before(devices, since, _claims(root, program))
        claim = {"boot": processes.boot(), "since": since, "turn": not other, "at": _now()}
        with Directory(os.path.join(root, "slots", program)) as slot:
            slot.write(FILE, json.dumps(claim), 0o600, durable=False)
        return other
    finally:
        os.close(lock)


def _claims(root: str, program: str) -> list[Claim]:
    """Return the claims of all other programs since the host has booted."""
    found = []
    for other, manifest in slot_manifest.each(root):
        # One that dozes or rests measures nothing, and never gets ready.
        if other != program and not doze.made_way(root, other):
            # A slot that cannot be read keeps no other from starting.
            with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
                found += _claim(root, other, manifest)
    return found


def _claim(root: str, other: str, manifest: Document) -> list[Claim]:
    claimed = slot_manifest.parsed(read_text(os.path.join(root, "slots", other, FILE)))
    devices = _devices(manifest)
    if not devices or claimed.get("boot") != processes.boot():
        return []
    known = Claim(
        other, devices, float(claimed["since"]), bool(claimed["turn"]), _now() - claimed["at"]
    )
    if known.turn:
        runs = processes.state(root, other)["state"] == "running"
        health = signs.signs(manifest)["health"]
        ready = runs and completion.healthy(int(manifest.get("port", 0)), health)
        known = known._replace(runs=runs, ready=ready)
    return [known]


def _now() -> float:
    """Return seconds of a clock that begins anew with each boot, and goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _devices(manifest: Document) -> frozenset[int]:
    found = manifest.get("devices")
    numbers = found if isinstance(found, list) else []
    return frozenset(each for each in numbers if isinstance(each, int))
