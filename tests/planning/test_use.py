"""Sums over use, and records beside the engines' counters."""

from __future__ import annotations

from dataclasses import replace

import pytest

from toolkit.domain.clients.use import Counted, LedgerSums, UseRow, UseRun
from toolkit.planning.use.elsewhere import MOST_LEDGERS, joined
from toolkit.planning.use.reconciled import Reconciled, reconciled
from toolkit.planning.use.totals import columns, total

ROW = UseRow(
    "2026-11-27", "gpu-1", "ann", "tiny", "v1", 3, 2, 30, 10, 7, 1, 0, "tiny", "whole", 1.5
)
RUN = UseRun(
    "tiny-blue", "a" * 16, "tiny", "v1", 3, "vllm 0.32.0", 100.0, 1, 2, 2, 0, 30, 7, 0,
    Counted(30, 7, 30, 7, 0, 200.0), "gpu-1",
)  # fmt: skip
SUMS = LedgerSums("a" * 16, "2026-11-27", "2026-11", {"ann": (5, 50, 50, 500, 7)})
NEXT_DAY = replace(SUMS, day="2026-11-28", keys={"ann": (1, 1, 51, 501, 8)})
NEXT_MONTH = LedgerSums("a" * 16, "2026-12-01", "2026-12", {})
ROWS = (
    ROW,
    replace(ROW, key="bob", tokens_in=5),
)


def test_the_groups_of_a_person_are_columns() -> None:
    assert columns(("release", "key")) == ("version", "release", "base", "key")
    assert total(ROWS).tokens_in == 35
    assert total(()).requests == 0


def test_records_that_equal_the_counters_leave_no_difference() -> None:
    assert reconciled([RUN]) == (
        Reconciled("tiny", "v1", 3, 1, 0, 2, 0, 0, 30, 7, 30, 7, 0, 200.0),
    )
    (found,) = reconciled([RUN])
    assert (found.difference_in, found.difference_out, found.exact) == (0, 0, True)


@pytest.mark.parametrize(
    ("counted", "difference"),
    [
        pytest.param(Counted(40, 7, 30, 7, 1, 200.0), (10, 0), id="a record is missing"),
        pytest.param(Counted(30, 7, 30, 9, 0, 200.0), (0, -2), id="a record too many"),
    ],
)
def test_a_difference_is_the_engines_less_the_records(
    counted: Counted, difference: tuple[int, int]
) -> None:
    (found,) = reconciled([replace(RUN, counted=counted)])
    assert (found.difference_in, found.difference_out) == difference
    assert not found.exact


def test_runs_of_a_release_are_one_and_releases_are_in_order() -> None:
    other = replace(RUN, run="b" * 16, counted=None, missing=2, unknown=1, started=300.0)
    newer = replace(RUN, run="c" * 16, release=4)
    wide = replace(RUN, model="apart")
    found = reconciled([newer, RUN, other, wide])
    assert [(each.model, each.release, each.runs, each.silent) for each in found] == [
        ("apart", 3, 1, 0),
        ("tiny", 3, 2, 1),
        ("tiny", 4, 1, 0),
    ]
    # A run without counters has its records, and no part in the comparison.
    assert (found[1].records, found[1].asked, found[1].missing, found[1].unknown) == (4, 30, 2, 1)


def test_a_model_and_a_time_choose_among_runs() -> None:
    newer = replace(RUN, release=4, counted=Counted(1, 1, 1, 1, 0, 900.0))
    assert [each.release for each in reconciled([RUN, newer], since=201.0)] == [4]
    assert reconciled([RUN], model="other") == ()


@pytest.mark.parametrize(
    ("other", "today", "wanted"),
    [
        pytest.param(SUMS, "2026-11-27", SUMS, id="twice the same"),
        pytest.param(
            replace(SUMS, keys={"ann": (4, 60, 50, 600, 9), "bob": (1, 1, 1, 1, 1)}),
            "2026-11-27",
            replace(SUMS, keys={"ann": (5, 60, 50, 600, 9), "bob": (1, 1, 1, 1, 1)}),
            id="the larger sum",
        ),
        pytest.param(NEXT_DAY, "2026-11-28", NEXT_DAY, id="a new day"),
        pytest.param(NEXT_DAY, "2026-12-05", NEXT_DAY, id="a former day"),
        pytest.param(
            NEXT_DAY,
            "2026-11-27",
            replace(SUMS, keys={"ann": (5, 50, 51, 501, 8)}),
            id="a clock a day ahead",
        ),
        pytest.param(
            NEXT_MONTH,
            "2026-12-01",
            replace(NEXT_MONTH, keys={"ann": (0, 0, 0, 0, 0)}),
            id="a new month",
        ),
        pytest.param(NEXT_MONTH, "2026-11-30", SUMS, id="a clock a month ahead"),
        pytest.param(NEXT_MONTH, "2026-10-01", SUMS, id="the clock of the ops machine is behind"),
    ],
)
def test_of_two_statements_about_a_ledger_the_larger_sums_are_right(
    other: LedgerSums, today: str, wanted: LedgerSums
) -> None:
    assert joined((SUMS, other), today) == joined((other, SUMS), today) == (wanted,)


def test_ledgers_are_told_apart_by_their_identity() -> None:
    second = replace(SUMS, ledger="b" * 16)
    assert joined((second, SUMS, second), SUMS.day) == (SUMS, second)
    assert joined((), SUMS.day) == ()


def test_invented_ledgers_push_out_none_of_which_several_hosts_tell() -> None:
    # More than hosts take at once: one that was taken over tells of 300 others.
    lies = [replace(SUMS, ledger=f"{number:016x}") for number in range(300)]
    true = [replace(SUMS, ledger=f"f{number:015x}") for number in range(3)]
    found = joined((*lies, *true, *true), SUMS.day)
    assert len(found) == MOST_LEDGERS
    assert [each for each in found if each in true] == true
    assert [each.ledger for each in found] == sorted(each.ledger for each in found)
