"""The gate `speed`: is the new release slower than the serving one? Judged from pairs of requests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from toolkit.domain.deployment.release import Release
from toolkit.domain.gates.guard import Speed, Tolerance
from toolkit.domain.gates.kind import Kind
from toolkit.domain.gates.verdict import Figure, GateResult, Verdict
from toolkit.domain.replicas.answers import Pair, PairsWanted, Times
from toolkit.hostside.sequential import ErrorTest, RatioTest
from toolkit.planning.engines import engine_of
from toolkit.planning.guard.kinds import PATHS, SILENCE

GATE = "speed"
# The probability that the gate stops a release that is no slower. The watch under traffic has the rest of 0.001.
ALPHA = 0.0003
# In doubt the gate takes more pairs, as many as the registry says each time, up to so many in all. A proof takes 50.
MOST = 200
# Long enough that reading it takes time, short enough for the smallest context.
PROMPT = "{fresh}: tell a long story about the sea, the wind and a lighthouse."

Measure = Callable[[Times], float | None]


def _per_token(times: Times) -> float | None:
    """Return the seconds for each token, or each answer without tokens, of all requests at once: 1 / throughput."""
    answered = times.tokens or times.asked - times.failed
    return times.seconds / answered if answered else None


MEASURES: dict[str, Measure] = {
    "time to first token": lambda times: times.first,
    "time between tokens": lambda times: times.next,
    "time of all tokens": _per_token,
}


@dataclass(frozen=True, slots=True)
class Judged:
    """The result of the pairs so far; `undecided` where more of them may show more than a doubt."""

    result: GateResult
    undecided: bool = False


def wanted(
    release: Release, speed: Speed, new: int, old: int, name: str = "", former: str = ""
) -> PairsWanted:
    """Return the pairs to take, for the ports of the new and the serving replica (0: there is none).

    The new one is asked by `name`, the serving one by `former`; by default by the model's. Both answer exactly as many
    tokens, whatever they say, so that their times can be compared.
    """
    kind = Kind(release.checks[0].kind) if release.checks else Kind.CHAT
    payload = {"model": name or release.model, **_question(kind)}
    if kind in (Kind.CHAT, Kind.COMPLETION):
        payload |= {"stream": True, **engine_of(release.engine).exactly(speed.max_tokens)}
    asked, at_once = PATHS[kind], max(1, speed.concurrency)
    named = former if former != payload["model"] else ""
    return PairsWanted(new, old, asked, payload, speed.pairs, at_once, former=named)


def _question(kind: Kind) -> dict[str, Any]:
    if kind is Kind.CHAT:
        return {"messages": [{"role": "user", "content": PROMPT}]}
    if kind is Kind.COMPLETION:
        return {"prompt": PROMPT}
    if kind in (Kind.EMBEDDING, Kind.CLASSIFICATION):
        return {"input": PROMPT}
    if kind is Kind.RERANK:
        return {"query": PROMPT, "documents": [PROMPT, "{fresh}: something else."]}
    return {"file": SILENCE, "temperature": 0}


def judge(pairs: Sequence[Pair], tolerance: Tolerance) -> Judged:
    """Return what all pairs so far say of the new release.

    It fails where the lower bound of a ratio of times is over the tolerance, or where it fails more requests than
    tolerated. Without a serving release the times are figures alone.
    """
    alone = all(pair.old is None for pair in pairs)
    alpha = ALPHA / (1 + len(MEASURES))
    errors = ErrorTest(alpha, tolerance.errors, alone)
    tests = {name: RatioTest(alpha, tolerance.slower) for name in MEASURES}
    for pair in pairs:
        old = pair.old
        errors.see(
            pair.new.failed, pair.new.asked, old.failed if old else 0, old.asked if old else 0
        )
        for name, measure in MEASURES.items():
            new_time, old_time = measure(pair.new), measure(old) if old else None
            if new_time and old_time:
                tests[name].see(new_time, old_time)
    slow = [f"{name}: {test.words}" for name, test in tests.items() if test.breached]
    suspected = [f"{name}: {test.words}" for name, test in tests.items() if test.suspected]
    # Few pairs show nothing, so the gate needs more of them.
    over = any(test.estimate[1] > tolerance.slower for test in tests.values())
    doubtful = errors.doubtful or over
    figures = _figures(pairs)
    if errors.breached or slow:
        reasons = [errors.words] * errors.breached + slow
        return Judged(GateResult(GATE, Verdict.FAILED, "; ".join(reasons), figures))
    if not any(_per_token(pair.new) for pair in pairs):
        why = next((pair.new.error for pair in pairs if pair.new.error), "no answer")
        return Judged(GateResult(GATE, Verdict.UNKNOWN, f"nothing was measured: {why}", figures))
    if suspected:
        reason = f"{'; '.join(suspected)}: not shown with certainty"
        return Judged(GateResult(GATE, Verdict.UNKNOWN, reason, figures), undecided=True)
    return Judged(GateResult(GATE, Verdict.PASSED, "", figures), undecided=doubtful)


def _figures(pairs: Sequence[Pair]) -> tuple[Figure, ...]:
    new, old = [pair.new for pair in pairs], [pair.old for pair in pairs if pair.old]
    found = [
        _figure("time to first token", "ms", 1000, new, old, MEASURES["time to first token"]),
        _figure("time between tokens", "ms", 1000, new, old, MEASURES["time between tokens"]),
        _figure("time of an answer", "ms", 1000, new, old, lambda times: times.whole),
        _figure("throughput", "tokens/s", 1, new, old, lambda t: t.tokens / t.seconds if t.seconds else None),
        Figure("failed requests", _failed(new), _failed(old) if old else None, _asked(new)),
        Figure("pairs", len(new), None, ""),
    ]  # fmt: skip
    return tuple(each for each in found if each.new is not None)


def _figure(
    name: str, unit: str, factor: float, new: list[Times], old: list[Times], measure: Measure
) -> Figure:
    return Figure(
        name, _median(map(measure, new), factor), _median(map(measure, old), factor), unit
    )


def _median(values: Iterable[float | None], factor: float) -> float | None:
    known = [each for each in values if each]
    return round(factor * median(known), 3) if known else None


def _failed(times: Sequence[Times]) -> int:
    return sum(each.failed for each in times)


def _asked(times: Sequence[Times]) -> str:
    return f"of {sum(each.asked for each in times)}"
