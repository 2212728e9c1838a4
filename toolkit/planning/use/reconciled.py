"""Records against the engines' own counters, for each release: whether everything that was computed was recorded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from toolkit.domain.clients.use import UseRun


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The records of all runs of a release, probes included, beside what its engines counted.

    `asked` and `tokens_out` are the sums of the records at the time of the newest counters, and of what `open` requests
    had used then; `engine_asked` and `engine_out` are the counters. `silent` runs have told no counters, so they are in
    none of the four. `unknown` records have no tokens, `missing` records never came: each of them explains a
    difference. `at` is the time of the oldest of the counters, in seconds since the epoch; 0 without any.
    """

    model: str
    version: str
    release: int
    runs: int
    silent: int
    records: int
    missing: int
    unknown: int
    asked: int
    tokens_out: int
    engine_asked: int
    engine_out: int
    open: int
    at: float

    @property
    def difference_in(self) -> int:
        """Prompt tokens that the engines counted and no record has; negative where records have more."""
        return self.engine_asked - self.asked

    @property
    def difference_out(self) -> int:
        """Generated tokens that the engines counted and no record has; negative where records have more."""
        return self.engine_out - self.tokens_out

    @property
    def exact(self) -> bool:
        """Whether the records have all that the engines counted."""
        return not (self.difference_in or self.difference_out)


def reconciled(
    runs: Iterable[UseRun], *, model: str = "", since: float = 0.0
) -> tuple[Reconciled, ...]:
    """Return the comparison for each release of `model`, or of all, in their order.

    A run whose last counters are older than `since`, in seconds since the epoch, is left out.
    """
    releases: dict[tuple[str, int], list[UseRun]] = {}
    for run in runs:
        if (model and run.model != model) or _last(run) < since:
            continue
        releases.setdefault((run.model, run.release), []).append(run)
    return tuple(_of_release(releases[each]) for each in sorted(releases))


def at_rest(runs: Iterable[UseRun]) -> tuple[UseRun, ...]:
    """Return the runs whose counters were read while no request was under way: their records are complete.

    A run that was killed amid a request keeps that request open, and says nothing of the other runs of its release.
    """
    return tuple(each for each in runs if not (each.counted and each.counted.open))


def _last(run: UseRun) -> float:
    return run.counted.at if run.counted else run.started


def _of_release(runs: list[UseRun]) -> Reconciled:
    counted = [each.counted for each in runs if each.counted is not None]
    return Reconciled(
        model=runs[0].model,
        version=runs[0].version,
        release=runs[0].release,
        runs=len(runs),
        silent=len(runs) - len(counted),
        records=sum(each.records for each in runs),
        missing=sum(each.missing for each in runs),
        unknown=sum(each.unknown for each in runs),
        asked=sum(each.records_asked for each in counted),
        tokens_out=sum(each.records_out for each in counted),
        engine_asked=sum(each.asked for each in counted),
        engine_out=sum(each.tokens_out for each in counted),
        open=sum(each.open for each in counted),
        at=min((each.at for each in counted), default=0.0),
    )
