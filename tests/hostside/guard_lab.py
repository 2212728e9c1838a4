"""A router with a former release in blue and a new one in green, both engines that can get faults, under a real guard.

What differs from a host: a double stands for the process supervisor, and the deployment lock is whatever `held` says.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.hostside.router_lab import REPO, Lab, free_port, lab, router_socket
from toolkit.planning.routing.edits import with_model
from toolkit.planning.routing.routes import Routes, Target

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import deployment_lock
import guard
import guard_follow
import guard_order
import guard_probes
import guards
import processes
import reweigh
import takeover
from guard_judge import GROWTH_BYTES

__all__ = [
    "ORDER",
    "Crowd",
    "Guarded",
    "faulty",
    "guard",
    "guard_follow",
    "guard_order",
    "guard_probes",
    "guarded",
    "guards",
    "processes",
    "shows",
    "takeover",
    "tell_fault",
]

PATH = "/v1/completions"
ORDER = {
    "rollout": "r1", "model": "tiny", "slot": "green", "former": "blue", "release": 2, "version": "v2",
    "phase": "bake", "seconds": 600.0, "requests": 0, "share": 0, "patience": 60.0, "unsure": "return", "hosts": 1,
    "tolerance": {"slower": 1.15, "errors": 0.005, "growth": 1.5},
    "probes": [{
        "path": PATH, "payload": {"model": "tiny", "prompt": "2+2", "temperature": 0}, "contains": "4", "same": False,
    }],
}  # fmt: skip


@dataclass
class Guarded:
    """The router, its two engines by slot, and a guard whose watch looks twice a second.

    `said` are the guard's words, and `looks` the number of its looks; `spoke` are the numbers of those with words.
    Whoever has the `turn` keeps the watch from its next look.
    """

    router: Lab
    engines: dict[str, subprocess.Popen[str]]
    ports: dict[str, int]
    held: dict[str, Any]
    said: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    tick: float = 0.5
    looks: int = 0
    spoke: list[int] = field(default_factory=list)
    turn: threading.Lock = field(default_factory=threading.Lock)

    @property
    def root(self) -> str:
        return str(self.router.root)

    def begin(self, **changes: Any) -> None:
        """Give green all traffic and the guard its order, and let the watch look."""
        self.shift(blue=0, green=100)
        guard_order.begin(self.root, {**ORDER, **changes}, "t1")
        if self.thread is None:
            self.watch()

    def shift(self, **weights: int) -> None:
        """Change weights; the slot without one stands by."""
        self.router.apply(routes(self.ports, **weights))

    def forget(self) -> None:
        """End all guards."""
        for order in guard_order.orders(self.root):
            guard_order.end(self.root, order["model"], order["rollout"])

    def reset(self) -> None:
        """Give blue all traffic, and green nothing: only so a target is given back that was withdrawn."""
        targets = (Target("blue", self.ports["blue"], 100), Target("green", self.ports["green"]))
        self.router.apply(with_model(Routes(), "tiny", targets, created=1))
        self.shift(blue=100, green=0)

    def watch(self) -> None:
        """Start the watch, or another one after the end of the first."""
        self.ended = ended = threading.Event()
        watching = guards.Guards(self.root, 8.0, 600.0)

        def look() -> None:
            while not ended.wait(self.tick):
                try:
                    with self.turn:
                        words = [*watching.look(), *reweigh.tell_again(self.root)]
                except router_socket.RouterError:
                    # As in the watch: a router that answers late is told again, and looks go on.
                    continue
                self.looks += 1
                if words:
                    self.spoke.append(self.looks)
                    self.said += words

        self.thread = threading.Thread(target=look, daemon=True)
        self.thread.start()

    @contextlib.contextmanager
    def process(self, tick: float = 0.5) -> Iterator[int]:
        """Run the watch as a process of its own, which looks each `tick` seconds; yield its pid."""
        pids = {f"tiny-{slot}": each.pid for slot, each in self.engines.items()}
        script = str(Path(__file__).with_name("guard_process.py"))
        argv = [sys.executable, script, self.root, json.dumps(pids), str(tick)]
        with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as process:
            self.thread = threading.current_thread()
            try:
                yield process.pid
            finally:
                process.kill()
                self.thread = None

    def unwatch(self) -> None:
        self.ended.set()
        if self.thread:
            self.thread.join(10)

    def fault(self, name: str, slot: str = "green") -> None:
        """Let an engine have a fault from now on."""
        tell_fault(self.ports[slot], name)

    def found(self) -> dict[str, Any]:
        """Return what `observe` says of the guard."""
        (facts,) = guard_order.facts(self.root)
        return facts

    def verdict(self, seconds: float = 60) -> dict[str, Any]:
        """Return the verdict, at most so many seconds from now; a busy machine takes long."""
        until = time.monotonic() + seconds
        while not (verdict := self.found()["verdict"]):
            assert time.monotonic() < until, (self.found(), self.said)
            time.sleep(0.02)
        return dict(verdict)

    def fail_alone(self) -> Callable[[], None]:
        """Have a person end a bake whose release no other one can relieve; return what brings that one back.

        Whatever the router's checks of it ask for does not matter.
        """
        self.begin()
        self._blue("maint")
        guard_order.wish(self.root, "tiny", "abort", "ann@ops")
        assert self.verdict()["verdict"] == "failed"
        return lambda: self._blue("ready")

    def _blue(self, state: str) -> None:
        pid = router_socket.processes(self.router.directory)["current"][-1]
        router_socket.tell(
            self.router.directory, pid, [f"set server model.tiny/blue state {state}"]
        )

    def weights(self) -> dict[str, int]:
        servers = self.router.observe()["servers"]["tiny"]
        return {slot: each["weight"] for slot, each in servers.items()}


class Crowd:
    """Clients that ask `rate` times a second in all; `answers` counts the good and the bad ones.

    They send the `bodies` in turn. A good answer comes within `patience` seconds, and a stream to its end. `seen` has
    for each answer its status, 0 for none, and its seconds.
    `first_bad` is when the first bad answer had come, and `last_asked` when each slot got its last request, both in
    seconds since the epoch.
    """

    running: ClassVar[list[Crowd]] = []

    def __init__(
        self,
        port: int,
        rate: float,
        model: str = "tiny",
        patience: float = 2.0,
        bodies: Sequence[Mapping[str, Any]] = ({"prompt": "2+2"},),
    ) -> None:
        self.running.append(self)
        self.answers: Counter[str] = Counter()
        self.patience, self.seen = patience, list[tuple[int, float]]()
        self.first_bad: float | None = None
        self.last_asked: dict[str, float] = {}
        self._port, self._rate, self._ended = port, rate, threading.Event()
        self._bodies = itertools.cycle([json.dumps({"model": model, **each}) for each in bodies])
        self._waiting: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> Counter[str]:
        if self in self.running:
            self.running.remove(self)
        self._ended.set()
        self._thread.join(10)
        for each in self._waiting:
            each.join(max(10.0, 2 * self.patience))
        return self.answers

    def _run(self) -> None:
        while not self._ended.wait(1 / self._rate):
            each = threading.Thread(target=self._ask, args=(next(self._bodies),), daemon=True)
            each.start()
            self._waiting = [*(one for one in self._waiting if one.is_alive()), each]

    def _ask(self, body: str) -> None:
        connection = http.client.HTTPConnection(
            "127.0.0.1", self._port, timeout=max(8.0, self.patience)
        )
        started, asked = time.monotonic(), time.time()
        good, status = False, 0
        try:
            connection.request("POST", PATH, body)
            answer = connection.getresponse()
            status, slot = answer.status, answer.getheader("X-Toolkit-Slot", "")
            self.last_asked[slot] = max(asked, self.last_asked.get(slot, 0.0))
            text = answer.read().decode()
            whole = '"stream"' not in body or "[DONE]" in text
            in_time = time.monotonic() - started < self.patience
            good = status == 200 and "4" in text and whole and in_time
        except (OSError, http.client.HTTPException):
            good = False
        finally:
            connection.close()
        self.answers["good" if good else "bad"] += 1
        self.seen.append((status, round(time.monotonic() - started, 3)))
        if not good:
            self.first_bad = min(time.time(), self.first_bad or time.time())


def shows(found: Mapping[str, Any]) -> bool:
    """Whether a look of a guard shows a fault: by its verdict, or by memory over its limit, which takes three looks."""
    if (found.get("verdict") or {}).get("verdict") == "failed":
        return True
    figures = {each["name"]: each for each in found.get("figures", ())}
    memory = figures.get("memory", {})
    base, now = memory.get("old"), memory.get("new")
    if base is None or now is None:
        return False
    return bool(now > max(base * ORDER["tolerance"]["growth"], base + GROWTH_BYTES / 2**30))


@contextlib.contextmanager
def guarded(monkeypatch: pytest.MonkeyPatch) -> Iterator[Guarded]:
    """Yield the lab, with all traffic on blue."""
    with contextlib.ExitStack() as stack:
        router = stack.enter_context(lab())
        started = stack.enter_context(faulty())
        ports = {slot: port for slot, (_, port) in started.items()}
        engines = {slot: engine for slot, (engine, _) in started.items()}
        for number, (slot, port) in enumerate(ports.items(), 1):
            directory = router.root / f"slots/tiny-{slot}"
            directory.mkdir(parents=True)
            release = {"number": number, "version": f"v{number}", "args": [], "memory": 0}
            manifest = {
                "model": "tiny",
                "slot": slot,
                "port": port,
                "devices": [],
                "release": release,
            }
            (directory / "manifest.json").write_text(json.dumps(manifest))
        held = {"held": True, "owner": {"token": "t1"}}
        monkeypatch.setattr(deployment_lock, "read", lambda _: held)
        monkeypatch.setattr(
            processes, "state", lambda _, program: _state(engines[program.rpartition("-")[2]])
        )
        made = Guarded(router, engines, ports, held)
        stack.callback(made.unwatch)
        made.router.apply(routes(ports, blue=100, green=0))
        router.up("tiny", "blue", "green")
        yield made


@contextlib.contextmanager
def faulty() -> Iterator[dict[str, tuple[subprocess.Popen[str], int]]]:
    """Yield process and port of an engine that can get faults, for each slot."""
    program = str(Path(__file__).with_name("faulty_engine.py"))
    with contextlib.ExitStack() as stack:
        engines = {}
        for slot in ("blue", "green"):
            argv = [sys.executable, program, str(port := free_port())]
            each = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
            stack.callback(_end, each)
            assert each.stdout
            each.stdout.readline()
            engines[slot] = each, port
        yield engines


def tell_fault(port: int, name: str) -> None:
    """Let the engine at `port` have a fault from now on."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with (
        contextlib.closing(connection),
        contextlib.suppress(OSError, http.client.HTTPException),
    ):
        connection.request("POST", "/fault", json.dumps({"fault": name}))
        connection.getresponse().read()


def routes(ports: dict[str, int], **weights: int) -> Routes:
    """Return routes in which the slot without weight stands by."""
    targets = tuple(
        Target(slot, port, weights[slot], standby=not weights[slot]) for slot, port in ports.items()
    )
    return with_model(Routes(), "tiny", targets, created=1)


def _state(engine: subprocess.Popen[str]) -> dict[str, Any]:
    alive = engine.poll() is None
    return {
        "state": "running" if alive else "failed",
        "pid": engine.pid if alive else 0,
        "started_at": None,
    }


def _end(engine: subprocess.Popen[str]) -> None:
    engine.kill()
    engine.wait()
    if engine.stdout:
        engine.stdout.close()
