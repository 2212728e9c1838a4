"""A model is wanted again while its engine still takes its leave for the sleep."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostside.router_lab import lab, until
from tests.hostside.router_site import Site
from tests.hostside.warmth_lab import Slot, Watching, ask, sleep_now
from toolkit.planning.routing.routes import Routes

__all__ = ["lab"]

# An engine that answers on while it ends, as vLLM does until its last request has ended: here until `go` is there.
LEAVES = """\
import os, signal, time
def leave(*_):
    while not os.path.exists("{go}"):
        time.sleep(0.02)
    raise SystemExit
signal.signal(signal.SIGTERM, leave)
open("{ready}", "w").close()
time.sleep(600)
"""


class Leaving(Slot):
    """A slot whose engine answers for a while after it was asked to end."""

    @property
    def go(self) -> Path:
        return self.root / "go"

    @property
    def ready(self) -> Path:
        return self.root / "ready"

    @property
    def runs(self) -> bool:
        try:
            return "leave" in Path(f"/proc/{self.child.pid}/cmdline").read_text()
        except OSError:
            return False


@pytest.fixture
def slot(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Leaving]:
    (site.lab.root / "watch").mkdir()
    made = Leaving(site.lab.root, site.blue, monkeypatch)
    script = made.place / "run"
    engine = LEAVES.format(go=made.go, ready=made.ready)
    line = f"exec {sys.executable} -c '{engine}'"
    script.write_text(script.read_text().replace("exec sleep 600", line))
    first = made.child.pid
    os.kill(first, signal.SIGTERM)
    until(lambda: made.child.pid != first and made.runs and made.ready.exists())
    yield made
    made.stop()


def test_an_engine_that_was_asked_to_end_is_not_taken_for_the_one_that_wakes(
    site: Site, slot: Leaving
) -> None:
    watching = Watching(site.lab.root)
    try:
        engine = slot.child.pid
        sleep_now(site, "wait", hold=60)
        until(lambda: "tiny-blue falls asleep" in watching.said)
        answers: list[int] = []
        asking = threading.Thread(target=lambda: answers.append(ask(site)[0]))
        asking.start()
        # The request waits for the next engine, and no router sends it to the one that ends.
        watching.look_on()
        assert (answers, slot.child.pid) == ([], engine)
        slot.go.touch()
        asking.join()
        assert answers == [200]
        assert slot.child.pid != engine
        until(lambda: "tiny is awake" in watching.said)
        assert slot.child.pid != engine
        found = Routes.from_json(site.lab.observe()["routes"]).routes[0]
        assert (found.sleep, found.weight("blue")) == (None, 100)
        assert not (site.lab.root / "watch/asleep/tiny-blue").exists()
    finally:
        watching.stop()
