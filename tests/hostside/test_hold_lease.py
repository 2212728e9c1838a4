"""Requests that wait for a swap do not wait for a command that is gone."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.hostside.router_lab import REPO, full_disk, until
from tests.hostside.router_site import PATH, Site
from tests.pace import Pace
from tests.planning.rendered import render_files
from toolkit.planning.routing.edits import with_former, with_hold, with_weights
from toolkit.planning.routing.routes import Route, Routes, Target

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import hold_lease

A = Target("blue", 8100, 0, "a", "10.0.0.1:8090", former=True)
B = Target("blue", 8100, 0, "b", "10.0.0.2:8090", former=True)
NEW = Target("green", 8101, 0, "a", "10.0.0.1:8090")


def held(*targets: Target, hold: int = 120) -> dict[str, Any]:
    return Routes((Route("tiny", targets, 7, hold=hold),), serial=4).as_json("a")


@pytest.mark.parametrize(
    ("targets", "up", "late", "weights", "waits"),
    [
        pytest.param((A, NEW), {"a.blue"}, False, [100, 0], False, id="the former one still runs"),
        pytest.param((A, NEW), set(), False, None, True, id="it has ended: the next command may start one"),
        pytest.param((A, NEW), {"a.green"}, False, None, True, id="no gate has seen the new one"),
        pytest.param((A, NEW), {"a.green"}, True, [0, 0], False, id="no command comes"),
        pytest.param((A, B), {"a.blue"}, False, None, True, id="one of two former ones"),
        pytest.param((A, B), {"a.blue"}, True, [100, 0], False, id="one of two, and no command comes"),
        pytest.param((A, B), {"a.blue", "b.blue"}, False, [100, 100], False, id="both of two"),
        pytest.param((replace(A, weight=100), NEW), {"a.blue"}, True, None, False, id="it serves"),
        pytest.param((A, replace(NEW, weight=100)), {"a.blue"}, True, None, False, id="the new one serves"),
        pytest.param((replace(A, former=False),), {"a.blue"}, False, None, True, id="of a former toolkit"),
    ],
)  # fmt: skip
def test_a_hold_without_its_command(
    targets: tuple[Target, ...], up: set[str], late: bool, weights: list[int] | None, waits: bool
) -> None:
    before = held(*targets, hold=120 if waits or weights else 0)
    seen = {"tiny": {each.name: each.name in up for each in targets}}
    after = hold_lease.released(before, seen, late=late)
    found = Routes.from_json(after)
    # every router of the fleet comes to the same, and an ops machine reads it
    assert found.as_json("a") == after
    assert bool(found.routes[0].hold) == waits
    if weights is None:
        assert after == before
    else:
        assert [each.weight for each in found.routes[0].targets] == weights
        assert (found.serial, any(each.former for each in found.routes[0].targets)) == (5, False)


def test_requests_for_an_adapter_do_not_wait_for_a_command_that_is_gone() -> None:
    serving = Target("blue", 8100, 100, "a", "10.0.0.1:8090", adapters=("law", "sql"))
    exchanging = replace(serving, waiting=("sql",))
    before = Routes((Route("tiny", (exchanging,), 7),), serial=4).as_json("a")
    assert hold_lease.exchanged(before) == ["sql"]
    after = hold_lease.released(before, {}, late=False)
    (route,) = Routes.from_json(after).routes
    assert (route, after["serial"]) == (Route("tiny", (serving,), 7), 5)
    assert Routes.from_json(after).as_json("a") == after
    assert hold_lease.released(after, {}, late=True) == after


def begin(site: Site) -> None:
    """Take the traffic from blue, as a swap does."""
    off = with_former(with_weights(site.lab.routes, "tiny", {"blue": 0}), "tiny", "blue")
    site.lab.apply(with_hold(off, "tiny", 60))


def test_the_former_replica_gets_its_traffic_again_when_the_command_dies(
    site: Site, monkeypatch: pytest.MonkeyPatch, pace: Pace
) -> None:
    lease = hold_lease.HoldLease(str(site.lab.root))
    lock = {"held": True, "owner": {}}
    monkeypatch.setattr(hold_lease.deployment_lock, "read", lambda _: lock)
    assert lease.look() == []
    begin(site)
    before = site.files()
    time.sleep(hold_lease.RETURN)
    assert [lease.look() for _ in range(3)] == [[]] * 3
    assert site.files() == before
    lock["held"] = False
    began, quiet = time.monotonic(), pace()
    done: list[str] = until(lease.look)
    assert done == ["the command that swapped tiny is gone: its requests wait no more"]
    assert time.monotonic() - began >= hold_lease.RETURN
    assert pace() - quiet < hold_lease.RETURN + 1
    found = Routes.from_json(site.lab.observe()["routes"])
    assert site.files() == render_files(found)
    assert [each.weight for each in found.routes[0].targets if each.slot == "blue"] == [100]
    assert site.slot() == "blue"
    assert lease.look() == []


def test_a_full_disk_lets_no_request_wait_for_a_command_that_is_gone(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = hold_lease.HoldLease(str(site.lab.root))
    begin(site)
    before = site.files()
    monkeypatch.setattr(hold_lease, "RETURN", 0.0)
    with full_disk():
        for _ in range(3):
            with pytest.raises(OSError, match="No space left"):
                lease.look()
        assert (site.slot(), site.files()) == ("blue", before)
    assert lease.look() == ["the command that swapped tiny is gone: its requests wait no more"]
    assert site.slot() == "blue"


def test_requests_wait_half_a_minute_for_the_next_command(
    site: Site, monkeypatch: pytest.MonkeyPatch, pace: Pace
) -> None:
    now = time.monotonic()
    monkeypatch.setattr(hold_lease.time, "monotonic", lambda: now)
    lease = hold_lease.HoldLease(str(site.lab.root))
    begin(site)
    site.blue.stop()
    until(lambda: not hold_lease.takeover.seen_up(str(site.lab.root))["tiny"]["blue"])
    assert lease.look() == []
    now += hold_lease.GRACE - 1
    assert lease.look() == []
    now += 1
    assert lease.look() == ["the command that swapped tiny is gone: its requests wait no more"]
    began = pace()
    status, _, headers = site.lab.ask(PATH, b'{"model": "tiny"}')
    assert (status, bool(headers["Retry-After"])) == (503, True)
    assert pace() - began < 2


@pytest.mark.parametrize("own", [True, False], ids=["its host", "another router"])
def test_a_hold_that_is_armed_ends_with_the_record_of_its_bake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: bool
) -> None:
    """A later command records the verdict of a bake whose command is gone, and tells the routers nothing."""
    serving = replace(NEW, weight=100, host="a" if own else "b")
    routes = Routes((Route("tiny", (serving,), 7, hold=120),), serial=4)
    (tmp_path / "router").mkdir()
    for name, text in render_files(routes, "a").items():
        (tmp_path / "router" / name).write_text(text)
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    lease = hold_lease.HoldLease(str(tmp_path))
    if own:
        (tmp_path / "deployment.json").write_text('{"rollout": "r", "model": "tiny"}')

    def hold_after(seconds: float) -> int:
        clock[0] += seconds
        assert lease.look() == []
        found = Routes.from_json(json.loads((tmp_path / "router/routes.json").read_text()))
        return found.routes[0].hold

    assert [hold_after(each) for each in (0, 2, hold_lease.LONG - 5)] == [120, 120, 120]
    if own:
        (tmp_path / "deployment.json").unlink()
    assert hold_after(5) == 0
    assert (tmp_path / "router/holds.map").read_text() == ""
