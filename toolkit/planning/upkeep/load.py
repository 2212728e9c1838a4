"""The load of replicas and models: rates as the difference of two samples, times from histograms.

A counter that is less than before was begun anew, by a restart or a reload: then all of it is new. So no rate is ever
negative. A counter that nobody saw before gives no rate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from toolkit.domain.hosts.load import Histogram, HostSample, ReplicaCount, TargetCount


@dataclass(frozen=True, slots=True)
class Load:
    """The load of a replica, or of several together; unknown figures are None.

    `requests` (answered), `failed`, and tokens of prompts (`prompt`) and answers (`generated`) are per second, `open`
    are requests under way at the router, `running` and `waiting` those at the engine. `cache_use` is the part of the
    cache in use, from 0 to 1, of several replicas that of the fullest. `first` and `between` have the times of the
    interval.
    """

    requests: float | None = None
    failed: float | None = None
    open: int | None = None
    running: float | None = None
    waiting: float | None = None
    prompt: float | None = None
    generated: float | None = None
    cache_use: float | None = None
    first: Histogram | None = None
    between: Histogram | None = None


NO_LOAD = Load()
_SILENT = ReplicaCount("", "", "", answers=False)


def loads(before: HostSample | None, now: HostSample) -> dict[tuple[str, str], Load]:
    """Return the load of each replica of a host between two samples, by model and slot.

    Without a sample before, or with one from before a boot of the host, there are gauges and no rates.
    """
    if before and (before.boot != now.boot or now.clock <= before.clock):
        before = None
    seconds = now.clock - before.clock if before else 0.0
    slots = {(each.model, each.slot) for each in now.targets}
    counts = {(each.model, each.slot): each for each in now.replicas}
    former = {(each.model, each.slot): each for each in before.replicas} if before else {}
    return {
        slot: _load(
            _of(now.targets, slot),
            _of(before.targets, slot) if before and before.router else None,
            counts.get(slot),
            former.get(slot),
            seconds,
        )
        for slot in sorted(slots | counts.keys())
    }


def together(several: Iterable[Load]) -> Load:
    """Return the load of several replicas; what only some of them say counts alone."""
    found = list(several)
    fullest = [each.cache_use for each in found if each.cache_use is not None]
    opened = [each.open for each in found if each.open is not None]
    return Load(
        requests=_sum(each.requests for each in found),
        failed=_sum(each.failed for each in found),
        open=sum(opened) if opened else None,
        running=_sum(each.running for each in found),
        waiting=_sum(each.waiting for each in found),
        prompt=_sum(each.prompt for each in found),
        generated=_sum(each.generated for each in found),
        cache_use=max(fullest, default=None),
        first=merged([each.first for each in found if each.first]),
        between=merged([each.between for each in found if each.between]),
    )


def quantile(histogram: Histogram | None, part: float) -> float | None:
    """Return the seconds that `part` of the events took at most, linear within a bucket; None without an event.

    An event beyond the last bound counts as the last bound, or, without any bounds, as the mean.
    """
    if histogram is None or histogram.count <= 0:
        return None
    if not histogram.buckets:
        return histogram.total / histogram.count
    wanted, low, below = part * histogram.count, 0.0, 0.0
    for bound, number in histogram.buckets:
        if number >= wanted and number > below:
            return low + (bound - low) * (wanted - below) / (number - below)
        low, below = bound, max(below, number)
    return histogram.buckets[-1][0]


def merged(several: Sequence[Histogram]) -> Histogram | None:
    """Return the events of several histograms as one, with the bounds that all of them have."""
    if not several:
        return None
    tables: list[Mapping[float, float]] = [dict(each.buckets) for each in several]
    bounds = sorted(set(tables[0]).intersection(*tables[1:]))
    return Histogram(
        tuple((bound, sum(table[bound] for table in tables)) for bound in bounds),
        sum(each.total for each in several),
        sum(each.count for each in several),
    )


def _load(
    targets: Sequence[TargetCount],
    former_targets: Sequence[TargetCount] | None,
    now: ReplicaCount | None,
    before: ReplicaCount | None,
    seconds: float,
) -> Load:
    answered, failed = _requests(targets, former_targets)
    new = now if now and now.answers else _SILENT
    old = before if before and before.answers else _SILENT
    again = new.process != old.process
    return Load(
        requests=None if answered is None else answered / seconds,
        failed=None if failed is None else failed / seconds,
        open=sum(each.open for each in targets) if targets else None,
        running=new.running,
        waiting=new.waiting,
        prompt=_rate(new.prompt, old.prompt, seconds, again=again),
        generated=_rate(new.generated, old.generated, seconds, again=again),
        cache_use=None if new.cache_use is None else min(1.0, new.cache_use),
        first=_since(new.first, old.first, again=again),
        between=_since(new.between, old.between, again=again),
    )


def _requests(
    now: Sequence[TargetCount], before: Sequence[TargetCount] | None
) -> tuple[int | None, int | None]:
    """Return the requests since the sample before that were answered and that failed."""
    if before is None or not now:
        return None, None
    former = {each.worker: each for each in before}
    answered = failed = 0
    for each in now:
        then = former.get(each.worker)
        # A worker that nobody saw before began since then, and so did one with an ended one's number.
        if then is None or then.answered > each.answered:
            answered, failed = answered + each.answered, failed + each.failed
        else:
            answered += each.answered - then.answered
            failed += max(0, each.failed - then.failed)
    return answered, failed


def _rate(now: float | None, before: float | None, seconds: float, *, again: bool) -> float | None:
    if now is None or before is None or seconds <= 0:
        return None
    return (now if again or now < before else now - before) / seconds


def _since(now: Histogram | None, before: Histogram | None, *, again: bool) -> Histogram | None:
    """Return the events of `now` that are not in `before`."""
    if now is None or before is None:
        return None
    if again or now.count < before.count:
        return now
    former = dict(before.buckets)
    return Histogram(
        tuple((bound, max(0.0, number - former.get(bound, 0.0))) for bound, number in now.buckets),
        max(0.0, now.total - before.total),
        now.count - before.count,
    )


def _of(targets: Iterable[TargetCount], slot: tuple[str, str]) -> list[TargetCount]:
    return [each for each in targets if (each.model, each.slot) == slot]


def _sum(values: Iterable[float | None]) -> float | None:
    known = [each for each in values if each is not None]
    return sum(known) if known else None
