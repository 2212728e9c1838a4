"""The gate `health`: what the other gates did to the new replica, beside the serving one in the same time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from toolkit.domain.deployment.release import Release
from toolkit.domain.gates.guard import Tolerance
from toolkit.domain.gates.verdict import Figure, GateResult, Verdict
from toolkit.domain.replicas.answers import Vitals
from toolkit.planning.engines import engine_of

GATE = "health"
MIB = 2**20
# Growth below this many bytes is that of any program.
NO_GROWTH = 256 * MIB
# Requests that may lose their place in the cache before the loss counts.
PREEMPTIONS = 3
# The part of the serving release's cache that a release of the same arguments has at least.
CACHE = 0.5
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Watched:
    """A replica before the gates and after them."""

    release: Release
    began: Vitals
    ended: Vitals


def judge(new: Watched, old: Watched | None, tolerance: Tolerance) -> GateResult:
    """Return the verdict on the new replica; `old` is the serving one. Figures that an engine lacks are not judged."""
    faults = tuple(_faults(new, old, tolerance))
    figures = tuple(each for each in _figures(new, old) if each.new is not None)
    verdict = Verdict.FAILED if faults else Verdict.PASSED
    return GateResult(GATE, verdict, "; ".join(faults), figures)


def _faults(new: Watched, old: Watched | None, tolerance: Tolerance) -> Iterator[str]:
    if restarted(new):
        line = engine_of(new.release.engine).decisive_line(new.ended.lines)
        yield f"its process ended{f': {line}' if line else ''}"
        return
    for name, before, after in (
        ("memory", new.began.memory, new.ended.memory),
        ("device memory", new.began.device_memory, new.ended.device_memory),
    ):
        if before and after and after - before > NO_GROWTH and after > tolerance.growth * before:
            yield (
                f"its {name} grew from {before // MIB} to {after // MIB} MiB while gates asked,"
                f" {after / before:.2f} times"
            )
    mine, theirs = cache(new), cache(old) if old else None
    if old and mine and theirs and mine < CACHE * theirs and _alike(new.release, old.release):
        yield f"its cache holds {mine} tokens, that of the serving release {theirs}"
    lost, others = preempted(new), preempted(old) if old else 0.0
    if lost is not None and lost >= PREEMPTIONS and not others:
        yield f"{lost:.0f} requests lost their place in its cache"
    if old and (lines := _lines(new, old)):
        yield f"its log has what the serving release's has not: {'; '.join(lines[:_NAMED])}"


def _figures(new: Watched, old: Watched | None) -> Iterator[Figure]:
    yield Figure("restarts", float(restarted(new)), float(restarted(old)) if old else None)
    yield Figure("memory", _mib(new.ended.memory), _mib(old.ended.memory) if old else None, "MiB")
    yield Figure("memory growth", _growth(new), _growth(old) if old else None, "times")
    yield Figure(
        "device memory",
        _mib(new.ended.device_memory),
        _mib(old.ended.device_memory) if old else None,
        "MiB",
    )
    yield Figure("cache", cache(new), cache(old) if old else None, "tokens")
    yield Figure("preemptions", preempted(new), preempted(old) if old else None)
    yield Figure("errors in its log", _count(new), _count(old) if old else None)


def restarted(replica: Watched) -> bool:
    """Whether its process has ended since, whether or not another one runs now."""
    before, after = replica.began, replica.ended
    # The kernel's time of its own start moves by a second.
    again = abs((after.started_at or 0.0) - (before.started_at or 0.0)) > 2
    return after.state != "running" or after.pid != before.pid or again


def cache(replica: Watched) -> int | None:
    """Return the tokens that its cache holds."""
    return engine_of(replica.release.engine).read_actual(replica.ended.cache).tokens


def preempted(replica: Watched) -> float | None:
    """Return how many requests lost their place in its cache since the gates began."""
    before, after = replica.began.preemptions, replica.ended.preemptions
    return None if before is None or after is None else max(0.0, after - before)


def _alike(new: Release, old: Release) -> bool:
    """Whether both releases ask for the same, so that nothing explains another size of the cache."""
    return (new.args, new.memory, new.devices) == (old.args, old.memory, old.devices)


def _lines(new: Watched, old: Watched) -> list[str]:
    """Return the exceptions in the new log whose kind the other one has not: both were asked the same."""
    known = {_kind(line) for line in _troubles(old)}
    found = [line for line in _troubles(new) if _kind(line) not in known]
    return list(dict.fromkeys(found))


def _troubles(replica: Watched) -> tuple[str, ...]:
    return engine_of(replica.release.engine).troubles(replica.ended.lines)


def _count(replica: Watched) -> float:
    return float(len(_troubles(replica)))


def _kind(line: str) -> str:
    return line.partition(":")[0]


def _growth(replica: Watched) -> float | None:
    before = replica.began.memory
    return round(replica.ended.memory / before, 3) if before else None


def _mib(size: int | None) -> float | None:
    return None if size is None else float(size // MIB)
