"""Shares of a swarm leave this machine side by side.

Connections that share a link get very different parts of it, and all hosts wait for the last piece of the last share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# How far all but the last may be ahead of it, together. Who is further is held back, the more the further, down to a
# part of an even rate: a connection that is let go takes seconds to grow again.
_SLACK_BYTES = 8 * 2**20
_SPAN_BYTES = 16 * 2**20
_LEAST_PART = 0.85
_SMOOTH_SECONDS = 1.0
# The best rate is that of about so long.
_FORGET_SECONDS = 10.0
# Less than this part of it for so long: whoever is last has no use for what the others leave it.
_POOR_PART = 0.7
_PATIENCE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Given:
    """How many bytes of a share have gone out, and how many it has."""

    gone: int
    size: int

    @property
    def is_all(self) -> bool:
        """Whether nothing is left to give."""
        return self.gone >= self.size


class Pace:
    """Which shares are held back, decided from what each has given so far."""

    def __init__(self) -> None:
        self._at = 0.0
        self._sum = 0
        self._rate = self._best = 0.0
        self._good_at = 0.0
        self._useless = False

    def limits(self, shares: Sequence[Given], now: float) -> list[int]:
        """Return how many bytes a second each share may give from `now` on, in seconds; 0 is any number."""
        self._measure(shares, now)
        giving = [share.gone for share in shares if not share.is_all]
        if self._useless or not giving:
            return [0] * len(shares)
        even = self._best / len(giving)
        last = min(giving) + _SLACK_BYTES // len(giving)
        return [0 if share.is_all else int(even * _part(share.gone - last)) for share in shares]

    def _measure(self, shares: Sequence[Given], now: float) -> None:
        passed, gone = now - self._at, sum(share.gone for share in shares)
        if self._at and passed > 0:
            fresh = (gone - self._sum) / passed
            self._rate += (fresh - self._rate) * min(1.0, passed / _SMOOTH_SECONDS)
        self._at, self._sum = now, gone
        # Once some have given all, less leaves for want of anything to give.
        if self._rate >= self._best * _POOR_PART or any(share.is_all for share in shares):
            self._good_at = now
        self._best = max(self._rate, self._best * (1 - min(1.0, passed / _FORGET_SECONDS)))
        self._useless = self._useless or now - self._good_at > _PATIENCE_SECONDS


def _part(ahead: int) -> float:
    """Return the part of an even rate for a share that is so many bytes too far ahead, or 0 for any rate."""
    return max(_LEAST_PART, 1 - ahead / _SPAN_BYTES) if ahead > 0 else 0.0
