"""Orders of guards on a host: kept for root alone, begun and changed by the lock's holder, ended by their rollout."""

from __future__ import annotations

import json
import stat
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.hostside.router_lab import REPO

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import deployment_lock
import guard
import guard_follow
import guard_order

ORDER = {
    "rollout": "r1", "model": "tiny", "slot": "green", "former": "blue", "release": 4, "version": "v2",
    "phase": "share", "seconds": 60.0, "requests": 5, "share": 100, "patience": 1800.0, "unsure": "return",
    "tolerance": {"slower": 1.25, "errors": 0.02, "growth": 1.5}, "probes": [{"path": "/v1/completions"}],
}  # fmt: skip
BAKE = {"phase": "bake", "seconds": 10.0, "requests": 0, "share": 10_000}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with held(monkeypatch, "t1"):
        yield str(tmp_path)


@contextmanager
def held(monkeypatch: pytest.MonkeyPatch, token: str) -> Iterator[None]:
    owner = {"held": bool(token), "owner": {"token": token}}
    monkeypatch.setattr(deployment_lock, "read", lambda _: owner)
    yield


def facts(root: str) -> dict[str, Any]:
    (found,) = guard_order.facts(root)
    return found


def test_a_guard_that_was_begun_is_shown_without_its_probes_and_its_token(root: str) -> None:
    guard_order.begin(root, ORDER, "t1")
    shown = facts(root)
    assert shown["order"].items() >= {"model": "tiny", "phase": "share", "number": 1}.items()
    assert not {"probes", "token"} & shown["order"].keys()
    assert (shown["verdict"], shown["withdrawn"], shown["wish"]) == (None, "", "")


def test_only_the_holder_of_the_lock_begins_a_guard_or_its_next_phase(root: str) -> None:
    with pytest.raises(deployment_lock.LockLost):
        guard_order.begin(root, ORDER, "another")
    assert guard_order.facts(root) == []
    guard_order.begin(root, ORDER, "t1")
    with pytest.raises(deployment_lock.LockLost):
        guard_order.enter(root, "tiny", BAKE, "another")


def test_a_new_phase_begins_without_the_verdict_and_the_wish_of_the_former_one(root: str) -> None:
    guard_order.begin(root, ORDER, "t1")
    order = guard_order.read(root, "tiny")
    assert order is not None
    verdict = {"gate": "canary", "verdict": "passed", "reason": "", "figures": []}
    guard_order.keep(root, order, {"verdict": verdict}, durable=True)
    assert facts(root)["verdict"] is None
    guard_order.keep(root, order, {"verdict": verdict, "settled": True}, durable=True)
    guard_order.wish(root, "tiny", "promote", "ann")
    assert (facts(root)["verdict"], facts(root)["wish"]) == (verdict, "promote")
    guard_order.enter(root, "tiny", BAKE, "t1")
    now = facts(root)
    assert (now["order"]["phase"], now["verdict"], now["wish"]) == ("bake", None, "")


def test_after_a_withdrawal_no_phase_begins_any_more(root: str) -> None:
    guard_order.begin(root, ORDER, "t1")
    order = guard_order.read(root, "tiny")
    assert order is not None
    guard_order.keep(root, order, {"withdrawn": "3 of 3 failed"}, durable=True)
    with pytest.raises(guard_order.NoGuard, match="has withdrawn green: 3 of 3 failed"):
        guard_order.enter(root, "tiny", BAKE, "t1")


def test_an_abort_that_a_new_phase_comes_upon_is_heard(root: str) -> None:
    guard_order.begin(root, ORDER, "t1")
    assert guard_order.wish(root, "tiny", "abort", "ann") == {"taken": True}
    with pytest.raises(guard_order.NoGuard, match="green of tiny was aborted by ann"):
        guard_order.enter(root, "tiny", BAKE, "t1")
    assert facts(root)["order"]["phase"] == "share"
    # Written by a person while the command had begun the phase already.
    order = guard_order.read(root, "tiny")
    assert order is not None
    later = {**order, "number": order["number"] + 1}
    assert guard_order.wished(root, later)["wish"] == "abort"
    assert guard_order.wished(root, {**later, "rollout": "r2"}) == {}


