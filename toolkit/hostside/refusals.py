"""A sequential test of refused requests (4xx), which clients cause themselves; see `sequential.py` for the others."""

from __future__ import annotations

import math
from typing import Any

from sequential import SUSPECT, gain, mean, share

# How many times as often the new release refuses, in the alternatives that share the first stake.
ODDS = (1.5, 3.0, 9.0, 81.0)
# Refused requests of one look that count; more are scaled down to them.
MOST_REFUSED = 10.0


class RefusedTest:
    """Whether the new release refuses requests that the serving one takes, for over `margin` of its requests.

    Each request draws the release that it goes to, whatever it asks. So of the requests that are refused in a look, the
    new release has no more than its part of those that came in it, where both refuse alike: a bet on that is fair,
    whichever clients flood the model with wrong requests and when. Their number is hypergeometric, and the wealth is a
    convex function of it, so the bet on a binomial number is fair too (Hoeffding 1963, theorem 4). A look with many of
    them counts as one with MOST_REFUSED: roots of factors keep the bet fair (Jensen).

    The counts are of requests that came, not of those that were answered: a refusal takes milliseconds, and an answer
    up to minutes. At the begin of a share nearly all that has been answered is refused.
    """

    def __init__(self, alpha: float, margin: float) -> None:
        self.alpha, self.margin = alpha, margin
        # [refused, all] of all looks that had requests of both.
        self.new, self.old = [0, 0], [0, 0]
        # The refusals of the new release beyond those that the serving one's share of the same look explains.
        self._excess = 0.0
        self._wealth = [0.0] * len(ODDS)
        self._peak = 0.0

    def see(self, new_refused: int, new_total: int, old_refused: int, old_total: int) -> None:
        """Take the requests that came since the last look, and the refused ones; looks are about a second apart."""
        new_total, old_total = max(new_refused, new_total), max(old_refused, old_total)
        if not new_total or not old_total:
            return
        refused, part = new_refused + old_refused, new_total / (new_total + old_total)
        factor = min(1.0, MOST_REFUSED / refused) if refused else 0.0
        for index, odds in enumerate(ODDS):
            bet = odds * part / (odds * part + 1 - part)
            self._wealth[index] += factor * gain(new_refused, refused, bet, part)
        self.new = [self.new[0] + new_refused, self.new[1] + new_total]
        self.old = [self.old[0] + old_refused, self.old[1] + old_total]
        self._excess += new_refused - new_total * old_refused / old_total
        if self._is_over:
            self._peak = max(self._peak, mean(self._wealth))

    @property
    def _is_over(self) -> bool:
        return self._excess > self.margin * self.new[1]

    @property
    def breached(self) -> bool:
        """Whether the new release has been shown to refuse more; it stays so."""
        return self._peak >= -math.log(self.alpha)

    @property
    def suspected(self) -> bool:
        """Whether there is evidence that it refuses more."""
        return self._is_over and mean(self._wealth) >= -math.log(SUSPECT)

    @property
    def words(self) -> str:
        """The figures for people: `31 % of 410 requests are refused, 0.1 % of 3900 of the serving release`."""
        return (
            f"{100 * share(self.new):.3g} % of {self.new[1]} requests are refused, "
            f"{100 * share(self.old):.3g} % of {self.old[1]} of the serving release"
        )

    def as_json(self) -> dict[str, Any]:
        """Return the state."""
        return {
            "new": self.new,
            "old": self.old,
            "excess": self._excess,
            "wealth": self._wealth,
            "peak": self._peak,
        }

    def restore(self, state: dict[str, Any]) -> RefusedTest:
        """Take the state that `as_json` gave; return the test."""
        self.new, self.old = list(state["new"]), list(state["old"])
        self._excess, self._wealth = state["excess"], list(state["wealth"])
        self._peak = state["peak"]
        return self
