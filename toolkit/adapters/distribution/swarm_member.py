"""The state of a host in a swarm, as its reports tell it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from toolkit.adapters.distribution.delivery import Need
from toolkit.adapters.hosts.dialog import Dialog

_STALL_SECONDS = 60
_PACE_SECONDS = 2
# The seconds until a host without a piece counts as slow: at first no other host has a whole piece to pass on.
_IDLE_SECONDS = 10
_GATHER_SECONDS = 2


@dataclass(slots=True)
class Member:
    """A host of the swarm.

    `share` is the torrent that gives this host its share. `kept` counts the bytes from before this run, `done` all
    bytes so far. `best` is the best pace (bytes a second), `marked` the bytes at `marked_at`. Times are of
    `time.monotonic`.
    """

    number: int
    need: Need
    dialog: Dialog | None = None
    port: int = 0
    connect_at: float = 0.0
    share: Any = None
    slow: bool = False
    best: float = 0.0
    marked_at: float = 0.0
    marked: int = 0
    kept: int = 0
    done: int = 0
    joined_at: float = 0.0
    moved_at: float = 0.0
    checking: bool = False
    complete: bool = False
    stopped: bool = False
    ended: bool = False
    wrong: str = ""

    def heard(self, done: int, now: float) -> None:
        """Note that `done` bytes have come.

        The host is slow at a quarter of its best pace or less, and where nothing has come for long since it joined.
        """
        if done != self.done:
            self.done, self.moved_at = done, now
        if now - self.marked_at >= _PACE_SECONDS:
            pace = (done - self.marked) / (now - self.marked_at) if self.marked_at else 0.0
            idle = now - self.moved_at > _IDLE_SECONDS
            self.slow = pace <= self.best / 4 if self.best else idle
            self.best = max(self.best, pace)
            self.marked, self.marked_at = done, now

    def is_stuck(self, now: float) -> bool:
        """Whether a host with missing pieces has received nothing for a while."""
        if self.dialog is None or self.checking or self.complete:
            return False
        return now - self.moved_at > _STALL_SECONDS


def have_gathered(members: Collection[Member], now: float) -> bool:
    """Whether to start: all hosts have joined or ended, or the first one has waited long enough.

    A host that starts alone takes the whole link at first, and has to serve all others afterwards.
    """
    joined = [each.joined_at for each in members if each.dialog is not None]
    awaited = any(each.dialog is None and not each.ended for each in members)
    return bool(joined) and (not awaited or now - min(joined) >= _GATHER_SECONDS)