def test_a_promotion_that_the_next_share_comes_upon_is_heard_in_it_and_not_in_the_bake(
    root: str,
) -> None:
    guard_order.begin(root, ORDER, "t1")
    assert guard_order.wish(root, "tiny", "promote", "ann") == {"taken": True}
    guard_order.enter(root, "tiny", {**BAKE, "phase": "share"}, "t1")
    assert (facts(root)["order"]["number"], facts(root)["wish"]) == (2, "promote")
    guard_order.enter(root, "tiny", BAKE, "t1")
    assert facts(root)["wish"] == ""


def test_nobody_promotes_what_another_person_has_aborted(root: str) -> None:
    guard_order.begin(root, ORDER, "t1")
    assert guard_order.wish(root, "tiny", "promote", "ann") == {"taken": True}
    assert guard_order.wish(root, "tiny", "abort", "bob") == {"taken": True}
    assert guard_order.wish(root, "tiny", "promote", "ann") == {"taken": False}
    assert guard_order.wish(root, "tiny", "abort", "eve") == {"taken": True}
    assert facts(root)["wish"] == "abort"


def test_of_persons_who_promote_and_abort_at_once_those_who_abort_are_heard(root: str) -> None:
    guard_order.begin(root, ORDER, "t1")
    for _ in range(20):
        with ThreadPoolExecutor(8) as pool:
            wishes = ["promote", "abort"] * 4
            [*pool.map(lambda wish: guard_order.wish(root, "tiny", wish, "ann"), wishes)]
        assert facts(root)["wish"] == "abort"
        Path(root, "guard/tiny.wish.json").unlink()


@pytest.mark.parametrize("told", ["failed", "could not tell"])
def test_a_verdict_that_takes_the_traffic_away_hears_nobody(root: str, told: str) -> None:
    guard_order.begin(root, ORDER, "t1")
    order = guard_order.read(root, "tiny")
    assert order is not None
    verdict = {"gate": "canary", "verdict": told, "reason": "why", "figures": []}
    guard_order.keep(root, order, {"verdict": verdict, "settled": True}, durable=True)
    for wish in ("promote", "abort"):
        assert guard_order.wish(root, "tiny", wish, "ann") == {"taken": False}


@pytest.mark.parametrize("told", ["failed", "could not tell"])
def test_a_verdict_that_takes_the_traffic_away_counts_in_the_next_phase_too(
    root: str, told: str
) -> None:
    guard_order.begin(root, ORDER, "t1")
    order = guard_order.read(root, "tiny")
    assert order is not None
    guard_order.enter(root, "tiny", BAKE, "t1")
    # The watch came to it while the command entered the phase: it knew of the former one alone.
    verdict = {"gate": "canary", "verdict": told, "reason": "why", "figures": []}
    guard_order.keep(root, order, {"verdict": verdict, "settled": True}, durable=True)
    assert facts(root)["verdict"] == verdict
    with pytest.raises(guard_order.NoGuard, match="has withdrawn green: why"):
        guard_order.enter(root, "tiny", BAKE, "t1")


def test_what_nobody_can_tell_ends_no_rollout_that_is_to_go_on(root: str) -> None:
    guard_order.begin(root, {**ORDER, "unsure": "go-on"}, "t1")
    order = guard_order.read(root, "tiny")
    assert order is not None
    verdict = {"gate": "canary", "verdict": "could not tell", "reason": "why", "figures": []}
    guard_order.keep(root, order, {"verdict": verdict, "settled": True}, durable=True)
    guard_order.enter(root, "tiny", BAKE, "t1")
    assert (facts(root)["order"]["phase"], facts(root)["verdict"]) == ("bake", None)


def test_a_guard_ends_with_its_own_rollout_only(root: str) -> None:
    guard_order.begin(root, ORDER, "t1")
    guard_order.end(root, "tiny", "another")
    assert facts(root)["order"]["rollout"] == "r1"
    guard_order.end(root, "tiny", "r1")
    assert guard_order.facts(root) == []
    assert list((Path(root) / "guard").iterdir()) == []


def test_the_files_are_for_root_alone_and_stay_in_their_directory(root: str) -> None:
    guard_order.begin(root, {**ORDER, "model": "../out/of"}, "t1")
    order, copy = (Path(root) / "guard").iterdir()
    assert {stat.S_IMODE(each.stat().st_mode) for each in (order, copy)} == {0o600}
    assert facts(root)["order"]["model"] == "../out/of"


