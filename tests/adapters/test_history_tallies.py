"""What hosts counted by the hour, in the history: on SQLite and on PostgreSQL, each part of a ledger once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.adapters.test_history_use import CHUNK, LEDGER, SECOND
from toolkit.adapters.history.history import History
from toolkit.domain.clients.tally import Tally, WatchedHour

TALLY = Tally(498_611, "gpu-1", "tiny", "1.0", 3, {"200": 5, "503:no_replica": 1})


def test_counts_of_an_hour_add_up_and_a_part_that_comes_twice_counts_once(history: History) -> None:
    other = replace(TALLY, counts={"200": 2, "first<=0.5": 7})
    first = replace(CHUNK, tallies=(TALLY,), watched=(WatchedHour(498_611, "gpu-1", 600.0),))
    second = replace(
        SECOND,
        tallies=(other, replace(TALLY, hour=498_612, model="poet")),
        watched=(WatchedHour(498_611, "gpu-1", 60.5),),
    )
    assert first.end.ledger == LEDGER
    assert history.add_use(first)
    assert not history.add_use(first)
    assert history.add_use(second)
    found, watched = history.tallies(498_611, 498_612, ["tiny", "poet"])
    assert found == (
        replace(TALLY, counts={"200": 7, "503:no_replica": 1, "first<=0.5": 7}),
        replace(TALLY, hour=498_612, model="poet"),
    )
    assert watched == (WatchedHour(498_611, "gpu-1", 660.5),)


def test_seconds_in_which_models_slept_add_up_by_host(history: History) -> None:
    slept = replace(TALLY, version="", release=0, counts={"asleep": 600, "503:model_asleep": 2})
    tallies = (
        TALLY,
        slept,
        replace(slept, hour=498_612),
        replace(slept, model="poet", hour=498_700),
    )
    history.add_use(replace(CHUNK, tallies=tallies))
    assert history.asleep(498_611, 498_699) == {("gpu-1", "tiny"): 1200}
    assert history.asleep(0, 498_610) == {}


def test_hours_and_models_that_are_not_asked_for_are_not_told(history: History) -> None:
    history.add_use(
        replace(CHUNK, tallies=(TALLY,), watched=(WatchedHour(498_611, "gpu-1", 600.0),))
    )
    assert history.tallies(498_612, 498_700, ["tiny"]) == ((), ())
    assert history.tallies(498_611, 498_611, ["poet"])[0] == ()


def test_a_host_is_believed_known_counts_alone() -> None:
    from toolkit.adapters.hosts.use import chunk_from_json

    place = {"file": 0, "offset": 0}
    data = {
        "ledger": LEDGER, "start": place, "end": {"file": 1, "offset": 9}, "rows": [], "runs": [], "refused": 0,
        "before": None, "more": False, "watched": [[498_611, 99_999.0]],
        "tallies": [[498_611, "tiny", "", 0, {
            "200": 1, "503:no_replica": 2, "gap<=0.005": 3, "gone<=inf": 4, "\u00b2\u00b2\u00b2": 5, "first<=1.2.3": 6,
            "999": 7, "later": 8,
        }]],
    }  # fmt: skip
    found = chunk_from_json("gpu1", data)
    assert found.tallies[0].counts == {
        "200": 1,
        "503:no_replica": 2,
        "gap<=0.005": 3,
        "gone<=inf": 4,
    }
    assert found.watched == (WatchedHour(498_611, "gpu1", 3600.0),)
    for wrong in (
        [["x", "tiny", "", 0, {}]],
        [[1, "tiny", "", 0, {"200": -1}]],
        [[1, "tiny", "", 0]],
    ):
        with pytest.raises((ValueError, TypeError)):
            chunk_from_json("gpu1", {**data, "tallies": wrong})
