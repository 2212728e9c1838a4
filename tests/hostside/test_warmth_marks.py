"""What the marks of sleeping replicas mean to their starts, to the watch and to commands."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.hostside.router_lab import REPO, lab, router_socket, until
from tests.hostside.router_pair import pair
from tests.hostside.router_site import Site
from tests.hostside.warmth_lab import Slot, Watching, ask, sleep_now, slot, wait_for_rest
from tests.planning.rendered import render_files
from toolkit.planning.routing.routes import Route, Routes, Target

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import resting
import warmth

__all__ = ["lab", "pair", "slot"]


def test_a_replica_that_rests_rests_on_while_a_start_finds_its_mark(site: Site, slot: Slot) -> None:
    script = slot.place / "run"
    # The start of a loaded host takes its time before it waits.
    script.write_text(script.read_text().replace("then exec", "then sleep 0.5; exec"))
    watching = Watching(site.lab.root)
    try:
        sleep_now(site, "wait")
        wait_for_rest(site)
        while warmth.processes.command_line(slot.child.pid) != ["sleep", "infinity"]:
            assert resting.rests(str(site.lab.root), "tiny-blue")
        # A mark alone does not make an engine rest, be it of a toolkit that named no process.
        watching.stop()
        mark = site.lab.root / "watch/asleep/tiny-blue"
        mark.unlink()
        slot.child.terminate()
        until(lambda: slot.runs)
        assert not resting.rests(str(site.lab.root), "tiny-blue")
        mark.touch()
        assert not resting.rests(str(site.lab.root), "tiny-blue")
        mark.write_text(warmth.processes.identity(slot.child.pid))
        assert not resting.rests(str(site.lab.root), "tiny-blue")
    finally:
        watching.stop()


def test_routes_of_a_command_that_knew_of_no_waking_put_nothing_back_to_sleep(
    site: Site, slot: Slot
) -> None:
    watching = Watching(site.lab.root)
    try:
        sleep_now(site, "wake")
        stale = site.lab.routes
        wait_for_rest(site)
        ask(site)
        until(lambda: ask(site)[0] == 200)
        until(lambda: "tiny is awake" in watching.said)
        starts = slot.starts
        site.lab.apply(replace(stale, serial=stale.serial + 9))
        until(lambda: ask(site)[0] == 200)
        assert (slot.starts, slot.runs) == (starts, True)
    finally:
        watching.stop()


def test_a_check_that_fails_once_does_not_wake_a_replica_that_drains(
    site: Site, slot: Slot, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = iter([False])
    monkeypatch.setattr(
        warmth.takeover, "seen_up", lambda _: {"tiny": {"blue": next(checks, True), "green": False}}
    )
    sleep_now(site, "wait")
    watching = Watching(site.lab.root)
    try:
        wait_for_rest(site)
    finally:
        watching.stop()
    assert not any("wakes" in words for words in watching.said)


def test_a_mark_without_a_sleep_goes_and_its_replica_runs(site: Site, slot: Slot) -> None:
    sleep_now(site, "wait")
    watching = Watching(site.lab.root)
    wait_for_rest(site)
    watching.stop()
    # a command that was killed between two of its changes, or another toolkit: the routes say that blue serves
    site.shift(blue=0)
    awake = Routes(
        (
            Route(
                "tiny", (Target("blue", site.blue.port, 100), Target("green", site.green.port)), 1
            ),
        ),
        50,
    )
    for name, text in render_files(awake).items():
        Path(site.lab.directory, name).write_text(text)
    assert not slot.runs
    warmth.Warmth(str(site.lab.root)).look()
    until(lambda: slot.runs)
    assert not (site.lab.root / "watch/asleep/tiny-blue").exists()


def test_a_slot_whose_start_looks_for_no_mark_is_left_alone(site: Site, slot: Slot) -> None:
    (site.lab.root / "slots/tiny-blue/run").write_text("#!/bin/sh\nexec sleep 600\n")
    sleep_now(site, "wait")
    looking = warmth.Warmth(str(site.lab.root))
    assert [looking.look() for _ in range(5)] == [[]] * 5
    assert (slot.runs, slot.starts) == (True, 1)
    assert router_socket.processes(site.lab.directory)["current"]
