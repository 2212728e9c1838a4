"""Sequential tests of a new release against the serving one: valid at every look, and pure.

A test with a fixed number of samples that is looked at every second raises far more false alarms than its level says
(Netflix, arXiv:2205.14762). The tests here are bets against "the new release is no worse than tolerated": the wealth of
a fair or losing game reaches 1/alpha with a probability of at most alpha, however often it is looked at (Ville 1939;
Waudby-Smith & Ramdas, arXiv:2010.09686; overview: Ramdas et al., arXiv:2210.01948). Wealth is kept as its logarithm.

A release that is neither `breached` nor `suspected` once enough was measured is cleared. A figure that was not measured
counts for nothing. `alpha` is the probability of a false breach; several tests share one by division (Bonferroni).
`suspected` is evidence short of proof: more of it decides. `doubtful` is an estimate over the limit, which noise alone
makes often; it is a reason to measure faster and for nothing else.
The state of a test is JSON (`as_json`, `from_json`), so that a program that starts again goes on with it.
"""

from __future__ import annotations

import math
import statistics
from typing import Any

# The level of evidence at which a release is suspected.
SUSPECT = 0.05

# --- errors ---
# Requests and failures of one look that count; the rest is scaled down to them, so that one bad second is one second.
MOST_REQUESTS, MOST_FAILURES = 20.0, 2.0
# The failures of the new release beyond those tolerated, in the alternatives that share the first stake.
EXCESS = (0.01, 0.03, 0.1, 0.3)
# The assumed failures of the serving release before it has shown more, and the requests that they are of.
PRIOR = (0.1, 50.0)

# --- ratios of times ---
# Steepness of the bets: a small one suits noisy pairs, a large one steady ones. They share the first stake.
STEEPNESS = (0.75, 1.5, 3.0, 6.0, 12.0)
# The part of the wealth that one bet risks at most.
RISK = 0.9
# No spell of so many pairs multiplies the wealth by more than e**MOST_GAIN: a breach takes several bad spells.
SPELL, MOST_GAIN = 8, 1.5
# The ratios that an estimate may name as bounds.
RATIOS = (0.5, 0.67, 0.8, 0.87, 0.91, 0.95, 1.0, 1.05, 1.1, 1.15, 1.2, 1.25, 1.3, 1.4, 1.5, 1.75, 2.0, 3.0)  # fmt: skip
# Pairs that the point estimate looks back on.
RECENT = 256

# --- runs of failures ---
RUN, SPAN = 4, 2.0


class ErrorTest:
    """Whether the new release fails more often than the serving one by over `margin` (a share of requests).

    A bet on blocks of requests of both (Turner & Grünwald, arXiv:2203.09785; Turner, Ly & Grünwald, arXiv:2106.02693):
    the likelihood of an alternative over that of the point of the hypothesis nearest to it. With `q` and `r = q +
    margin` that point, `p` and `s` the alternative, `n` and `m` the requests, the expected wealth at a drift `t` of
    both is (1 + t(p-q)/q(1-q))^n (1 + t(s-r)/r(1-r))^m; `q` is where its derivative at t = 0 vanishes, and it is
    largest there: 1. So rates may change with time, as long as they do for both. Scaling a block down takes roots of
    factors, and fewer failures of the new release lower the wealth: the bet stays fair (Jensen).

    Where there is no serving release (`alone`), `q` is 0: the margin is all that may fail.
    """

    def __init__(self, alpha: float, margin: float, alone: bool = False) -> None:
        self.alpha, self.margin, self.alone = alpha, max(margin, 1e-3), alone
        # [failed, total] of all looks, and of the block that still waits for a request of each release.
        self.new, self.old = [0, 0], [0, 0]
        self._block = [0.0, 0.0, 0.0, 0.0]
        self._wealth = [0.0] * len(EXCESS)
        self._peak = 0.0

    def see(self, new_failed: int, new_total: int, old_failed: int, old_total: int) -> None:
        """Take what was answered since the last look; looks are about a second apart."""
        new, old = scale(new_total), scale(old_total)
        for index, more in enumerate(
            (
                min(new_failed * new, MOST_FAILURES),
                new_total * new,
                old_failed * old,
                old_total * old,
            )
        ):
            self._block[index] += more
        if self._block[1] and (self._block[3] or self.alone):
            base = (self.old[0] + PRIOR[0]) / (self.old[1] + PRIOR[1])
            for index, excess in enumerate(EXCESS):
                self._wealth[index] += self._gain(base, min(base + self.margin + excess, 0.99))
            self._peak = max(self._peak, mean(self._wealth))
            self._block = [0.0, 0.0, 0.0, 0.0]
        # Only now: a bet on a block knows the requests before it.
        self.new = [self.new[0] + new_failed, self.new[1] + new_total]
        self.old = [self.old[0] + old_failed, self.old[1] + old_total]

    def _gain(self, old_rate: float, new_rate: float) -> float:
        """Return the gain of the block for the wealth of a bet on these rates."""
        new_failed, new_total, old_failed, old_total = self._block
        if self.alone:
            return gain(new_failed, new_total, new_rate, self.margin)
        if old_rate + self.margin >= new_rate:
            return 0.0  # the serving release fails so often that nothing could be shown
        # The slope of the weighted divergence rises with `q`.
        low, high = old_rate, new_rate - self.margin
        for _ in range(30):
            q = (low + high) / 2
            r = q + self.margin
            slope = old_total * (q - old_rate) / (q * (1 - q))
            slope += new_total * (r - new_rate) / (r * (1 - r))
            low, high = (q, high) if slope < 0 else (low, q)
        q = (low + high) / 2
        return gain(old_failed, old_total, old_rate, q) + gain(
            new_failed, new_total, new_rate, q + self.margin
        )

    @property
    def breached(self) -> bool:
        """Whether the new release has been shown to fail too often; it stays so."""
        return self._peak >= -math.log(self.alpha)

    @property
    def suspected(self) -> bool:
        """Whether there is evidence that it fails too often."""
        return mean(self._wealth) >= -math.log(SUSPECT)

    @property
    def doubtful(self) -> bool:
        """Whether the shares of failures so far are apart by more than the margin."""
        return self.new[0] > 1 and share(self.new) > share(self.old) + self.margin

    @property
    def words(self) -> str:
        """The figures for people: `1.2 % of 410 requests failed, 0.1 % of 3900 of the serving release`."""
        return f"{100 * share(self.new):.3g} % of {self.new[1]} requests failed" + (
            f", {100 * share(self.old):.3g} % of {self.old[1]} of the serving release"
            if self.old[1]
            else ""
        )

    def as_json(self) -> dict[str, Any]:
        """Return the state."""
        return {
            "new": self.new,
            "old": self.old,
            "block": self._block,
            "wealth": self._wealth,
            "peak": self._peak,
        }

    def restore(self, state: dict[str, Any]) -> ErrorTest:
        """Take the state that `as_json` gave; return the test."""
        self.new, self.old = list(state["new"]), list(state["old"])
        self._block, self._wealth = list(state["block"]), list(state["wealth"])
        self._peak = state["peak"]
        return self


