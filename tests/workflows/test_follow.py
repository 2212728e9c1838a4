"""A log is followed from slot to slot with the traffic of its model."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workflows.world import World, release
from toolkit.errors import HostError
from toolkit.workflows.fleet.follow import follow_model, latest_log


def test_the_log_goes_on_in_the_slot_that_gets_the_traffic(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    world.deploy(release(1))
    host, end = next(iter(world.hosts.values())), threading.Event()

    def logs(program: str, lines: int, *, follow: bool, previous: bool = False) -> Iterator[str]:
        assert follow
        yield f"log of {program}"
        end.wait(20)

    monkeypatch.setattr(host, "logs", logs)
    said: list[str] = []
    found = follow_model(host, "tiny", 10, said.append, seconds=0.05)
    assert next(found) == "log of tiny-blue"
    world.deploy(release(2))
    assert next(found) == "log of tiny-green"
    assert said == ["the traffic of tiny moved from blue to green, whose log follows"]
    end.set()
    assert list(found) == []


def test_a_host_that_stops_answering_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    world.deploy(release(1))
    host = next(iter(world.hosts.values()))

    def logs(*_: object, **__: object) -> Iterator[str]:
        yield "a line"
        raise HostError("gone")

    monkeypatch.setattr(host, "logs", logs)
    found = follow_model(host, "tiny", 10, lambda _: None, seconds=0.05)
    assert next(found) == "a line"
    with pytest.raises(HostError, match="gone"):
        next(found)


@pytest.mark.parametrize(
    ("latest", "before", "shown", "said"),
    [
        (["ready"], ["ValueError"], ["ready"], 0),
        ([], ["ValueError"], ["ValueError"], 1),
        ([], [], [], 0),
    ],
)
def test_a_start_that_said_nothing_shows_the_reason_of_the_one_before(
    latest: list[str],
    before: list[str],
    shown: list[str],
    said: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = next(iter(World(tmp_path).hosts.values()))

    def logs(program: str, lines: int, *, follow: bool, previous: bool = False) -> Iterator[str]:
        assert (program, lines, follow) == ("tiny-green", 10, False)
        yield from before if previous else latest

    monkeypatch.setattr(host, "logs", logs)
    notes: list[str] = []
    assert list(latest_log(host, "tiny-green", 10, notes.append)) == shown
    assert len(notes) == said
