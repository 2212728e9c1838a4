"""What the hosts did without a command, in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.planning.facts import host, release, slot
from toolkit.planning.routing.routes import Route, Routes, Target
from toolkit.planning.upkeep.events import events_of


def test_a_takeover_and_a_hang_are_told() -> None:
    route = Route("tiny", (Target("blue", 8100, 100),), took_over=1000.0)
    hung = replace(
        slot("blue", release(1)), hung_at=2000.0, hung="2 requests are open, and it did nothing"
    )
    facts = replace(host(hung), observed_at=3000.0)
    assert events_of(Routes((route,)), [facts]) == (
        "tiny: its standby took over by itself at 1970-01-01 00:16:40 UTC, because what served before "
        "was down; toolkit deploy tiny chooses anew",
        f"{facts.name} tiny blue: it hung at 1970-01-01 00:33:20 UTC and was restarted: "
        "2 requests are open, and it did nothing",
    )


def test_without_events_nothing_is_told_and_a_hang_is_forgotten_after_a_day() -> None:
    old = replace(slot("blue", release(1)), hung_at=2000.0, hung="2 requests are open")
    facts = replace(host(old), observed_at=2000.0 + 86400)
    assert events_of(Routes((Route("tiny", ()),)), [facts]) == ()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (
            {"disk_free": 0},
            "its disk is full: 0 B free; toolkit prune, or make room there: df -h, df -i",
        ),
        ({"disk_free": 2**26}, ""),
        (
            {"files_free": 3},
            "its disk is full: it takes 3 more files; toolkit prune, or make room there: df -h, df -i",
        ),
        (
            {"read_only": True},
            "its disk takes no changes: it serves on, and neither changes nor takes over; look there with dmesg, "
            "and mount it for writing",
        ),
        (
            {"watched": False},
            "its watch does not run, so nothing ends a replica that hangs; toolkit doctor",
        ),
        ({"watched": False, "converged": ""}, ""),
    ],
)
def test_what_a_host_lacks_is_told(more: dict[str, Any], words: str) -> None:
    facts = replace(host(), disk_total=10**12, **more)
    assert events_of(Routes(), [facts]) == ((f"{facts.name}: {words}",) if words else ())


def test_a_host_that_was_installed_anew_is_told() -> None:
    route = Route(
        "tiny",
        tuple(Target("blue", 8100, 50, host=name, relay="10.0.0.1:8444") for name in ("a", "b")),
    )
    serving = host(slot("blue", release(1), weight=50))
    others = [replace(serving, name="a"), replace(host(), name="c")]
    bare = replace(host(), name="b", converged="")
    assert events_of(Routes((route,)), [*others, replace(bare, name="d"), bare]) == (
        "b: it has nothing of the toolkit, as after a new installation, and routers lead to it for tiny: "
        "toolkit provision b, then toolkit deploy tiny --host b",
    )
    assert events_of(Routes((route,)), [*others, replace(host(), name="b")]) == (
        "b: tiny has its place here and no replica: toolkit deploy tiny brings one, "
        "toolkit stop tiny --host b gives the place up",
    )


def test_a_log_that_lacks_requests_is_told() -> None:
    facts = replace(host(), unlogged="journalctl ended with 1")
    assert events_of(Routes(), [facts]) == (
        f"{facts.name}: its router's log lacks requests: journalctl ended with 1",
    )
