"""The watch: a standby that took over serves from now on, and a replica that hangs is ended."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.hostside.router_lab import REPO, Backend, full_disk, router_socket, until
from tests.hostside.router_site import PATH, Clients, Site
from tests.hostside.test_hang import Running, running
from tests.pace import Pace
from tests.planning.rendered import render_files
from toolkit.planning.routing.edits import with_model
from toolkit.planning.routing.routes import Route, Routes, Target

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import beat
import processes
import takeover
import watch

__all__ = ["running"]


def standing_by(routes: Routes) -> Routes:
    route = routes.of("tiny")
    assert route is not None
    targets = tuple(replace(each, standby=not each.weight) for each in route.targets)
    return with_model(routes, "tiny", targets, created=1)


@pytest.fixture
def watched(site: Site) -> Iterator[watch.Watch]:
    (site.lab.root / "slots").mkdir()
    (site.lab.root / "watch").mkdir()
    site.lab.apply(standing_by(site.lab.routes))
    yield watch.Watch(str(site.lab.root), 2.0, 30.0)


def test_a_slot_that_cannot_be_read_hides_no_other(watched: watch.Watch) -> None:
    slots = Path(watched.root) / "slots"
    for program, text in (
        ("a-blue", '{"model": 5}'),
        ("b-blue", '{"port": "x"}'),
        ("c-blue", "[]"),
    ):
        (slots / program).mkdir()
        (slots / program / "manifest.json").write_text(text)
    assert watched.look() == []


def test_one_reading_of_the_processes_serves_all_replicas(
    watched: watch.Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, children, programs = [], processes.children, ("tiny-blue", "tiny-green")
    for program in programs:
        slot = Path(watched.root) / "slots" / program
        slot.mkdir()
        manifest = {"model": "tiny", "slot": program[5:], "port": 1}
        (slot / "manifest.json").write_text(json.dumps(manifest))
    loads = {("tiny", "blue"): (1, 0), ("tiny", "green"): (1, 0)}
    monkeypatch.setattr(watch.router_view, "loads", lambda _: loads)
    monkeypatch.setattr(processes, "state", lambda *_: {"state": "running", "pid": os.getpid()})
    monkeypatch.setattr(processes, "children", lambda: read.append(1) or children())
    monkeypatch.setattr(watch.hang_of, "_MEASURED", 0.0)
    watched.look()
    # A host may have thousands of them, and the watch looks twice a second.
    assert len(read) == 1
    watched.look()
    assert len(read) == 2


def test_a_standby_that_took_over_serves_and_the_dead_one_stands_by_when_it_is_back(
    site: Site, watched: watch.Watch
) -> None:
    assert watched.look() == []
    before = router_socket.processes(site.lab.directory)["current"]
    clients = Clients(site.lab.port, short=4, streams=0)
    site.blue.stop()
    done: list[str] = until(watched.look)
    assert done == ["the standby of tiny has taken over and serves from now on"]
    facts = site.lab.observe()
    assert {name: each["weight"] for name, each in facts["servers"]["tiny"].items()} == {
        "blue": 0,
        "green": 100,
    }
    assert router_socket.processes(site.lab.directory)["current"] == before
    # an ops machine reads what it would have written itself
    found = Routes.from_json(facts["routes"])
    assert (found.serial, found.routes[0].took_over > 0) == (1, True)
    assert site.files() == render_files(found)
    # no way back without a command
    site.blue = Backend("blue", site.blue.port)
    site.lab.up("tiny", "blue")
    assert {site.slot() for _ in range(20)} == {"green"}
    assert [watched.look() for _ in range(5)] == [[]] * 5
    # and the one that died is the standby now
    site.green.stop()
    until(lambda: site.slot() == "blue")
    # of each client, at most the request that a replica was computing when it ended
    assert sum(count for word, count in clients.stop().items() if word != "short") <= 2 * 4


def test_while_a_command_holds_the_lock_the_routes_stay(
    site: Site, watched: watch.Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch.deployment_lock, "read", lambda _: {"held": True, "owner": {}})
    before = site.files()
    site.blue.stop()
    until(lambda: site.slot() == "green")
    assert [watched.look() for _ in range(6)] == [[]] * 6
    assert site.files() == before


def _up(*names: str) -> dict[str, dict[str, bool]]:
    known = ("blue", "green", "a.blue", "a.green", "b.blue", "b.green")
    return {"tiny": {name: name in names for name in known}}


def _route(*targets: Target) -> dict[str, Any]:
    return Routes((Route("tiny", targets, 7),), serial=4).as_json("a")


ONE = (Target("blue", 8100, 100), Target("green", 8101, standby=True))
TWO = tuple(
    Target(each.slot, each.port, each.weight, host, f"10.0.0.{number}:8090", each.standby)
    for number, host in enumerate("ab")
    for each in ONE
)


@pytest.mark.parametrize(
    ("targets", "up", "taken"),
    [
        pytest.param(ONE, ("blue", "green"), False, id="all is well"),
        pytest.param(ONE, ("green",), True, id="what served is down"),
        pytest.param(ONE, (), False, id="the standby is down too"),
        pytest.param((ONE[0], Target("green", 8101)), ("green",), False, id="no standby: a new release"),
        pytest.param(TWO, ("b.blue", "a.green", "b.green"), False, id="another host serves"),
        pytest.param(TWO, ("a.green", "b.green"), True, id="none serves"),
        pytest.param(TWO, ("a.green",), False, id="this host is cut off"),
    ],
)  # fmt: skip
def test_a_takeover_is_known(targets: tuple[Target, ...], up: tuple[str, ...], taken: bool) -> None:
    assert takeover.taken_over(_route(*targets), _up(*up)) == (["tiny"] if taken else [])


def test_the_routes_after_a_takeover_are_the_same_on_every_host() -> None:
    found = Routes.from_json(takeover.promoted(_route(*TWO), ["tiny"], 99.5))
    assert found.serial == 5
    assert [(each.name, each.weight, each.standby) for each in found.routes[0].targets] == [
        ("a.blue", 0, True), ("a.green", 100, False), ("b.blue", 0, True), ("b.green", 100, False),
    ]  # fmt: skip
    assert found.as_json("a") == takeover.promoted(_route(*TWO), ["tiny"], 99.5)


def test_a_replica_that_hangs_is_out_of_rotation_and_ended(running: Running, pace: Pace) -> None:
    root = running.router.root
    (root / "watch").mkdir()
    seen = watch.Watch(str(root), 1.0, 30.0)
    assert seen.look() == []
    os.kill(running.core, signal.SIGSTOP)
    answers = running.ask(0.0, count=3)
    started = pace()
    done: list[str] = until(lambda: time.sleep(0.2) or seen.look())
    assert pace() - started < 4
    assert done[0].startswith(
        "tiny-blue hangs and is restarted: 3 requests are open, and it did nothing"
    )
    assert running.process.wait(60) == -signal.SIGKILL
    ended = pace()
    until(lambda: answers == [504, 504, 504])
    assert pace() - ended < 2
    assert running.router.ask(PATH, {"model": "tiny"})[0] == 503
    assert json.loads((root / "watch/tiny-blue.json").read_text())["why"] in done[0]
    assert beat.is_heard(str(root))


def test_a_replica_that_hangs_is_ended_where_the_disk_takes_no_writes(running: Running) -> None:
    root = str(running.router.root)
    watched = watch.Watch(root, 1.0, 30.0)
    os.kill(running.core, signal.SIGSTOP)
    running.ask(0.0)
    with full_disk():
        done = until(lambda: [words for words in watched._end_hanging() if "hangs" in words])
    assert done[0].startswith("tiny-blue hangs and is restarted: ")
    assert running.process.wait(60) == -signal.SIGKILL


def test_a_host_without_a_watch_says_so(site: Site) -> None:
    assert not beat.is_heard(str(site.lab.root))


@pytest.mark.parametrize(("age", "heard"), [(-3600, False), (0, True), (40, False)])
def test_a_beat_counts_for_half_a_minute_and_not_from_before_a_clock_was_set_back(
    tmp_path: Path, age: float, heard: bool
) -> None:
    beat.Beat(str(tmp_path)).look()
    then = time.time() - age
    os.utime(tmp_path / "watch/beat", (then, then))
    assert beat.is_heard(str(tmp_path)) is heard


def test_systemd_hears_the_watch_also_where_its_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setattr(beat, "make_own", _no_room)
        with pytest.raises(OSError, match="No space"):
            beat.Beat(str(tmp_path)).look()
        assert systemd.recv(64) == b"WATCHDOG=1"
    # One that is gone, or whose queue is full, is no reason to end.
    monkeypatch.undo()
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    assert beat.Beat(str(tmp_path)).look() == []


def _no_room(root: str, name: str) -> str:
    raise OSError(errno.ENOSPC, "No space left on device")