def test_an_order_that_cannot_be_read_is_no_guard_and_goes_with_the_next_end(root: str) -> None:
    guard_order.begin(root, ORDER, "t1")
    path, copy = Path(root) / "guard/tiny.json", Path(root) / "guard/tiny%copy"
    for text in ("", "[]", "{", '{"rollout": "r1"}'):
        path.write_text(text)
        copy.write_text(text)
        assert guard_order.facts(root) == []
        assert guard_order.wish(root, "tiny", "abort", "ann") == {"taken": False}
    guard_order.end(root, "tiny", "any")
    assert not path.exists()
    assert not copy.exists()


@pytest.mark.parametrize("routing", ["", "prefix"])
def test_a_guard_knows_whether_conversations_stay_with_a_release(root: str, routing: str) -> None:
    route = {"model": "tiny", "created": 1, "targets": [], "routing": routing}
    (Path(root) / "router").mkdir()
    (Path(root) / "router/routes.json").write_text(json.dumps({"routes": [route]}))
    guard_order.begin(root, ORDER, "t1")
    order = guard_order.read(root, "tiny")
    assert order is not None
    made = guard.Guard(root, order, (3.0, 600.0), (None, 0.0))
    assert made._new_judge()._sticky is bool(routing)


def test_a_wish_is_one_of_two(root: str) -> None:
    guard_order.begin(root, ORDER, "t1")
    with pytest.raises(ValueError, match="no such wish"):
        guard_order.wish(root, "tiny", "hurry", "ann")


def test_who_follows_a_guard_that_no_watch_runs_hears_that_nobody_can_tell(root: str) -> None:
    guard_order.begin(root, ORDER, "t1")
    events: list[dict[str, Any]] = []
    asked = {"root": root, "model": "tiny", "silence": 0.2}
    verdict = guard_follow.follow(asked, events.append)
    assert (verdict["gate"], verdict["verdict"]) == ("canary", "could not tell")
    assert verdict["reason"].startswith("the watch of this host does not run")
    assert events[0]["seconds_left"] == 60.0


WHOLE = {**ORDER, "number": 2, "token": "t1"}
DAMAGED = [
    "", "{", "[]", '{"rollout": "r1"}', "\0" * 99,
    *(json.dumps({**WHOLE, **each}) for each in (
        {"number": "2"}, {"seconds": "10"}, {"seconds": float("nan")}, {"seconds": True}, {"requests": None},
        {"patience": [1]}, {"release": "4"}, {"share": {}}, {"hosts": "1"}, {"since": ""}, {"version": 2},
        {"unsure": 1},
        {"tolerance": []}, {"tolerance": {"slower": "1"}}, {"probes": {}}, {"probes": ["x"]}, {"process": 5},
        {"adapters": "x"}, {"took_over": "x"}, {"token": 5}, {"phase": "later"},
    )),
]  # fmt: skip


@pytest.mark.parametrize("text", DAMAGED)
def test_a_release_whose_order_is_damaged_stays_watched_by_its_copy(root: str, text: str) -> None:
    guard_order.begin(root, ORDER, "t1")
    guard_order.enter(root, "tiny", BAKE, "t1")
    before = (guard_order.orders(root), guard_order.facts(root), guard_order.read(root, "tiny"))
    path = Path(root, "guard/tiny.json")
    path.write_text(text)
    after = (guard_order.orders(root), guard_order.facts(root), guard_order.read(root, "tiny"))
    assert after == before
    assert guard_order.damaged(root) == ["guard/tiny.json"]
    assert guard_order.repair(root) == {"lost": []}
    assert guard_order.damaged(root) == []
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    Path(root, "guard/tiny%copy").unlink()
    assert guard_order.orders(root) == before[0]


def test_the_next_phase_mends_a_damaged_order(root: str) -> None:
    guard_order.begin(root, ORDER, "t1")
    Path(root, "guard/tiny.json").write_text("{")
    guard_order.enter(root, "tiny", BAKE, "t1")
    assert guard_order.damaged(root) == []
    assert [each["phase"] for each in guard_order.orders(root)] == ["bake"]


def test_an_order_whose_copy_is_damaged_too_is_forgotten_by_a_repair_alone(root: str) -> None:
    guard_order.begin(root, ORDER, "t1")
    for name in ("tiny.json", "tiny%copy"):
        Path(root, "guard", name).write_text("{")
    assert (guard_order.orders(root), guard_order.damaged(root)) == ([], ["guard/tiny.json"])
    assert guard_order.repair(root) == {"lost": ["guard/tiny.json"]}
    assert (guard_order.damaged(root), guard_order.repair(root)) == ([], {"lost": []})


