"""A guard as people read it."""

from __future__ import annotations

from collections.abc import Iterator

from toolkit.domain.gates.guard import Guard
from toolkit.domain.gates.verdict import Unsure
from toolkit.domain.quantity import format_seconds


def guard_words(guard: Guard) -> tuple[tuple[str, str], ...]:
    """Return name and words of each part of a guard that was declared; none for the defaults."""
    if guard.off:
        return (("guard", "off: its checks are all that it must prove"),)
    return tuple(_parts(guard))


def _parts(guard: Guard) -> Iterator[tuple[str, str]]:
    if guard.answers:
        asked = guard.answers
        least = f", at least {asked.at_least * 100:g} % pass" if asked.at_least else ""
        yield "golden", f"{asked.file}, at most {asked.lose_at_most} lost{least}"
    if guard.shape.allow:
        yield "shape", f"may lose {', '.join(guard.shape.allow)}"
    if guard.speed:
        yield "speed", f"{guard.speed.pairs} pairs, {guard.speed.concurrency} at once"
    if guard.benchmarks:
        most = f"{guard.benchmarks.lose_at_most * 100:g} % lost"
        yield "benchmarks", f"{', '.join(guard.benchmarks.tasks)}, at most {most}"
    for step in guard.steps:
        share = f"{step.share * 100:g} %"
        yield "canary", f"{share} for {_time(step.seconds)}{_and(step.requests)}"
    if guard.bake is not None:
        yield "bake", f"{_time(guard.bake)}{_and(guard.bake_requests)}"
    if guard.steps or guard.bake is not None:
        goes = "goes back" if guard.unsure is Unsure.RETURN else "goes on"
        yield "unsure", f"{goes} after {_time(guard.patience)}"


def _time(seconds: float) -> str:
    return format_seconds(seconds).removesuffix(" 00 s")


def _and(requests: int) -> str:
    return f" and {requests} requests" if requests else ""
