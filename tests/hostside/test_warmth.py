"""A model sleeps and wakes at a real router: by its clients, without a command."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.hostside.router_lab import REPO, Backend, lab, router_socket, until
from tests.hostside.router_site import PATH, Site
from tests.hostside.test_router_fleet import Pair, pair
from tests.pace import Pace
from toolkit.planning.routing.edits import with_model, with_sleep, with_wake
from toolkit.planning.routing.files import render_files
from toolkit.planning.routing.routes import Alternate, Route, Routes, Sleep, Target

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import alternates
import warmth

__all__ = ["lab", "pair"]


class Slot:
    """A slot whose start is the role's own for hosts without systemd, in short, with a process supervisor's loop."""

    def __init__(
        self, root: Path, backend: Backend, monkeypatch: pytest.MonkeyPatch, model: str = "tiny"
    ) -> None:
        self.root, self.backend, self.starts = root, backend, 0
        self.place = place = root / f"slots/{model}-blue"
        place.mkdir(parents=True)
        mark = root / f"watch/asleep/{model}-blue"
        # The engine: what ends by SIGTERM, while the stand-in behind the router is up.
        (place / "run").write_text(
            f"#!/bin/sh\nif [ -e {mark} ]; then exec sleep infinity; fi\nexec sleep 600\n"
        )
        (place / "run").chmod(0o755)
        (place / "manifest.json").write_text(
            json.dumps({"model": model, "slot": "blue", "port": backend.port, "release": {}})
        )
        self.ended, self.child = threading.Event(), self._start()
        # The shell reads its script a moment later: a test may write another one, or look whether the engine runs.
        until(lambda: warmth.processes.command_line(self.child.pid) == ["sleep", "600"])
        before = warmth.processes.state

        def state(root: str, program: str) -> dict[str, Any]:
            if root != str(self.root) or program != f"{model}-blue":
                return before(root, program)
            pid = self.child.pid if self.child.poll() is None else 0
            return {"state": "running" if pid else "failed", "pid": pid, "started_at": None}

        monkeypatch.setattr(warmth.processes, "state", state)
        self.thread = threading.Thread(target=self._supervise, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.ended.set()
        self.thread.join(10)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.child.pid, signal.SIGKILL)
        self.child.wait()

    @property
    def runs(self) -> bool:
        """Whether the engine runs, and not what waits in its place."""
        try:
            line = Path(f"/proc/{self.child.pid}/cmdline").read_bytes()
        except OSError:
            return False
        return line == b"sleep\x00600\x00"

    def _start(self) -> subprocess.Popen[bytes]:
        self.starts += 1
        return subprocess.Popen([self.place / "run"])

    def _supervise(self) -> None:
        while not self.ended.is_set():
            # What the router's checks see follows from the process.
            self.backend.ill = not self.runs
            if self.child.poll() is not None:
                self.child = self._start()
            time.sleep(0.02)


@pytest.fixture
def slot(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slot]:
    (site.lab.root / "watch").mkdir()
    made = Slot(site.lab.root, site.blue, monkeypatch)
    yield made
    made.stop()


class Watching:
    """The part of the watch in question, which looks as often as the watch does."""

    def __init__(self, root: Path) -> None:
        self.warmth, self.said, self.ended = warmth.Warmth(str(root)), [""], threading.Event()
        self.thread = threading.Thread(target=self._look, daemon=True)
        self.thread.start()

    def _look(self) -> None:
        parts = self.warmth.look, lambda: warmth.reweigh.tell_again(self.warmth.root)
        while not self.ended.wait(0.1):
            for part in parts:
                try:
                    self.said += part()
                except Exception as error:
                    # As in the watch: a router that answers late is told again, and looks go on.
                    self.said.append(f"{type(error).__name__}: {error}")

    def stop(self) -> None:
        self.ended.set()
        self.thread.join(10)


def sleep_now(site: Site, policy: str, hold: int = 0, starts: int = 30) -> None:
    site.lab.apply(with_sleep(site.lab.routes, "tiny", Sleep("a1", policy, starts), hold))


def wait_for_rest(site: Site) -> None:
    until(lambda: warmth.rests(str(site.lab.root), "tiny-blue"))


def ask(site: Site, path: str = PATH) -> tuple[int, Any, Any]:
    return site.lab.ask(path, {"model": "tiny", "max_tokens": 1, "messages": []})


def test_a_model_falls_asleep_once_its_requests_have_ended_and_wakes_for_the_one_that_waits(
    site: Site, slot: Slot, pace: Pace
) -> None:
    watching = Watching(site.lab.root)
    try:
        stream: list[Any] = []
        body = {"model": "tiny", "gated": True}
        running = threading.Thread(target=lambda: stream.append(site.lab.ask(PATH, body)))
        running.start()
        until(lambda: site.lab.observe()["servers"]["tiny"]["blue"]["sessions"] == 1)
        sleep_now(site, "wait", hold=60)
        time.sleep(0.4)
        assert slot.runs
        site.blue.turns.release()
        running.join(60)
        assert stream[0][0] == 200
        wait_for_rest(site)
        assert not slot.runs
        # It takes no restart of the host's units, and a restart of the watch changes nothing.
        until(lambda: slot.starts == 2)
        before = slot.starts
        watching.stop()
        watching = Watching(site.lab.root)
        time.sleep(0.5)
        assert (slot.starts, slot.runs) == (before, False)
        began = pace()
        status, answer, _ = ask(site)
        assert (status, answer["slot"]) == (200, "blue")
        assert pace() - began < 6
        until(lambda: "tiny is awake" in watching.said)
        assert any(
            words.startswith("tiny wakes: a start usually takes 30 s") for words in watching.said
        )
        found = Routes.from_json(site.lab.observe()["routes"]).routes[0]
        assert (found.sleep, found.hold, found.weight("blue")) == (None, 0, 100)
        # a second one waits for nothing
        assert ask(site)[0] == 200
    finally:
        watching.stop()


def test_a_replica_that_rests_rests_on_while_a_start_finds_its_mark(site: Site, slot: Slot) -> None:
    script = slot.place / "run"
    # The start of a loaded host takes its time before it waits.
    script.write_text(script.read_text().replace("then exec", "then sleep 0.5; exec"))
    watching = Watching(site.lab.root)
    try:
        sleep_now(site, "wait")
        wait_for_rest(site)
        while warmth.processes.command_line(slot.child.pid) != ["sleep", "infinity"]:
            assert warmth.rests(str(site.lab.root), "tiny-blue")
        # A mark alone does not make an engine rest, be it of a toolkit that named no process.
        watching.stop()
        mark = site.lab.root / "watch/asleep/tiny-blue"
        mark.unlink()
        slot.child.terminate()
        until(lambda: slot.runs)
        assert not warmth.rests(str(site.lab.root), "tiny-blue")
        mark.touch()
        assert not warmth.rests(str(site.lab.root), "tiny-blue")
        mark.write_text(warmth.processes.identity(slot.child.pid))
        assert not warmth.rests(str(site.lab.root), "tiny-blue")
    finally:
        watching.stop()


def test_a_model_that_is_put_to_sleep_while_it_starts_rests_again(site: Site, slot: Slot) -> None:
    watching = Watching(site.lab.root)
    try:
        sleep_now(site, "refuse")
        wait_for_rest(site)
        # A start that does not come to its end.
        script = slot.place / "run"
        script.write_text(script.read_text().replace("exec sleep 600", "exec sleep 601"))
        site.lab.apply(with_wake(site.lab.routes, "tiny", int(time.time()) + 20))
        starting = ["sleep", "601"]
        until(lambda: warmth.processes.command_line(slot.child.pid) == starting)
        site.lab.apply(with_sleep(site.lab.routes, "tiny", Sleep("b2", "refuse", 9), 0))
        wait_for_rest(site)
        time.sleep(0.5)
        assert warmth.processes.command_line(slot.child.pid) == ["sleep", "infinity"]
        (route,) = Routes.from_json(site.lab.observe()["routes"]).routes
        assert route.sleep and (route.sleep.id, route.sleep.due) == ("b2", 0)
    finally:
        watching.stop()


@pytest.mark.parametrize(
    ("path", "shape"),
    [(PATH, {"type": "server_error"}), ("/v1/messages", {"type": "overloaded_error"})],
)
def test_a_refusal_says_when_the_model_is_up_and_wakes_it_or_not(
    site: Site, slot: Slot, path: str, shape: dict[str, str]
) -> None:
    watching = Watching(site.lab.root)
    try:
        sleep_now(site, "refuse", starts=42)
        wait_for_rest(site)
        status, answer, headers = ask(site, path)
        assert (status, headers["Retry-After"], headers["X-Toolkit-Error"]) == (
            503,
            "42",
            "model_asleep",
        )
        assert answer["error"]["message"] == "This model sleeps; its operator wakes it."
        assert answer["error"]["type"] == shape["type"]
        time.sleep(0.5)
        assert not slot.runs
        # a command wakes it: now the answer says when
        due = int(time.time()) + 20
        site.lab.apply(with_wake(site.lab.routes, "tiny", due))
        most = due - time.time()
        seconds = int(ask(site, path)[2]["Retry-After"] or 0)
        least = due - time.time()
        said = ask(site, path)[1]
        assert "error" not in said or "sleeps and is being started" in said["error"]["message"]
        # The clock of a router may be a second late.
        assert least - 1 <= seconds <= most + 2 or ask(site, path)[0] == 200
        until(lambda: ask(site, path)[0] == 200)
        # What the watch writes last would come from the routes before those of the next sleep.
        until(lambda: "tiny is awake" in watching.said)
        site.lab.routes = Routes.from_json(site.lab.observe()["routes"])
        # another sleep, whose requests are refused and wake it
        site.lab.apply(with_sleep(site.lab.routes, "tiny", Sleep("b2", "wake", 9), 0))
        wait_for_rest(site)
        status, answer, headers = ask(site, path)
        assert (status, headers["Retry-After"]) == (503, "9")
        assert answer["error"]["message"].startswith("This model sleeps and was asked to wake;")
        until(lambda: ask(site, path)[0] == 200)
    finally:
        watching.stop()


def test_two_models_share_a_device_by_sleeping_in_turn_and_a_busy_one_is_left_alone(
    site: Site, slot: Slot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alternates, "QUIET", 0.6)
    backend = Backend("blue")
    other = Slot(site.lab.root, backend, monkeypatch, "other")
    with_other = with_model(
        site.lab.routes, "other", (Target("blue", backend.port, 100),), created=1
    )
    site.lab.apply(with_other)
    site.lab.up("other", "blue")
    sleep = Sleep("a1", "wake", 9, alternates=(Alternate("other", 8, 0),))
    site.lab.apply(with_sleep(site.lab.routes, "tiny", sleep, 0))
    watching = Watching(site.lab.root)
    try:
        wait_for_rest(site)
        stream: list[Any] = []
        body = {"model": "other", "gated": True}
        running = threading.Thread(target=lambda: stream.append(site.lab.ask(PATH, body)))
        running.start()
        until(lambda: site.lab.observe()["servers"]["other"]["blue"]["sessions"] == 1)
        # It is busy: the other one is refused, and told when to come again.
        status, _, headers = ask(site)
        assert (status, headers["Retry-After"], headers["X-Toolkit-Error"]) == (
            503, "9", "model_asleep",
        )  # fmt: skip
        time.sleep(1.2)
        assert (other.runs, slot.runs) == (True, False)
        backend.turns.release()
        running.join(60)
        assert stream[0][0] == 200
        until(lambda: slot.runs)
        assert not other.runs
        until(lambda: ask(site)[0] == 200)
        until(lambda: "other has nothing to do and makes place for tiny" in watching.said)
        # And back again: each has its turn, and both never run at once.
        until(lambda: "tiny is awake" in watching.said)
        assert site.lab.ask(PATH, {"model": "other"})[0] == 503
        until(lambda: other.runs)
        assert not slot.runs
        until(lambda: site.lab.ask(PATH, {"model": "other"})[0] == 200)
    finally:
        watching.stop()
        other.stop()
        backend.stop()


def test_the_hosts_of_a_fleet_make_place_each_for_its_own_device(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alternates, "QUIET", 0.6)
    with contextlib.ExitStack() as stack:
        slots: dict[str, dict[str, Slot]] = {name: {} for name in pair.routers}
        targets = []
        for name, router in pair.routers.items():
            (router.root / "watch").mkdir()
            backend = Backend(name)
            stack.callback(backend.stop)
            relay = next(each.relay for each in pair.routes.routes[0].targets if each.host == name)
            targets.append(Target("blue", backend.port, 100, name, relay))
            for model, each in (("tiny", pair.engines[name]), ("other", backend)):
                slots[name][model] = Slot(router.root, each, monkeypatch, model)
                stack.callback(slots[name][model].stop)
        pair.apply(with_model(pair.routes, "other", tuple(targets), created=1))
        for router in pair.routers.values():
            router.up("other", "a.blue", "b.blue")
        sleep = Sleep("a1", "wait", 40, alternates=(Alternate("other", 40, 120),))
        pair.apply(with_sleep(pair.routes, "tiny", sleep, 120))
        watching = {name: Watching(each.root) for name, each in pair.routers.items()}
        for each in watching.values():
            stack.callback(each.stop)
        for router in pair.routers.values():
            until(lambda router=router: warmth.rests(str(router.root), "tiny-blue"), 60)
        until(lambda: _all_down(pair, "tiny"), 60)
        # On b the other model is busy.
        busy = watching["b"].warmth._alternates
        with pytest.MonkeyPatch.context() as still:
            still.setattr(busy, "_has_nothing_to_do", lambda *_: False)
            assert pair.routers["a"].ask(PATH, {"model": "tiny"})[2]["X-Toolkit-Slot"] == "a.blue"
            assert (slots["a"]["tiny"].runs, slots["a"]["other"].runs) == (True, False)
            # Clients of b get it from a, and the other one from b.
            until(lambda: pair.answers("b") == {"a.blue": 20}, 60)
            assert pair.routers["b"].ask(PATH, {"model": "other"})[0] == 200
            assert (slots["b"]["tiny"].runs, slots["b"]["other"].runs) == (False, True)
        # Once it has nothing to do, b follows, and all routes are the same.
        until(lambda: slots["b"]["tiny"].runs and not slots["b"]["other"].runs, 60)
        until(lambda: _routes(pair, "a") == _routes(pair, "b"), 60)
        until(lambda: _all_down(pair, "other"), 60)
        # And back again, by a client of b.
        assert pair.routers["b"].ask(PATH, {"model": "other"})[0] == 200
        for each in slots.values():
            until(lambda each=each: each["other"].runs and not each["tiny"].runs, 60)
        until(lambda: _routes(pair, "a") == _routes(pair, "b"), 60)


def _all_down(pair: Pair, model: str) -> bool:
    """Whether the checks of both routers have noticed that no replica of a model is up; a real start takes longer."""
    seen = [each.observe()["servers"][model] for each in pair.routers.values()]
    return not any(server["up"] for servers in seen for server in servers.values())


def _routes(pair: Pair, at: str) -> tuple[Route, ...]:
    """What a router has for each model, without its own name and the number of its changes."""
    return Routes.from_json(pair.routers[at].observe()["routes"]).routes


def test_a_request_that_waits_in_vain_is_told_so(site: Site, slot: Slot) -> None:
    # nobody watches
    sleep_now(site, "wait", hold=1)
    slot.stop()
    site.blue.ill = True
    status, answer, headers = ask(site)
    assert (status, headers["Retry-After"], headers["X-Toolkit-Error"]) == (
        503,
        "5",
        "not_awake_in_time",
    )
    assert "slept and was not up in time" in answer["error"]["message"]
    # Three usual starts or two minutes after its start began, a refusal is no longer that of a model that sleeps.
    for since, code in ((100, "model_asleep"), (140, "not_awake_in_time")):
        (route,) = site.lab.routes.routes
        waking = Sleep("a1", "wake", 9, due=int(time.time()) - since + 9)
        site.lab.apply(replace(site.lab.routes, routes=(replace(route, sleep=waking, hold=0),)))
        status, _, headers = ask(site)
        assert (status, headers["Retry-After"], headers["X-Toolkit-Error"]) == (503, "5", code)


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
