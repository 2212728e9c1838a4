"""The gate `health` finds what the other gates did to a replica: an end, growth, a small cache, errors in its log."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.planning.facts import release
from toolkit.domain.gates.guard import Tolerance
from toolkit.domain.gates.verdict import GateResult, Verdict
from toolkit.domain.replicas.answers import Vitals
from toolkit.planning.guard.health import Watched, judge

GIB = 2**30
CACHE = 'vllm:cache_config_info{{block_size="16",engine="0",num_gpu_blocks="{}"}} 1.0'
WELL = Vitals("running", 7, 100.0, 2 * GIB, None, 0.0, (CACHE.format(1000),), "1:0")
NOISE = (
    "INFO 11-26 10:00:00 [x.py:1] all is well",
    "(EngineCore pid=3) WARNING 11-26 10:00:00 [y.py:2] slow",
)
REFUSED = ("ERROR 11-26 10:00:00 [serving.py:9] Error in it", "ValueError: no such tool")
BROKEN = ("(EngineCore pid=3) ERROR 11-26 10:00:00 [core.py:9] RuntimeError: shapes differ",)


def judged(
    old: dict[str, Any] | None = None, of: int = 2, began: Vitals = WELL, **new: Any
) -> GateResult:
    """Return the verdict where these fields of the replicas' vitals are others after the gates."""
    mine = Watched(release(of), began, replace(WELL, **new))
    theirs = None if old is None else Watched(release(1), WELL, replace(WELL, **old))
    return judge(mine, theirs, Tolerance())


@pytest.mark.parametrize("old", [None, {}])
def test_a_replica_that_stays_as_it_is_passes(old: dict[str, Any] | None) -> None:
    result = judged(old, lines=NOISE)
    assert (result.verdict, result.reason) == (Verdict.PASSED, "")
    figures = {each.name: (each.new, each.old) for each in result.figures}
    beside = (lambda value: None) if old is None else (lambda value: value)
    assert figures == {
        "restarts": (0, beside(0)),
        "memory": (2048, beside(2048)),
        "memory growth": (1, beside(1)),
        "cache": (16000, beside(16000)),
        "preemptions": (0, beside(0)),
        "errors in its log": (0, beside(0)),
    }


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        ({"pid": 8, "lines": BROKEN}, "its process ended: RuntimeError: shapes differ"),
        ({"state": "failed", "pid": 0, "memory": 0}, "its process ended"),
        ({"started_at": 130.0}, "its process ended"),
        ({"memory": 4 * GIB}, "its memory grew from 2048 to 4096 MiB while gates asked, 2.00 times"),
        ({"cache": (CACHE.format(400),)}, "its cache holds 6400 tokens, that of the serving release 16000"),
        ({"preemptions": 5.0}, "5 requests lost their place in its cache"),
        ({"lines": (*NOISE, *BROKEN)}, "its log has what the serving release's has not: RuntimeError: shapes differ"),
    ],
)  # fmt: skip
def test_a_sick_replica_fails_with_its_reason(after: dict[str, Any], reason: str) -> None:
    result = judged({}, **after)
    assert (result.verdict, result.reason) == (Verdict.FAILED, reason)


@pytest.mark.parametrize(
    ("after", "old"),
    [
        ({"memory": 2 * GIB + 2**27}, {}),
        ({"started_at": 101.0}, {}),
        ({"lines": REFUSED}, {"lines": REFUSED}),
        ({"preemptions": 5.0}, {"preemptions": 4.0}),
        ({"preemptions": 2.0}, {}),
        ({"preemptions": None, "cache": ()}, {}),
        ({"cache": (CACHE.format(10),)}, {"cache": ()}),
    ],
)
def test_a_replica_as_well_as_the_serving_one_passes(
    after: dict[str, Any], old: dict[str, Any]
) -> None:
    assert judged(old, **after).verdict is Verdict.PASSED


def test_a_small_replica_may_double() -> None:
    small = replace(WELL, memory=2**27)
    assert judged({}, began=small, memory=2**28).verdict is Verdict.PASSED


def test_other_arguments_explain_another_cache() -> None:
    mine = Watched(
        replace(release(2), args=("--x",)), WELL, replace(WELL, cache=(CACHE.format(9),))
    )
    assert judge(mine, Watched(release(1), WELL, WELL), Tolerance()).verdict is Verdict.PASSED


def test_without_a_serving_release_lines_of_a_log_are_a_figure() -> None:
    result = judged(None, lines=BROKEN)
    assert result.verdict is Verdict.PASSED
    assert {each.name: each.new for each in result.figures}["errors in its log"] == 1
