"""A router whose machine paused: its worker's own clock is behind, and what it shares with others has the true time."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.hostside.keyed import ANN, TINY, bearer, ring
from tests.hostside.router_lab import REPO, router_socket, until
from tests.hostside.router_site import PATH, Site
from tests.hostside.test_router_hold import Asked, begin, exchange
from tests.hostside.test_router_limits import admitted_before
from tests.pace import Pace

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import router
import use_quotas

# HAProxy takes a second and more for a step of the clock.
PAUSE = 2.5


def pause(site: Site) -> None:
    """Stop the worker as a virtual machine that is suspended; HAProxy takes the time for a step of the clock."""
    (pid,) = router_socket.processes(site.lab.directory)["current"]
    os.kill(pid, signal.SIGSTOP)
    time.sleep(PAUSE)
    os.kill(pid, signal.SIGCONT)


def test_requests_wait_no_longer_after_a_pause_of_the_machine(site: Site, pace: Pace) -> None:
    pause(site)
    begin(site)
    asked = Asked(site.lab, pace)
    before = site.lab.connections()
    asked.ask(1)
    until(lambda: site.lab.connections() > before)
    exchange(site)
    asked.ask(2)
    for _, status, waited, _ in asked.all():
        assert status == 200
        assert waited < PAUSE - 1


def test_a_quota_ends_no_later_after_a_pause_of_the_machine(site: Site) -> None:
    site.lab.give(ring(tokens_per_day=5))
    pause(site)
    ends = int(time.time()) + 1
    use_quotas.tell(str(site.lab.root), {"ann": f"{ends}|tokens|day|2026-01-01T00:00:00Z"})

    def refused() -> bool:
        return site.lab.ask(PATH, TINY, **bearer(ANN))[0] == 429

    assert refused() or time.time() >= ends
    time.sleep(max(0, ends + 0.2 - time.time()))
    assert not refused()


def test_a_request_counts_no_longer_after_a_pause_of_the_machine(site: Site) -> None:
    site.lab.give(ring(per_minute=5))
    pause(site)
    admitted_before(site.lab, 30, 5)
    code, _, headers = site.lab.ask(PATH, TINY, **bearer(ANN))
    # 30 s rounded up, and the grain of the count
    assert (code, int(headers["Retry-After"]) <= 31) == (429, True)


def clock_ahead(site: Site, module: str) -> Path:
    """Let a module of the router read a clock that is an hour ahead; return the file that says so, in milliseconds."""
    path, ahead = Path(site.lab.directory, module), site.lab.root / "sockets/ahead"
    text = path.read_text()
    assert text.count("return txn.f:date(0, 'ms')") == 1
    read = f"for line in io.lines('{ahead}') do return txn.f:date(0, 'ms') + tonumber(line) end"
    path.write_text(text.replace("return txn.f:date(0, 'ms')", read))
    ahead.write_text("3600000\n")
    router_socket.reload(site.lab.directory)
    return ahead


def test_a_clock_that_is_set_back_refuses_no_key_until_then(site: Site) -> None:
    ahead = clock_ahead(site, "limits.lua")
    site.lab.give(ring(per_minute=5))
    assert [site.lab.ask(PATH, TINY, **bearer(ANN))[0] for _ in range(6)] == [200] * 5 + [429]
    ahead.write_text("0\n")
    assert [site.lab.ask(PATH, TINY, **bearer(ANN))[0] for _ in range(6)] == [200] * 5 + [429]


def test_a_clock_that_is_set_back_lets_no_request_wait_until_then(
    site: Site, pace: Pace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither one that waits when it is set, nor one that comes after a hold which has ended."""
    ahead = clock_ahead(site, "hold.lua")
    of_host = {**vars(time), "time": lambda: time.time() + 3600}
    monkeypatch.setattr(router, "time", SimpleNamespace(**of_host))
    begin(site)
    asked = Asked(site.lab, pace)
    before = site.lab.connections()
    asked.ask(1)
    until(lambda: site.lab.connections() > before)
    time.sleep(1)
    exchange(site)
    ahead.write_text("0\n")
    asked.ask(2)
    assert [(status, waited < 10) for _, status, waited, _ in asked.all()] == [(200, True)] * 2
