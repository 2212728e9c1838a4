"""The bell of the watch."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

from tests.hostside.router_lab import REPO

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import bell


def test_a_ring_ends_the_rest_of_the_newest_watch(tmp_path: Path) -> None:
    root = str(tmp_path)
    bell.Bell(root)
    rung = bell.Bell(root)
    # Longer than a wait may last; a ring that is lost leaves the test at its time-out.
    far = time.monotonic() + 10_000
    bell.ring(root)
    assert rung.rest(far) < far
    late = threading.Timer(0.1, bell.ring, (root,))
    late.start()
    assert rung.rest(far) < far
    late.join()


def test_a_rest_ends_at_its_time_and_rings_before_it_are_one(tmp_path: Path) -> None:
    rung = bell.Bell(str(tmp_path))
    for _ in range(3):
        bell.ring(str(tmp_path))
    far = time.monotonic() + 10_000
    assert rung.rest(far) < far
    soon = time.monotonic() + 0.05
    assert rung.rest(soon) >= soon
    assert rung.rest(soon) >= soon


def test_a_ring_that_no_watch_hears_does_nothing(tmp_path: Path) -> None:
    bell.ring(str(tmp_path))
    place = tmp_path / "watch"
    place.mkdir()
    (place / "bell").write_text("a file")
    bell.ring(str(tmp_path))
    assert (place / "bell").read_text() == "a file"
    rung = bell.Bell(str(tmp_path))
    bell.ring(str(tmp_path))
    far = time.monotonic() + 10_000
    assert rung.rest(far) < far


def test_a_watch_whose_disk_takes_no_bell_rests_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "watch/bell").mkdir(parents=True)
    rung, soon = bell.Bell(str(tmp_path)), time.monotonic() + 0.05
    bell.ring(str(tmp_path))
    assert rung.rest(soon) >= soon
