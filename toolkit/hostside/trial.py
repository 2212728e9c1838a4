"""The trial of a new release beside the serving one: all tests of its traffic and probes, and one verdict of them.

One trial lasts for all steps of a canary and its bake: evidence adds up, and the probability of a false alarm, ALPHA,
is that of the whole upgrade under traffic. Errors have a half of it, the times share the other half.
"""

from __future__ import annotations

from typing import Any, Optional

from sequential import ErrorTest, RatioTest, Run, share
from wire import Document

# The gate `speed` has the rest of 0.001.
ALPHA = 0.0007
# The times of a probe that are compared, and how people call them.
TIMES = {
    "first": "time to first token",
    "next": "time between tokens",
    "whole": "time of an answer",
}
PASSED, FAILED, UNKNOWN = "passed", "failed", "could not tell"


class Trial:
    """The tests of one upgrade on one host.

    `slower` and `errors` are the tolerance, as `Tolerance` of `toolkit.domain.gates.guard` has it. `hosts` is the
    number of hosts that judge the same upgrade, which share ALPHA. `alone`: no release serves beside the new one, so
    only the share of errors is judged.
    """

    def __init__(self, slower: float, errors: float, hosts: int = 1, alone: bool = False) -> None:
        half = ALPHA / hosts / 2
        self.alone = alone
        self._times = {each: RatioTest(half / len(TIMES), slower) for each in TIMES}
        self._errors, self._run = ErrorTest(half, errors, alone), Run(alone)

    def see(
        self, at: float, new_failed: int, new_total: int, old_failed: int, old_total: int
    ) -> None:
        """Take what was answered since the last look, probes included. Call it about once a second.

        `at` is the time in seconds of a clock that is not set, and goes on when the program starts again.
        """
        self._errors.see(new_failed, new_total, old_failed, old_total)
        self._run.see(at, new_failed, new_total, old_failed, old_total)

    def pair(self, new: Document, old: Document) -> None:
        """Take the seconds of a paired probe by name (`first`, `next`, `whole`), None where one was not measured.

        Old and new must be asked in turn: first the one, in the next pair first the other. `whole` counts where one of
        the others is missing: an answer that is no stream has only this one.
        """
        parts = [each for each in ("first", "next") if new.get(each) and old.get(each)]
        for name in parts or ["whole"]:
            if new.get(name) and old.get(name):
                self._times[name].see(new[name], old[name])

    def verdict(self, requests: int = 0, answered: Optional[int] = None) -> tuple[str, str]:
        """Return verdict and reason at the end of a step that asks for `requests` of the new release.

        `answered` is the number since the step began, None for all since the trial began. A suspicion without proof
        gives `could not tell`: more requests decide. Without a measurement only `requests` can be a reason.
        """
        if self.breach:
            return FAILED, self.breach
        seen = self._errors.new[1] if answered is None else answered
        if seen < requests:
            return (
                UNKNOWN,
                f"it has answered {seen} of the {requests} requests that the step asks for",
            )
        if self.suspicion:
            return UNKNOWN, f"{self.suspicion}: not shown with certainty yet"
        return PASSED, ""

    @property
    def breach(self) -> str:
        """Why the new release must go, empty where it may stay."""
        if self._run.breached:
            return self._run.words
        if self._errors.breached:
            return self._errors.words
        slow = [
            f"{TIMES[each]}: {test.words}" for each, test in self._times.items() if test.breached
        ]
        return "; ".join(slow)

    @property
    def suspicion(self) -> str:
        """The suspicion so far, for which there is evidence and no proof; empty where there is none."""
        found = [self._errors.words] if self._errors.suspected else []
        found += [
            f"{TIMES[each]}: {test.words}" for each, test in self._times.items() if test.suspected
        ]
        return "; ".join(found)

    @property
    def doubtful(self) -> bool:
        """Whether a figure is over its limit, be it by noise. Probes may go faster then: the tests stay valid."""
        return self._errors.doubtful or any(each.doubtful for each in self._times.values())

    @property
    def figures(self) -> list[Document]:
        """The figures, as `Figure` of `toolkit.domain.gates.guard` has them; what was not measured is left out."""
        new, old = self._errors.new, self._errors.old
        found = []
        if new[1]:
            before = 100 * share(old) if old[1] else None
            found.append(_figure("errors", 100 * share(new), before, "%"))
            found.append(_figure("requests", new[1], old[1], ""))
        for name, test in self._times.items():
            if test.count:
                low, middle, _ = test.estimate
                found.append(_figure(TIMES[name], middle, 1.0, "times"))
                if low:
                    found.append(_figure(f"{TIMES[name]}, at least", low, None, "times"))
        return found

    def as_json(self) -> dict[str, Any]:
        """Return the state, for `restore`."""
        return {
            "errors": self._errors.as_json(),
            "run": self._run.as_json(),
            "times": {name: test.as_json() for name, test in self._times.items()},
        }

    def restore(self, state: dict[str, Any]) -> Trial:
        """Take the state of a trial that was made with the same arguments; return the trial."""
        self._errors.restore(state["errors"])
        self._run.restore(state["run"])
        for name, test in self._times.items():
            test.restore(state["times"][name])
        return self


def _figure(name: str, new: float, old: Optional[float], unit: str) -> Document:
    return {
        "name": name,
        "new": round(new, 4),
        "old": None if old is None else round(old, 4),
        "unit": unit,
    }
