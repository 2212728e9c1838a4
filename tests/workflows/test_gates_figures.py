"""The gates of figures, run against replicas in memory: speed and health."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.workflows.test_gates import NEW, OLD, host
from toolkit.adapters.fakes.host import FakeHost
from toolkit.adapters.hosts.client import Report
from toolkit.domain.gates.guard import Benchmarks, Guard, Score, Speed
from toolkit.domain.gates.verdict import GateResult, Verdict
from toolkit.domain.hosts.facts import ProcessState
from toolkit.domain.registry.release_parts import Check
from toolkit.domain.replicas.answers import Answer, Pair, PairsWanted, Times, Vitals
from toolkit.errors import SourceError
from toolkit.workflows.guard.gates import run_gates
from toolkit.workflows.guard.replicas import GatedReplica

ASKED = Guard(speed=Speed(pairs=20))


def found(at: FakeHost, guard: Guard, old: GatedReplica | None = OLD) -> dict[str, GateResult]:
    return {each.gate: each for each in run_gates(at, guard, NEW, old, lambda _: None)}


class Slow(FakeHost):
    """Its new replica takes twice the time; it counts the pairs."""

    taken = 0

    def pairs(self, wanted: PairsWanted, report: Report) -> tuple[Pair, ...]:
        self.taken += wanted.pairs
        times = [Times(each / 2, each / 9, each, each, 10, 0, 1) for each in (2.0, 1.0)]
        return (Pair(*times),) * wanted.pairs


def slow() -> Slow:
    return Slow(says=lambda version, _: "hello", facts=host(lambda *_: "").facts)


def test_an_equally_fast_release_passes_after_the_first_pairs() -> None:
    at = host(lambda version, _: "hello")
    result = found(at, ASKED)["speed"]
    assert (result.verdict, result.reason) == (Verdict.PASSED, "")
    assert {each.name: each.new for each in result.figures}["pairs"] == 20


def test_a_slow_release_gets_more_pairs_until_they_decide() -> None:
    at = slow()
    results = found(at, ASKED)
    assert results["speed"].verdict is Verdict.FAILED
    assert results["speed"].reason.startswith("time to first token: 2 times")
    # Nothing comes after a gate that failed.
    assert "health" not in results
    assert at.taken == 60


@pytest.mark.parametrize("count", [5, 12])
def test_few_pairs_are_no_way_past_the_gate(count: int) -> None:
    at = slow()
    result = found(at, Guard(speed=Speed(pairs=count)))["speed"]
    assert result.verdict is Verdict.FAILED
    assert 50 <= at.taken <= 75


def test_speed_is_a_gate_where_the_guard_asks_for_it() -> None:
    at = slow()
    assert found(at, Guard()).keys() == {"shape", "health"}
    assert at.taken == 0


def test_without_a_serving_release_the_times_are_figures() -> None:
    at = host(lambda version, _: "hello")
    results = found(at, ASKED, None)
    assert results["speed"].verdict is Verdict.PASSED
    assert results["health"].verdict is Verdict.PASSED


class Restarting(FakeHost):
    """Its new replica ends at the first pair, and its process supervisor starts it again."""

    def pairs(self, wanted: PairsWanted, report: Report) -> tuple[Pair, ...]:
        (slot,) = (each for each in self.facts.slots if each.slot == NEW.slot)
        others = tuple(each for each in self.facts.slots if each.slot != NEW.slot)
        self.facts = replace(self.facts, slots=(*others, replace(slot, started_at=99.0)))
        return super().pairs(wanted, report)

    def vitals(self, program: str, port: int, log: str = "") -> Vitals:
        lines = ("RuntimeError: out of luck",) if log and port == NEW.port else ()
        return replace(super().vitals(program, port, log), lines=lines)


def test_a_replica_that_was_restarted_meanwhile_fails_with_its_words() -> None:
    at = Restarting(says=lambda *_: "hello", facts=host(lambda *_: "").facts)
    result = found(at, ASKED)["health"]
    assert (result.verdict, result.reason) == (
        Verdict.FAILED,
        "its process ended: RuntimeError: out of luck",
    )


@pytest.mark.parametrize("state", [ProcessState.FAILED, ProcessState.STOPPED])
def test_a_replica_that_no_longer_runs_fails(state: ProcessState) -> None:
    at = host(lambda version, _: "hello")
    (blue, green) = at.facts.slots
    at.facts = replace(at.facts, slots=(blue, replace(green, process=state)))
    assert found(at, Guard())["health"].reason == "its process ended"


class Scorer:
    """It asks each replica once; the answer of the new one is wrong."""

    def scores(
        self,
        benchmarks: Benchmarks,
        model: str,
        ask: Callable[[str, Mapping[str, Any]], Answer],
        say: Callable[[str], None],
        *,
        chat: bool = True,
    ) -> tuple[Score, ...]:
        answer = ask("/v1/chat/completions", {"messages": [], "model": model})
        marks = {str(each): float("v1" in answer.body) for each in range(20)}
        return (Score("sums", "exact_match", sum(marks.values()) / 20, marks),)


class Offline(Scorer):
    """It cannot be installed."""

    def scores(self, *_: Any, **more: Any) -> tuple[Score, ...]:
        raise SourceError("lm-eval cannot be installed: no index")


TASKS = Guard(benchmarks=Benchmarks(("sums.yaml",)))


def scored(scorer: Scorer | None, new: GatedReplica = NEW) -> GateResult:
    at = host(lambda version, _: version)
    opened = None if scorer is None else lambda: scorer
    return run_gates(at, TASKS, new, OLD, lambda _: None, opened)[-1]


def test_benchmarks_ask_both_releases() -> None:
    result = scored(Scorer())
    assert (result.gate, result.verdict) == ("benchmarks", Verdict.FAILED)
    assert (result.figures[0].new, result.figures[0].old) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("scorer", "reason"),
    [
        (Offline(), "lm-eval cannot be installed: no index"),
        (None, "this command runs no benchmarks"),
    ],
)
def test_benchmarks_that_cannot_run_tell_nothing(scorer: Scorer | None, reason: str) -> None:
    result = scored(scorer)
    assert (result.verdict, result.reason) == (Verdict.UNKNOWN, reason)


def test_benchmarks_ask_for_texts() -> None:
    check = Check(prompt="a", contains="", kind="embedding")
    vectors = replace(NEW, release=replace(NEW.release, checks=(check,)))
    result = scored(Scorer(), vectors)
    assert result.verdict is Verdict.UNKNOWN
    assert "a model of kind embedding" in result.reason
