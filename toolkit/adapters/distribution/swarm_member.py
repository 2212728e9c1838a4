"""The state of a host in a swarm, as its reports tell it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from toolkit.adapters.distribution.delivery import Need
from toolkit.adapters.hosts.dialog import Dialog

_STALL_SECONDS = 60
_PACE_SECONDS = 1
# The seconds until a host to which nothing comes counts as idle: at first no other host has a whole piece to pass on.
_IDLE_SECONDS = 10
_GATHER_SECONDS = 2


@dataclass(slots=True)
class Member:
    """A host of the swarm.

    `share` is the torrent that gives this host its share. `kept` counts the bytes from before this run, `done` all
    bytes so far. Times are of `time.monotonic`.
    """

    number: int
    need: Need
    dialog: Dialog | None = None
    port: int = 0
    connect_at: float = 0.0
    share: Any = None
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
        """Note that `done` bytes have come."""
        if done != self.done:
            self.done, self.moved_at = done, now

    def is_idle(self, now: float) -> bool:
        """Whether nothing has come for so long that no other host seems to give this one what it lacks."""
        return now - self.moved_at > _IDLE_SECONDS

    def is_stuck(self, now: float) -> bool:
        """Whether a host with missing pieces has received nothing for a while."""
        if self.dialog is None or self.checking or self.complete:
            return False
        return now - self.moved_at > _STALL_SECONDS


class Link:
    """The pace at which bytes leave this machine. `is_free` is whether it was at most half of its best of late."""

    def __init__(self) -> None:
        self.is_free = False
        self._best = 0.0
        self._sent, self._at = 0, 0.0

    def is_due(self, now: float) -> bool:
        """Whether it is time to call `sent` again."""
        return now - self._at >= _PACE_SECONDS

    def sent(self, total: int, now: float) -> None:
        """Note that `total` bytes have left so far."""
        pace = (total - self._sent) / (now - self._at) if self._at else 0.0
        self._best = max(self._best, pace)
        self.is_free = self._best > 0 and pace <= self._best / 2
        self._sent, self._at = total, now


def have_gathered(members: Collection[Member], now: float) -> bool:
    """Whether to start: all hosts have joined or ended, or the first one has waited long enough.

    A host that starts alone takes the whole link at first, and has to serve all others afterwards.
    """
    joined = [each.joined_at for each in members if each.dialog is not None]
    awaited = any(each.dialog is None and not each.ended for each in members)
    return bool(joined) and (not awaited or now - min(joined) >= _GATHER_SECONDS)
