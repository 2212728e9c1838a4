"""A guard on a host whose disk fails: no bad release keeps its traffic, no good one loses it, no verdict is lost."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from pathlib import Path

import pytest

from tests.hostside.guard_lab import Guarded, guard_order
from tests.hostside.router_lab import full_disk, until
from tests.hostside.test_guard import BACK, STAYS, lab, quick, standing

__all__ = ["lab", "quick", "standing"]

FULL = f"guard of tiny: OSError: [Errno {errno.ENOSPC}] {os.strerror(errno.ENOSPC)}"


def withdrawn_in_files(lab: Guarded) -> bool:
    routes = json.loads(Path(lab.root, "router/routes.json").read_text())["routes"]
    return any(each.get("withdrawn") for route in routes for each in route["targets"])


@pytest.mark.parametrize("phase", ["share", "bake"])
def test_a_full_disk_keeps_no_bad_release_in_its_traffic(quick: Guarded, phase: str) -> None:
    quick.begin(phase=phase)
    until(lambda: quick.found()["looked_at"])
    with full_disk():
        quick.fault("500")
        until(lambda: quick.weights() == BACK)
        looks = quick.looks
        until(lambda: quick.looks > looks + 10)
        assert quick.weights() == BACK
        assert (quick.found()["verdict"], withdrawn_in_files(quick)) == (None, False)
    assert quick.verdict()["verdict"] == "failed"
    assert (quick.weights(), withdrawn_in_files(quick)) == (BACK, True)
    assert quick.found()["withdrawn"] == quick.found()["verdict"]["reason"]


@pytest.mark.parametrize("name", ["guard/tiny.found.json", "router/withdrawn.json"])
def test_a_directory_in_the_place_of_a_file_keeps_no_bad_release_in_its_traffic(
    quick: Guarded, name: str
) -> None:
    quick.begin()
    until(lambda: quick.found()["looked_at"])
    place = Path(quick.root, name)
    with quick.turn:
        place.unlink(missing_ok=True)
        place.mkdir()
    quick.fault("500")
    until(lambda: quick.weights() == BACK)
    place.rmdir()
    assert quick.verdict()["verdict"] == "failed"


def test_a_lease_that_ends_on_a_full_disk_gives_the_share_back(quick: Guarded) -> None:
    quick.begin(phase="share")
    until(lambda: quick.found()["looked_at"])
    with full_disk():
        quick.held.update(held=False, owner=None)
        until(lambda: quick.weights() == BACK)
    assert quick.verdict()["reason"].startswith("the lease ended")


def test_a_release_that_passes_on_a_full_disk_keeps_its_traffic(quick: Guarded) -> None:
    quick.begin()
    until(lambda: quick.found()["looked_at"])
    with contextlib.ExitStack() as stack:
        with quick.turn:
            guard_order.wish(quick.root, "tiny", "promote", "ann@ops")
            stack.enter_context(full_disk())
        until(lambda: quick.said.count(FULL) > 5)
    assert quick.verdict()["verdict"] == "passed"
    looks = quick.looks
    until(lambda: quick.looks > looks + 5)
    assert (quick.weights(), quick.found()["withdrawn"]) == (STAYS, "")


def test_what_is_withdrawn_late_on_a_full_disk_is_told_once_there_is_room(quick: Guarded) -> None:
    relieve = quick.fail_alone()
    with full_disk():
        relieve()
        until(lambda: quick.weights() == BACK)
    until(lambda: quick.found()["withdrawn"])
    assert withdrawn_in_files(quick)


@pytest.mark.parametrize("text", ["{", json.dumps({"verdict": {"verdict": "well"}}), None])
def test_a_verdict_whose_file_is_lost_is_written_anew(quick: Guarded, text: str | None) -> None:
    quick.begin(seconds=0.5)
    verdict = quick.verdict()
    looks = quick.looks
    until(lambda: quick.looks > looks + 3, 60)
    path = Path(quick.root, "guard/tiny.found.json")
    path.unlink() if text is None else path.write_text(text)
    assert quick.verdict() == verdict
    words = "what the guard of tiny found was lost and is written anew"
    until(lambda: quick.said[-1:] == [words], 60)
