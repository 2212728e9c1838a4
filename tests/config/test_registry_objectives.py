"""The part `objectives` of a model: what it promises, and how each fault in it is refused with its line."""

# One row of a table is one line, however long.
# ruff: noqa: E501

from __future__ import annotations

from pathlib import Path

import pytest

from tests.config.test_registry_guard import HEAD, TAIL
from toolkit.config.registry.reading import load_registry
from toolkit.domain.clients.tally import FIRST, GAP
from toolkit.domain.registry.objective import Objective, Objectives, Promise
from toolkit.errors import InputError


def promised(tmp_path: Path, objectives: str) -> Objectives | None:
    file = tmp_path / "model_registry.yaml"
    file.write_text(f"{HEAD}{objectives}{TAIL}", "utf-8")
    return load_registry(file).model("tiny").objectives


def test_a_model_promises_nothing_by_itself(tmp_path: Path) -> None:
    assert promised(tmp_path, "") is None


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("{availability: 99.5%}", Objectives(28, (Objective(Promise.AVAILABILITY, 0.995),))),
        ("{window: 4w, first_token: {target: 95 %, under: 2s}}", Objectives(28, (Objective(Promise.FIRST, 0.95, 2.0),))),
        ("{window: 7d, first_token: {target: 95%, under: 500ms}, between_tokens: {target: 99%, under: 50 ms}}", Objectives(7, (Objective(Promise.FIRST, 0.95, 0.5), Objective(Promise.BETWEEN, 0.99, 0.05)))),
        ("{first_token: {target: 0.1%, under: 2min}}", Objectives(28, (Objective(Promise.FIRST, 0.001, 120.0),))),
    ],
)  # fmt: skip
def test_objectives_are_shares_of_requests_over_a_window(
    tmp_path: Path, written: str, meant: Objectives
) -> None:
    found = promised(tmp_path, f"    objectives: {written}\n")
    assert found is not None
    assert found.days == meant.days
    assert [(each.promise, round(each.target, 9), each.under) for each in found.each] == [
        (each.promise, each.target, each.under) for each in meant.each
    ]


@pytest.mark.parametrize(
    ("written", "words", "hint"),
    [
        ("{availability: 100%}", "leaves no budget", "such as 99.9%"),
        ("{availability: 120%}", "leaves no budget", "99.9%"),
        ("{availability: 0%}", "promises nothing", "more than 0%"),
        ("{availability: -1%}", "promises nothing", "more than 0%"),
        ("{availability: 0.995}", "no share of requests", "in percent"),
        ("{availability: 99.5 percent}", "no share of requests", "in percent"),
        ("{availability: 99%, window: 91d}", "1 to 90 days", "28d"),
        ("{availability: 99%, window: 0d}", "1 to 90 days", "28d"),
        ("{availability: 99%, window: 1mo}", "no window", "28d, 4w"),
        ("{availability: 99%, window: 28}", "no window", "28d, 4w"),
        ("{window: 28d}", "without an objective", "availability"),
        ("{first_token: {target: 95%}}", "under", ""),
        ("{first_token: {target: 95%, under: 2}}", "no time", "2s"),
        ("{first_token: {target: 95%, under: -2s}}", "no time", "2s"),
        ("{first_token: {target: 95%, under: 2h}}", "no time", "2s"),
        ("{first_token: {target: 95%, under: 1.7s}}", "do not count at '1.7s'", "1.5 s or 2 s"),
        ("{first_token: {target: 95%, under: 10min}}", "do not count at", "300 s"),
        ("{between_tokens: {target: 95%, under: 1ms}}", "do not count at", "5 ms"),
        ("{throughput: 99%}", "throughput", ""),
    ],
)  # fmt: skip
def test_a_fault_is_refused_with_its_line(
    tmp_path: Path, written: str, words: str, hint: str
) -> None:
    with pytest.raises(InputError) as caught:
        promised(tmp_path, f"    objectives: {written}\n")
    assert words in caught.value.message
    assert "model_registry.yaml:8:" in caught.value.message
    assert hint in caught.value.hint


def test_hosts_count_at_the_bounds_that_a_registry_may_name() -> None:
    import sys

    from tests.hostside.router_lab import REPO

    sys.path.insert(0, str(REPO / "toolkit/hostside"))
    import tally

    assert (tally.FIRST, tally.GAP) == (FIRST, GAP)
