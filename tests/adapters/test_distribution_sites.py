"""Hosts of a site form a swarm of their own, so that one copy crosses the link to each site."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from toolkit.adapters.distribution import over_ssh
from toolkit.adapters.distribution.delivery import Delivery, Need
from toolkit.adapters.distribution.over_ssh import SshDistribution
from toolkit.adapters.distribution.port import Progress, Tree
from toolkit.domain.files.snapshot import FileDigest
from toolkit.domain.hosts.fleet import Host

FILES = (FileDigest("weights", 9 * 2**20, "0" * 64),)
TREE = Tree("snapshots", "v1", "/srv/v1", FILES)
SITES = {"a": "north", "b": "south", "c": "north", "d": "south", "e": "west", "f": "north"}
HOSTS = [
    Host(name, "ssh", f"10.0.0.{n}", site=site) for n, (name, site) in enumerate(SITES.items())
]


class Ways:
    """Record which hosts got the tree together and which one by one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, failing: str = "") -> None:
        self.swarms: list[str] = []
        self.streamed: list[str] = []
        self.at_once = self.most_at_once = 0
        self._failing = failing
        self._arrived: set[str] = set()
        self._met = threading.Event()

        def swarm(_: Delivery, needs: Sequence[Need], *__: Any) -> Any:
            return SimpleNamespace(run=lambda: self._run([need.host.name for need in needs]))

        monkeypatch.setattr(over_ssh, "Swarm", swarm)
        monkeypatch.setattr(over_ssh, "why_not", lambda *_: "")
        monkeypatch.setattr(Delivery, "survey", self._survey)
        monkeypatch.setattr(
            Delivery, "stream", lambda _, need: self.streamed.append(need.host.name)
        )

    def _survey(self, host: Host) -> Need | None:
        return Need(host, FILES, {}, "3.11", "x86_64", (), "/in", rsync=False)

    def _run(self, names: list[str]) -> Mapping[str, str]:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        if self.at_once == 2:
            self._met.set()
        self._met.wait(0.5)
        self.at_once -= 1
        self.swarms.append("".join(names))
        if self._failing in names:
            raise RuntimeError("libtorrent can do nothing")
        return dict.fromkeys(names, "")


def spread(tmp_path: Path, limit: int = 0) -> tuple[Mapping[str, str], list[str]]:
    words: list[str] = []

    def report(progress: Progress) -> None:
        if progress.words:
            words.append(f"{progress.host}: {progress.words}")

    return SshDistribution(tmp_path, limit=limit, rsync=False).spread(TREE, HOSTS, report), words


def test_each_site_has_a_swarm_of_its_own_and_a_single_host_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways = Ways(monkeypatch)
    wrong, words = spread(tmp_path)
    assert (dict(wrong), words) == (dict.fromkeys(SITES, ""), [])
    assert sorted(ways.swarms) == ["acf", "bd"]
    assert ways.streamed == ["e"]
    assert ways.most_at_once == 2


def test_with_a_limit_one_site_follows_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways = Ways(monkeypatch)
    spread(tmp_path, limit=10**6)
    assert sorted(ways.swarms) == ["acf", "bd"]
    assert ways.most_at_once == 1


def test_the_swarm_of_a_site_that_fails_affects_no_other_site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways = Ways(monkeypatch, failing="b")
    wrong, words = spread(tmp_path)
    assert dict(wrong) == dict.fromkeys(SITES, "")
    assert sorted(ways.streamed) == ["b", "d", "e"]
    assert {each[0] for each in words} == {"b", "d"}
