"""The doctor's findings about several hosts, one of which does not answer, and about what it could not open."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from toolkit.adapters.fakes.host import FakeHost
from toolkit.adapters.history.history import History
from toolkit.adapters.store.store import Store
from toolkit.domain.clients.keys import KeyRing
from toolkit.domain.hosts.facts import HostFacts
from toolkit.domain.hosts.fleet import Host
from toolkit.domain.registry.model import Policy, Registry
from toolkit.domain.secret import Secret
from toolkit.errors import HostError, InputError, SourceError
from toolkit.planning.routing.keys import with_key
from toolkit.planning.upkeep.diagnosis import Level
from toolkit.workflows.fleet.doctor import examine

EMPTY = Registry({}, Policy(), "r.yaml")


class Unreachable(FakeHost):
    def observe(self) -> HostFacts:
        raise HostError(f"{self.host.name}: connection refused")


@pytest.fixture
def history(tmp_path: Path) -> Callable[[], History]:
    return lambda: History(tmp_path / "history.db", lambda: 0.0)


def test_findings_name_their_host_where_there_are_several(
    tmp_path: Path, history: Callable[[], History]
) -> None:
    hosts = [FakeHost(Host("gpu1")), Unreachable(Host("gpu2"))]
    found = examine(
        hosts, lambda host: "base-1", Store(tmp_path), lambda: EMPTY, tuple, history, time.time
    )
    words = {each.subject: (each.level, each.words) for each in found}
    assert words["gpu2: host"] == (Level.FAIL, "connection refused")
    assert words["gpu1: host"][0] is Level.OK
    assert [subject for subject in words if subject.startswith("gpu2")] == ["gpu2: host"]
    alone = examine(
        hosts[:1], lambda host: "base-1", Store(tmp_path), lambda: EMPTY, tuple, history, time.time
    )
    assert not [each.subject for each in alone if "gpu1" in each.subject]


def test_a_host_that_missed_a_change_of_keys_is_a_finding(
    tmp_path: Path, history: Callable[[], History]
) -> None:
    hosts = [FakeHost(Host(name)) for name in ("gpu1", "gpu2")]
    for each in hosts:
        each.facts = replace(each.facts, router=replace(each.facts.router, running=True))

    def said() -> list[tuple[Level, str]]:
        found = examine(
            hosts, lambda host: "base-1", Store(tmp_path), lambda: EMPTY, tuple, history, time.time
        )
        return [(each.level, each.hint) for each in found if each.subject == "keys"]

    assert said() == []
    hosts[0].ring = with_key(KeyRing(), "ann", "tk-" + "a" * 40, now=1.0)
    assert said() == [(Level.WARN, "toolkit keys sync")]


def test_where_no_host_is_this_machine_nobody_needs_to_be_root(
    tmp_path: Path, history: Callable[[], History]
) -> None:
    here, there = FakeHost(Host("here")), FakeHost(Host("gpu1", "ssh", "10.0.0.11"))
    said = [
        {each.subject: each.words for each in examine(
            hosts, lambda host: "base-1", Store(tmp_path), lambda: EMPTY, tuple, history, time.time
        )}["privileges"]
        for hosts in ([there], [here, there])
    ]  # fmt: skip
    assert said[0] == "none needed: all hosts are reached over SSH"
    assert said[1] == "root, or sudo"


@pytest.mark.parametrize(
    ("password", "level"), [(None, Level.FAIL), (Secret("asked for"), Level.OK)]
)
def test_where_sudo_asks_for_a_password_the_one_that_was_given_is_good_enough(
    tmp_path: Path,
    history: Callable[[], History],
    monkeypatch: pytest.MonkeyPatch,
    password: Secret | None,
    level: Level,
) -> None:
    monkeypatch.setattr("toolkit.workflows.fleet.doctor.is_privileged", lambda: False)
    hosts = [FakeHost(Host("localhost", become_password=password))]
    found = examine(
        hosts, lambda host: "base-1", Store(tmp_path), lambda: EMPTY, tuple, history, time.time
    )
    (said,) = [each for each in found if each.subject == "privileges"]
    assert said.level is level
    assert ("--ask-become-pass" in said.hint) == (level is Level.FAIL)


def test_what_cannot_be_opened_is_a_finding_beside_the_others(tmp_path: Path) -> None:
    def registry() -> None:
        raise InputError("models: no mapping")

    def history() -> History:
        raise SourceError("it does not answer", hint="start it")

    found = examine([], lambda host: "", Store(tmp_path), registry, tuple, history, time.time)
    by_subject = {each.subject: each for each in found}
    assert (by_subject["history"].level, by_subject["history"].hint) == (Level.FAIL, "start it")
    assert (by_subject["registry"].level, by_subject["registry"].words) == (
        Level.WARN,
        "models: no mapping",
    )
    assert {"ansible", "privileges", "disk of the store"} <= set(by_subject)
