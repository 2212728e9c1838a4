"""The guard of a release as people and programs read it."""

from __future__ import annotations

from typing import Any

from toolkit.cli.terminal.columns import cut
from toolkit.domain.deployment.plan import WHOLE
from toolkit.domain.gates.verdict import GuardPhase, figure_words
from toolkit.domain.hosts.facts import GuardFacts
from toolkit.domain.quantity import format_seconds

COLUMNS = ("HOST", "RELEASE", "PHASE", "SHARE", "SECONDS", "REQUESTS", "VERDICT")
_WIDTH = 80


def guard_json(host: str, guard: GuardFacts) -> dict[str, Any]:
    """Return what `--json` prints of a guard."""
    verdict = guard.verdict
    return {
        "host": host,
        "model": guard.model,
        "slot": guard.slot,
        "release": guard.release,
        "version": guard.version,
        "rollout": guard.rollout,
        "phase": str(guard.phase),
        "share": _share(guard),
        "seconds": guard.seconds,
        "watched": guard.watched,
        "requests": guard.requests,
        "probes": guard.probes,
        "verdict": str(verdict.verdict) if verdict else None,
        "reason": verdict.reason if verdict else "",
        "withdrawn": guard.withdrawn,
        "wish": guard.wish,
        "figures": [
            {"name": each.name, "new": each.new, "old": each.old, "unit": each.unit}
            for each in guard.figures
        ],
    }


def guard_row(host: str, guard: GuardFacts) -> tuple[str, ...]:
    """Return the row of a guard under COLUMNS."""
    return (
        cut(host, 13),
        cut(f"#{guard.release} {guard.version}", 12),
        "canary" if guard.phase is GuardPhase.SHARE else str(guard.phase),
        f"{100 * _share(guard):.4g} %",
        f"{guard.watched:.0f}/{guard.seconds:.0f}",
        str(guard.requests),
        _verdict(guard),
    )


def guard_lines(host: str, guard: GuardFacts) -> list[str]:
    """Return the figures of a guard, and why it came to its verdict, in lines of 80 columns at most."""
    words = [figure_words(each) for each in guard.figures]
    if guard.probes:
        words.append(f"{guard.probes} pairs of probes")
    if guard.verdict and guard.verdict.reason:
        words.append(f"{guard.verdict.verdict}: {guard.verdict.reason}")
    return [cut(f"  {cut(host, 16)}  {each}", _WIDTH) for each in words]


def guard_words(host: str, guard: GuardFacts) -> str:
    """Return one line about a guard for `toolkit status`."""
    title = f"{guard.model} #{guard.release} ({guard.version}) on {host}"
    if guard.verdict is None:
        phase = "its bake" if guard.phase is GuardPhase.BAKE else f"{100 * _share(guard):.4g} %"
        left = format_seconds(max(0.0, guard.seconds - guard.watched))
        return f"guard: {title} is watched in {phase}, for {left} more: toolkit watch {guard.model}"
    verdict = guard.verdict
    back = "; it gave the traffic back" if guard.withdrawn else ""
    reason = f": {verdict.reason}" if verdict.reason else ""
    return f"guard: {title}: {verdict.gate} {verdict.verdict}{back}{reason}"


def _share(guard: GuardFacts) -> float:
    return 1.0 if guard.phase is GuardPhase.BAKE else guard.share / WHOLE


def _verdict(guard: GuardFacts) -> str:
    if guard.withdrawn:
        return "returned"
    return str(guard.verdict.verdict) if guard.verdict else "-"