def test_a_guard_that_has_ended_does_not_come_back_from_a_copy(root: str) -> None:
    guard_order.begin(root, ORDER, "t1")
    copy = Path(root, "guard/tiny%copy")
    text = copy.read_text()
    guard_order.end(root, "tiny", "r1")
    assert list(Path(root, "guard").iterdir()) == []
    # A kill between two of the removals leaves it.
    copy.write_text(text)
    assert (guard_order.orders(root), guard_order.read(root, "tiny")) == ([], None)
    guard_order.begin(root, {**ORDER, "rollout": "r2"}, "t1")
    Path(root, "guard/tiny.json").write_text("{")
    assert [each["rollout"] for each in guard_order.orders(root)] == ["r2"]


@pytest.mark.parametrize("kind", ["found", "wish"])
def test_a_damaged_finding_or_wish_is_named_and_leaves_with_a_repair(root: str, kind: str) -> None:
    guard_order.begin(root, ORDER, "t1")
    path = f"guard/tiny.{kind}.json"
    Path(root, path).write_text("{")
    assert guard_order.damaged(root) == [path]
    assert guard_order.repair(root) == {"lost": []}
    assert not Path(root, path).exists()
    assert len(guard_order.orders(root)) == 1


SOUND: dict[str, Any] = {
    "rollout": "r1", "number": 1, "looked_at": 1.0, "watched": 2.0, "requests": 3, "probes": 4, "withdrawn": "",
    "settled": True, "verdict": {"gate": "bake", "verdict": "passed", "reason": "", "figures": []},
    "figures": [{"name": "requests", "new": 3, "old": None, "unit": ""}],
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"looked_at": "now"}, {"watched": None}, {"requests": "3"}, {"probes": []}, {"number": "1"},
        {"withdrawn_at": {}}, {"verdict": {}}, {"verdict": {**SOUND["verdict"], "verdict": "well"}},
        {"verdict": {**SOUND["verdict"], "gate": 5}}, {"verdict": {**SOUND["verdict"], "figures": [5]}},
        {"verdict": {**SOUND["verdict"], "reason": None}}, {"figures": [{}]}, {"figures": [{"name": 1}]},
        {"figures": [{**SOUND["figures"][0], "new": "3"}]}, {"figures": [{**SOUND["figures"][0], "more": 1}]},
    ],
)  # fmt: skip
def test_a_finding_that_no_command_could_read_counts_as_damaged(
    root: str, change: dict[str, Any]
) -> None:
    guard_order.begin(root, ORDER, "t1")
    path = Path(root, "guard/tiny.found.json")
    path.write_text(json.dumps(SOUND))
    assert guard_order.damaged(root) == []
    assert facts(root)["verdict"] == SOUND["verdict"]
    path.write_text(json.dumps({**SOUND, **change}))
    assert guard_order.damaged(root) == ["guard/tiny.found.json"]
    assert (facts(root)["verdict"], facts(root)["figures"]) == (None, [])
    guard_order.repair(root)
    assert guard_order.damaged(root) == []


def test_who_follows_a_guard_whose_clock_is_set_back_hears_that_its_watch_has_died(
    root: str,
) -> None:
    guard_order.begin(root, ORDER, "t1")
    order = guard_order.read(root, "tiny")
    assert order is not None
    guard_order.keep(root, order, {"looked_at": time.time() + 3600}, durable=False)
    verdict = guard_follow.follow({"root": root, "model": "tiny", "silence": 0.2}, lambda _: None)
    assert verdict["reason"].startswith("the watch of this host does not run")


@pytest.mark.parametrize("kind", ["found", "wish"])
def test_a_model_that_is_called_like_a_kind_of_file_has_a_guard_of_its_own(
    root: str, kind: str
) -> None:
    named = {**ORDER, "model": f"tiny.{kind}", "rollout": "r2"}
    guard_order.begin(root, named, "t1")
    guard_order.begin(root, ORDER, "t1")
    guard_order.keep(root, {**ORDER, "number": 1}, {"verdict": None}, durable=True)
    assert guard_order.wish(root, "tiny", "abort", "ann") == {"taken": True}
    assert {each["model"] for each in guard_order.orders(root)} == {"tiny", f"tiny.{kind}"}
    assert guard_order.read(root, f"tiny.{kind}") is not None
    guard_order.end(root, "tiny", "r1")
    assert [each["model"] for each in guard_order.orders(root)] == [f"tiny.{kind}"]
    assert guard_order.damaged(root) == []
