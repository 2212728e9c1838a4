"""A slot with its start, and the part of the watch that puts models to sleep and wakes them."""

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
from pathlib import Path
from typing import Any

import pytest

from tests.hostside.router_lab import REPO, Backend, until
from tests.hostside.router_site import PATH, Site
from toolkit.planning.routing.edits import with_sleep
from toolkit.planning.routing.routes import Sleep

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import resting
import warmth


class Slot:
    """A slot whose start is the role's own for hosts without systemd, in short, with a process supervisor's loop."""

    def __init__(
        self,
        root: Path,
        backend: Backend,
        monkeypatch: pytest.MonkeyPatch,
        model: str = "tiny",
        name: str = "blue",
    ) -> None:
        self.root, self.backend, self.starts = root, backend, 0
        self.place = place = root / f"slots/{model}-{name}"
        place.mkdir(parents=True)
        mark = root / f"watch/asleep/{model}-{name}"
        # The engine: what ends by SIGTERM, while the stand-in behind the router is up.
        (place / "run").write_text(
            f"#!/bin/sh\nif [ -e {mark} ]; then exec sleep infinity; fi\nexec sleep 600\n"
        )
        (place / "run").chmod(0o755)
        (place / "manifest.json").write_text(
            json.dumps({"model": model, "slot": name, "port": backend.port, "release": {}})
        )
        self.ended, self.child = threading.Event(), self._start()
        # The shell reads its script a moment later: a test may write another one, or look whether the engine runs.
        until(lambda: warmth.processes.command_line(self.child.pid) == ["sleep", "600"])
        before = warmth.processes.state

        def state(root: str, program: str) -> dict[str, Any]:
            if root != str(self.root) or program != f"{model}-{name}":
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
        self.looks = 0
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
            self.looks += 1

    def look_on(self, times: int = 4) -> None:
        """Return once it has looked more than `times` times again."""
        looks = self.looks
        until(lambda: self.looks > looks + times)

    def stop(self) -> None:
        self.ended.set()
        self.thread.join(10)


def sleep_now(site: Site, policy: str, hold: int = 0, starts: int = 30) -> None:
    site.lab.apply(with_sleep(site.lab.routes, "tiny", Sleep("a1", policy, starts), hold))


def wait_for_rest(site: Site) -> None:
    until(lambda: resting.rests(str(site.lab.root), "tiny-blue"))


def ask(site: Site, path: str = PATH) -> tuple[int, Any, Any]:
    return site.lab.ask(path, {"model": "tiny", "max_tokens": 1, "messages": []})
