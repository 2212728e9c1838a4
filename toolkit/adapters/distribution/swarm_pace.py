"""Make the shares of a swarm leave this machine at one pace.

Connections over one link get very different parts of its bandwidth, and every host waits for the last share to end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# The lead over the last share that all other shares may have together. A share with a larger lead is slowed in
# proportion to it, but not below a part of the even rate, because a slowed connection takes seconds to recover.
_SLACK_BYTES = 8 * 2**20
_SPAN_BYTES = 16 * 2**20
_LEAST_PART = 0.85
_SMOOTH_SECONDS = 1.0
# The best rate is the best of about this period.
_FORGET_SECONDS = 10.0
# If the total rate stays below this part of the best rate for this period, the limits only waste bandwidth: the last
# share cannot use it.
_POOR_PART = 0.7
_PATIENCE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Given:
    """The bytes of a share that have left this machine, and its size in bytes."""

    sent: int
    size: int

    @property
    def is_all(self) -> bool:
        """Whether all of the share has left."""
        return self.sent >= self.size


class Pace:
    """Decides the upload limits of shares."""

    def __init__(self) -> None:
        self._at = 0.0
        self._sum = 0
        self._rate = self._best = 0.0
        self._good_at = 0.0
        self._useless = False

    def limits(self, shares: Sequence[Given], now: float) -> list[int]:
        """Return each share's limit in bytes a second, 0 for none; `now` is in seconds."""
        self._measure(shares, now)
        giving = [share.sent for share in shares if not share.is_all]
        if self._useless or not giving:
            return [0] * len(shares)
        even = self._best / len(giving)
        last = min(giving) + _SLACK_BYTES // len(giving)
        return [0 if share.is_all else int(even * _part(share.sent - last)) for share in shares]

    def _measure(self, shares: Sequence[Given], now: float) -> None:
        passed, sent = now - self._at, sum(share.sent for share in shares)
        if self._at and passed > 0:
            fresh = (sent - self._sum) / passed
            self._rate += (fresh - self._rate) * min(1.0, passed / _SMOOTH_SECONDS)
        self._at, self._sum = now, sent
        # A finished share lowers the total rate, which is no sign of wasted bandwidth.
        if self._rate >= self._best * _POOR_PART or any(share.is_all for share in shares):
            self._good_at = now
        self._best = max(self._rate, self._best * (1 - min(1.0, passed / _FORGET_SECONDS)))
        self._useless = self._useless or now - self._good_at > _PATIENCE_SECONDS


def _part(ahead: int) -> float:
    """Return the part of the even rate for a share that leads by `ahead` bytes too many, 0 for no limit."""
    return max(_LEAST_PART, 1 - ahead / _SPAN_BYTES) if ahead > 0 else 0.0
