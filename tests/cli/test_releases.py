"""`toolkit releases --hosts`: where a replica of each release serves, stands by or dozes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.cli.shell import Prompt
from tests.cli.test_json import Fleet
from toolkit.domain.hosts.facts import HostFacts
from toolkit.errors import HostError


@pytest.fixture
def fleet(prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    """Three hosts on which v2 serves; beside it v1 stands by on one, dozes on another and has crashed on the third."""
    made = Fleet(prompt, monkeypatch, 3)
    for version in ("v1", "v2"):
        assert made.prompt("deploy", f"tiny@{version}", "--yes").code == 0
    for name, change in (("gpu2", {"dozes": True}), ("gpu3", {"rests": True})):
        facts = made.world.hosts[name].facts
        slots = [
            replace(each, healthy=False, **change) if each.release.version == "v1" else each
            for each in facts.slots
            if each.release
        ]
        made.world.see(name, slots=tuple(slots))
    return made


def test_each_release_says_on_which_hosts_it_is_and_how(fleet: Fleet) -> None:
    heading, newest, former, *_ = fleet.prompt("releases", "tiny", "--hosts").out.splitlines()
    at = heading.index("REPLICAS")
    assert newest[at:].strip() == "serving on gpu1, gpu2, gpu3"
    assert former[at:].strip() == "standby on gpu1; dozing on gpu2; resting on gpu3"
    found = fleet("releases tiny --hosts").json()["releases"]
    assert [each["replicas"] for each in found] == [
        [{"host": f"gpu{n}", "slot": "green", "state": "serving"} for n in (1, 2, 3)],
        [
            {"host": "gpu1", "slot": "blue", "state": "standby"},
            {"host": "gpu2", "slot": "blue", "state": "dozing"},
            {"host": "gpu3", "slot": "blue", "state": "resting"},
        ],
    ]


def test_one_host_needs_no_name(prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = Fleet(prompt, monkeypatch, 1)
    for version in ("v1", "v2"):
        assert alone.prompt("deploy", f"tiny@{version}", "--yes", "--no-standby").code == 0
    heading, newest, former, *_ = alone.prompt("releases", "tiny", "--hosts").out.splitlines()
    at = heading.index("REPLICAS")
    assert newest[at:].strip() == "serving"
    assert former[at:].strip() == "-"


def test_the_history_alone_asks_no_host(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    for host in fleet.world.hosts.values():
        monkeypatch.setattr(host, "observe", _silent)
    said = fleet.prompt("releases", "tiny")
    assert (said.code, "REPLICAS" in said.out) == (0, False)
    assert "replicas" not in fleet("releases tiny").json()["releases"][0]


def test_hosts_that_are_silent_are_named_beside_what_the_others_say(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet.world.hosts["gpu2"], "observe", _silent)
    said = fleet.prompt("releases", "tiny", "--hosts")
    assert said.code == 7
    assert "serving on gpu1, gpu3" in said.out
    assert "standby on gpu1; resting on gpu3" in said.out
    assert "gpu2" in said.err
    document = fleet("releases tiny --hosts").json()
    assert [each["host"] for each in document["releases"][0]["replicas"]] == ["gpu1", "gpu3"]
    assert "gpu2" in document["error"]["message"]
    for host in fleet.world.hosts.values():
        monkeypatch.setattr(host, "observe", _silent)
    said = fleet.prompt("releases", "tiny", "--hosts")
    assert said.code == 7
    assert [line.split()[0] for line in said.out.splitlines()[:3]] == ["RELEASE", "#2", "#1"]


def _silent() -> HostFacts:
    raise HostError("gpu2: no answer")
