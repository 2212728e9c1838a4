"""No more playbooks run at once than this machine carries, however many hosts a rollout prepares together."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from toolkit.adapters.ansible import converge
from toolkit.adapters.ansible.converge import RealConverge
from toolkit.adapters.interruption import Interruption
from toolkit.domain.hosts.fleet import Host
from toolkit.errors import HostError

WAITS = 60


@dataclass
class Runs:
    """Runs of a playbook, all of which last until `over`; `most` is how many there were at once."""

    began: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    over: threading.Event = field(default_factory=threading.Event)
    guard: threading.Lock = field(default_factory=threading.Lock)
    now: int = 0
    most: int = 0

    def run(self, *_: Any) -> tuple[str, ...]:
        with self.guard:
            self.now += 1
            self.most = max(self.most, self.now)
        self.began.release()
        assert self.over.wait(WAITS)
        with self.guard:
            self.now -= 1
        return ("changed",)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Runs]:
    found = Runs()
    monkeypatch.setattr(converge, "width", lambda work: 2)
    monkeypatch.setattr(RealConverge, "_converge", lambda self, *more: found.run(*more))
    yield found
    found.over.set()


def begin(
    ansible: RealConverge, hosts: int
) -> tuple[list[threading.Thread], SimpleQueue[tuple[str, ...] | HostError]]:
    """Run a playbook on so many hosts at once; return the threads, and what each run comes to."""
    ended: SimpleQueue[tuple[str, ...] | HostError] = SimpleQueue()

    def run(number: int) -> None:
        try:
            ended.put(ansible.run("replica", Host(f"gpu{number}"), {}, lambda _: None))
        except HostError as error:
            ended.put(error)

    threads = [threading.Thread(target=run, args=(each,), daemon=True) for each in range(hosts)]
    for each in threads:
        each.start()
    return threads, ended


def test_each_run_waits_for_its_turn_and_all_come_to_their_end(runs: Runs, tmp_path: Path) -> None:
    threads, ended = begin(RealConverge(tmp_path, tmp_path / "run"), 5)
    for _ in range(2):
        assert runs.began.acquire(timeout=WAITS)
    # A third one would begin at once.
    assert not runs.began.acquire(timeout=0.5)
    runs.over.set()
    for each in threads:
        each.join(WAITS)
    assert [ended.get(timeout=WAITS) for _ in threads] == [("changed",)] * 5
    assert runs.most == 2


def test_an_interruption_ends_the_wait_for_a_turn(runs: Runs, tmp_path: Path) -> None:
    interruption = Interruption()
    ansible = RealConverge(tmp_path, tmp_path / "run", interruption=interruption)
    threads, ended = begin(ansible, 3)
    for _ in range(2):
        assert runs.began.acquire(timeout=WAITS)
    interruption.begin()
    # The other two still run: what ends them is the business of their own waits.
    assert str(ended.get(timeout=WAITS)) == "interrupted"
    runs.over.set()
    for each in threads:
        each.join(WAITS)
    assert runs.most == 2
