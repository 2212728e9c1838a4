"""A host that lies while a tree is brought to it: it alone fails, by name, and the others get the tree."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from toolkit.adapters.distribution import swarm
from toolkit.adapters.distribution.delivery import Delivery, Need, Throttle
from toolkit.adapters.distribution.port import Tree
from toolkit.adapters.distribution.swarm_member import Member
from toolkit.adapters.interruption import Interruption
from toolkit.domain.files.snapshot import FileDigest
from toolkit.domain.hosts.fleet import Host
from toolkit.errors import HostError

HOST = Host("gpu1", "ssh", "10.0.0.1", relay_address="10.0.0.1")
FILES = (FileDigest("a", 3, "0" * 64),)
NEED = Need(HOST, FILES, {}, "3.11", "x86_64", (), "/srv/snapshots/.in", rsync=True)
SURVEY: dict[str, Any] = {
    "missing": ["a"], "arrived": {"a": 1}, "python": "3.11", "machine": "x86_64", "libraries": [],
    "incoming": "/srv/snapshots/.in", "rsync": True, "swarm": False,
}  # fmt: skip


def delivery(tmp_path: Path, answer: dict[str, Any], *events: Any) -> Delivery:
    """Return a delivery to a host that gives each brief request this answer, and other ones these events."""
    (tmp_path / "a").write_bytes(b"abc")
    dialog = SimpleNamespace(
        events=lambda: iter(events), write=lambda _: True, close=lambda: None, send=lambda _: None
    )
    client = SimpleNamespace(
        ask=lambda *_, **__: dict(answer), open=lambda *_, **__: nullcontext(dialog)
    )
    clients: Any = SimpleNamespace(of=lambda _: client, scratch=tmp_path)
    tree = Tree("snapshots", "v1", str(tmp_path), FILES)
    return Delivery(tree, clients, Throttle(0, lambda _: None), lambda _: None, Interruption())


def lies(act: Callable[[], Any]) -> None:
    with pytest.raises(HostError, match=r"^gpu1: its answer is not understood"):
        act()


@pytest.mark.parametrize("name", SURVEY)
@pytest.mark.parametrize("odd", [None, -1, 10**40, [[]], [None], {"a": "x"}, {"a": -1}, {"a": [5]}])
def test_an_odd_survey_is_an_error_of_that_host(tmp_path: Path, name: str, odd: Any) -> None:
    assert delivery(tmp_path, SURVEY).survey(HOST) is not None
    lies(lambda: delivery(tmp_path, {**SURVEY, name: odd}).survey(HOST))
    lies(lambda: delivery(tmp_path, {k: v for k, v in SURVEY.items() if k != name}).survey(HOST))


@pytest.mark.parametrize("answer", [{}, {"wrong": 5}, {"wrong": [5]}, {"wrong": {"a": 1}}])
def test_an_odd_end_is_an_error_of_that_host(tmp_path: Path, answer: dict[str, Any]) -> None:
    delivery(tmp_path, {"wrong": []}).finish(HOST)
    with pytest.raises(HostError, match=r"^gpu1: not what was pinned when it arrived: a$"):
        delivery(tmp_path, {"wrong": ["a"]}).finish(HOST)
    lies(lambda: delivery(tmp_path, answer).finish(HOST))


ODD_EVENTS = [
    {}, {"path": "a"}, {"left": 1}, {"path": [], "left": 1}, {"path": "a", "left": "x"}, {"path": "a", "left": -1},
    {"path": "b", "left": 1}, {"result": {}}, {"result": {"wrong": 5}}, {"result": {"wrong": [[]]}},
]  # fmt: skip


@pytest.mark.parametrize("event", ODD_EVENTS, ids=str)
def test_an_odd_word_on_the_way_is_an_error_of_that_host(tmp_path: Path, event: Any) -> None:
    good = ({"path": "a", "left": 1}, {"result": {"wrong": []}})
    delivery(tmp_path, {}, *good).stream(NEED)
    lies(lambda: delivery(tmp_path, {}, event).stream(NEED))


@pytest.mark.parametrize(
    "event",
    [
        {"listening": True, "bytes": "x"}, {"bytes": None}, {"bytes": -1}, {"bytes": [1]},
        {"result": {"wrong": 5}}, {"result": {"wrong": [5]}},
    ],
    ids=str,
)  # fmt: skip
def test_a_host_that_lies_in_a_swarm_leaves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, event: Any
) -> None:
    monkeypatch.setattr(swarm, "tunnel", lambda *_: nullcontext(5))
    monkeypatch.setattr(swarm.Swarm, "_make_torrent", lambda *_: b"")
    there = Need(
        HOST, FILES, {}, "3.11", "x86_64", (swarm.library_name("3.11"),), "/in", rsync=True
    )
    wheels: Any = None
    joined = swarm.Swarm(delivery(tmp_path, {}, event), [there], wheels, tmp_path)
    member = Member(0, there)
    joined._bring(member)
    assert member.ended
    assert member.wrong.startswith("gpu1: its answer is not understood")