class RatioTest:
    """Whether a time of the new release is over `tolerance` times that of the serving one, from pairs of requests.

    The hypothesis: the logarithm of the ratio is symmetric about log(tolerance), or lower. Then the sign of
    `x = log(new/old) - log(tolerance)` is a fair coin whatever |x| is, and 1 + RISK * tanh(c * x) a fair bet, because
    tanh is odd (de la Peña 1999; Ramdas, Ruf, Larsson & Koolen, arXiv:2009.03167, on symmetric distributions). It is
    nearly a sign test for a large `c` and one of means for a small `c`; no pair, however late, weighs more than
    another. The pair of an unchanged version is symmetric about 0, because old and new are asked in turn.

    Bets on other ratios than the tolerance give its bounds at level `alpha` for each side.
    """

    def __init__(self, alpha: float, tolerance: float, least: int = 16) -> None:
        self.alpha, self.tolerance, self.least = alpha, tolerance, least
        self.count = 0
        self._ratios = sorted({*RATIOS, tolerance})
        self._logs = [math.log(each) for each in self._ratios]
        nothing = [0.0] * len(STEEPNESS)
        # For each ratio: the wealth of bets that the true one is higher, and lower; that at the start of the spell.
        self._higher = [list(nothing) for _ in self._ratios]
        self._lower = [list(nothing) for _ in self._ratios]
        self._before = [list(nothing) for _ in self._ratios]
        self._before_lower = [list(nothing) for _ in self._ratios]
        self._low, self._high = 0.0, math.inf
        self._recent: list[float] = []

    def see(self, new_seconds: float, old_seconds: float) -> None:
        """Take the times of one pair, in seconds; a time that is none is left out."""
        if not (0 < new_seconds < math.inf and 0 < old_seconds < math.inf):
            return
        ratio = math.log(new_seconds / old_seconds)
        if self.count % SPELL == 0:
            self._before = [list(each) for each in self._higher]
            self._before_lower = [list(each) for each in self._lower]
        self.count += 1
        self._recent = [*self._recent[1 - RECENT :], round(ratio, 4)]
        needed = -math.log(self.alpha)
        for place, log in enumerate(self._logs):
            for index, steepness in enumerate(STEEPNESS):
                bet = RISK * math.tanh(steepness * (ratio - log))
                self._higher[place][index] = min(
                    self._higher[place][index] + math.log1p(bet),
                    self._before[place][index] + MOST_GAIN,
                )
                self._lower[place][index] = min(
                    self._lower[place][index] + math.log1p(-bet),
                    self._before_lower[place][index] + MOST_GAIN,
                )
            if mean(self._higher[place]) >= needed:
                self._low = max(self._low, self._ratios[place])
            if mean(self._lower[place]) >= needed:
                self._high = min(self._high, self._ratios[place])

    @property
    def estimate(self) -> tuple[float, float, float]:
        """The ratio: lower bound (0: none yet), median of the recent pairs (1 without any), upper bound (infinite)."""
        middle = math.exp(statistics.median(self._recent)) if self._recent else 1.0
        return self._low, middle, self._high

    @property
    def breached(self) -> bool:
        """Whether the ratio's lower bound has reached the tolerance; it stays so."""
        return self.count >= self.least and self._low >= self.tolerance

    @property
    def suspected(self) -> bool:
        """Whether there is evidence that the ratio is over the tolerance."""
        wealth = mean(self._higher[self._ratios.index(self.tolerance)])
        return self.count >= self.least and wealth >= -math.log(SUSPECT)

    @property
    def doubtful(self) -> bool:
        """Whether the median is over the tolerance."""
        return self.count >= self.least and self.estimate[1] > self.tolerance

    @property
    def words(self) -> str:
        """The figures for people: `1.31 times (1.2 at least) in 120 pairs`."""
        low, middle, high = self.estimate
        bounds = [f"{low:g} at least"] * (low > 0) + [f"{high:g} at most"] * (high < math.inf)
        inside = f" ({', '.join(bounds)})" if bounds else ""
        return f"{middle:.3g} times{inside} in {self.count} pairs"

    def as_json(self) -> dict[str, Any]:
        """Return the state."""
        return {
            "ratios": self._ratios,
            "count": self.count,
            "wealth": [self._higher, self._lower, self._before, self._before_lower],
            "bounds": [self._low, self._high if self._high < math.inf else 0],
            "recent": self._recent,
        }

    def restore(self, state: dict[str, Any]) -> RatioTest:
        """Take the state that `as_json` gave, of a test with the same tolerance; return the test."""
        if state["ratios"] == self._ratios:
            self.count, self._recent = state["count"], list(state["recent"])
            self._higher, self._lower, self._before, self._before_lower = (
                [list(row) for row in table] for table in state["wealth"]
            )
            self._low, self._high = state["bounds"][0], state["bounds"][1] or math.inf
        return self


