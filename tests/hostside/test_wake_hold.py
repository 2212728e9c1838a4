"""A command that starts a replica holds wakes off while it lives, and a wake that has no room does not begin."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.hostside.router_lab import REPO, lab, until
from tests.hostside.router_site import Site
from tests.hostside.warmth_lab import Slot, Watching, ask, sleep_now, slot, wait_for_rest

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import deployment_lock
import wake_hold
import wake_room
import warmth

__all__ = ["lab", "slot"]
GB = 10**9


class Command:
    """A command that holds the deployment lock of a root until it `dies`."""

    def __init__(self, root: Path, token: str = "t1") -> None:
        self.root, self.token = str(root), token
        out, self._pipe = os.pipe()
        self._stream = os.fdopen(out, "rb")
        owner = {"token": token, "command": "toolkit deploy big"}
        request = {"root": self.root, "owner": owner, "silence": 600}
        heard: list[dict[str, Any]] = []
        self._thread = threading.Thread(
            target=lambda: deployment_lock.keep(request, heard.append, self._stream)
        )
        self._thread.start()
        until(lambda: heard == [{"held": True}])

    def hold(self, *, on: bool = True) -> None:
        wake_hold.hold(self.root, self.token, on)

    def dies(self) -> None:
        os.close(self._pipe)
        self._thread.join(30)
        self._stream.close()


@contextmanager
def command(root: Path, token: str = "t1") -> Iterator[Command]:
    made = Command(root, token)
    try:
        yield made
    finally:
        if made._thread.is_alive():
            made.dies()


def held(root: Path) -> str:
    with wake_hold.deciding(str(root)):
        return wake_hold.held(str(root))


def test_wakes_are_held_off_by_the_holder_of_the_lock_alone_and_no_longer(tmp_path: Path) -> None:
    with pytest.raises(deployment_lock.LockLost):
        wake_hold.hold(str(tmp_path), "t1", True)
    with command(tmp_path) as first:
        assert held(tmp_path) == ""
        first.hold()
        assert held(tmp_path) == "toolkit deploy big"
        with pytest.raises(deployment_lock.LockLost):
            wake_hold.hold(str(tmp_path), "t2", False)
        first.hold(on=False)
        first.hold(on=False)
        assert held(tmp_path) == ""
        first.hold()
    # it has died, and the next command has not asked for it
    assert held(tmp_path) == ""
    with command(tmp_path, "t2"):
        assert held(tmp_path) == ""


@pytest.mark.parametrize("ends", ["says so", "dies"])
def test_a_request_that_wants_a_model_waits_until_a_replica_of_another_has_started(
    site: Site, slot: Slot, ends: str
) -> None:
    watching = Watching(site.lab.root)
    found: list[int] = []
    try:
        sleep_now(site, "wait", hold=60)
        wait_for_rest(site)
        with command(site.lab.root) as deploy:
            deploy.hold()
            client = threading.Thread(target=lambda: found.append(ask(site)[0]))
            client.start()
            until(
                lambda: (
                    "tiny is wanted; it wakes once `toolkit deploy big` has started its replica"
                    in watching.said
                )
            )
            watching.look_on()
            assert (slot.runs, found) == (False, [])
            if ends == "dies":
                deploy.dies()
            else:
                deploy.hold(on=False)
            client.join(60)
            assert found == [200]
        until(lambda: "tiny is awake" in watching.said)
    finally:
        watching.stop()


def test_a_request_that_does_not_wait_is_told_to_come_again(site: Site, slot: Slot) -> None:
    watching = Watching(site.lab.root)
    try:
        sleep_now(site, "wake", starts=9)
        wait_for_rest(site)
        with command(site.lab.root) as deploy:
            deploy.hold()
            for _ in range(3):
                status, _, headers = ask(site)
                assert (status, headers["Retry-After"], headers["X-Toolkit-Error"]) == (
                    503, "9", "model_asleep",
                )  # fmt: skip
                watching.look_on(2)
            assert not slot.runs
        until(lambda: ask(site)[0] == 200)
    finally:
        watching.stop()


def test_a_wake_that_has_begun_goes_on(site: Site, slot: Slot) -> None:
    watching = Watching(site.lab.root)
    try:
        sleep_now(site, "wake")
        wait_for_rest(site)
        site.blue.ill = True
        assert ask(site)[0] == 503
        until(lambda: not warmth._is_marked(str(site.lab.root), "tiny-blue"))
        with command(site.lab.root) as deploy:
            deploy.hold()
            until(lambda: ask(site)[0] == 200)
    finally:
        watching.stop()


def test_a_model_without_room_sleeps_on_and_wakes_once_it_has_some(
    site: Site, slot: Slot, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacks = ["9.0 GB of device 0 needed, 2.0 GB free"]
    monkeypatch.setattr(wake_room, "lacking", lambda *_: lacks[0])
    monkeypatch.setattr(warmth, "EACH", 0.3)
    watching = Watching(site.lab.root)
    try:
        sleep_now(site, "wake", starts=9)
        wait_for_rest(site)
        said = f"tiny is wanted; it has no room: {lacks[0]}"
        assert ask(site)[0] == 503
        until(lambda: said in watching.said)
        watching.look_on(7)
        assert (slot.runs, watching.said.count(said)) == (False, 1)
        assert ask(site)[2]["X-Toolkit-Error"] == "model_asleep"
        lacks[0] = ""
        until(lambda: ask(site)[0] == 200)
    finally:
        watching.stop()


def put(root: Path, program: str, memory: int, *devices: int) -> None:
    place = root / "slots" / program
    place.mkdir(parents=True)
    manifest = {"release": {"memory": memory * GB}, "devices": list(devices)}
    (place / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("programs", "starting", "lacks"),
    [
        (["a-blue"], [], ""),
        (["b-blue"], [], "20.0 GB of device 0 needed, 15.0 GB free"),
        # its standby wakes with it
        (["a-blue", "a-green"], [], "20.0 GB of device 0 needed, 15.0 GB free"),
        # another one wakes already, and has taken 4 of its 10 GB
        (["c-blue"], ["a-blue"], ""),
        (["a-blue"], ["a-green"], "10.0 GB of device 0 needed, 9.0 GB free"),
        # each of its devices holds a part
        (["d-blue"], [], "17.0 GB of device 0 needed, 15.0 GB free"),
        # the system's memory, of which the host keeps a part
        (["s-blue"], [], ""),
        (["t-blue"], [], "8.0 GB of memory needed, 7.5 GB free"),
        # nobody knows
        (["e-blue", "f-blue", "g-blue"], ["h-blue"], ""),
    ],
)
def test_what_wakes_together_has_room_or_lacks_some(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    programs: list[str],
    starting: list[str],
    lacks: str,
) -> None:
    for program, memory, *devices in (
        ("a-blue", 10, 0), ("a-green", 10, 0), ("b-blue", 20, 0), ("c-blue", 9, 0), ("d-blue", 34, 0, 1),
        ("s-blue", 7), ("t-blue", 8), ("e-blue", 90, 7),
    ):  # fmt: skip
        put(tmp_path, str(program), int(memory), *devices)
    (tmp_path / "slots/f-blue").mkdir()
    (tmp_path / "slots/f-blue/manifest.json").write_text('{"release": []}')
    devices = [{"index": 0, "memory_free": 15 * GB}, {"index": 1, "memory_free": 30 * GB}]
    monkeypatch.setattr(wake_room.accelerators, "devices", lambda _: ("cuda", devices, ""))
    monkeypatch.setattr(wake_room.accelerators, "makers", list)
    monkeypatch.setattr(wake_room.accelerators, "users", lambda: {77: 4 * GB, 99: 50 * GB})
    monkeypatch.setattr(wake_room.processes, "state", lambda *_: {"pid": 70})
    monkeypatch.setattr(wake_room.processes, "tree", lambda _: [70, 77])
    monkeypatch.setattr(wake_room, "available", lambda: 8 * GB)
    monkeypatch.setattr(wake_room, "SYSTEM_RESERVE", GB // 2)
    assert wake_room.lacking(str(tmp_path), programs, starting) == lacks