class Run:
    """The hard rule: failures in a row of the new release, and none of the serving one in the same time.

    `RUN` of them, over `SPAN` seconds at least, so that one bad second is none.
    """

    def __init__(self, alone: bool = False) -> None:
        self.alone, self.failures, self.breached = alone, 0, False
        self._since = 0.0
        self._old = [0, 0]

    def see(
        self, at: float, new_failed: int, new_total: int, old_failed: int, old_total: int
    ) -> None:
        """Take what was answered since the last look; `at` is the time now, in seconds of a clock that is not set."""
        if new_failed < new_total:
            self.failures = 0
        if not self.failures:
            self._since, self._old = at, [0, 0]
        if new_failed < new_total or (not new_total and not self.failures):
            return
        self.failures += new_failed
        # The clock began anew, because the host did.
        self._since = min(self._since, at)
        self._old = [self._old[0] + old_failed, self._old[1] + old_total]
        spared = self._old[1] > 0 and not self._old[0]
        if self.failures >= RUN and at - self._since >= SPAN and (self.alone or spared):
            self.breached = True

    @property
    def excused(self) -> bool:
        """Whether requests of the serving release have failed in the same time, too."""
        return self._old[0] > 0

    @property
    def words(self) -> str:
        """The figures for people."""
        return f"{self.failures} requests in a row failed" + (
            "" if self.alone else ", none of the serving release in the same time"
        )

    def as_json(self) -> dict[str, Any]:
        """Return the state."""
        return {
            "failures": self.failures,
            "since": self._since,
            "old": self._old,
            "breached": self.breached,
        }

    def restore(self, state: dict[str, Any]) -> Run:
        """Take the state that `as_json` gave; return the rule."""
        self.failures, self._since = state["failures"], state["since"]
        self._old, self.breached = list(state["old"]), state["breached"]
        return self


def gain(failed: float, total: float, alternative: float, null: float) -> float:
    """Return the logarithm of the likelihood ratio of `failed` of `total` requests, for two rates of failure."""
    return failed * math.log(alternative / null) + (total - failed) * math.log(
        (1 - alternative) / (1 - null)
    )


def mean(logarithms: list[float]) -> float:
    """Return the logarithm of the mean of wealths whose logarithms these are."""
    top = max(logarithms)
    return top + math.log(sum(math.exp(each - top) for each in logarithms) / len(logarithms))


def scale(total: int) -> float:
    """Return the factor that brings the requests of a look down to what counts of one."""
    return min(1.0, MOST_REQUESTS / total) if total else 1.0


def share(counts: list[int]) -> float:
    """Return the share of failures; 0 of nothing."""
    return counts[0] / counts[1] if counts[1] else 0.0
