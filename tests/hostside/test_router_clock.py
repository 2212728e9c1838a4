"""A router whose machine paused: its worker's own clock is behind, and what it shares with others has the true time."""

from __future__ import annotations

import os
import signal
import sys
import time

from tests.hostside.keyed import ANN, TINY, bearer, ring
from tests.hostside.router_lab import REPO, router_socket, until
from tests.hostside.router_site import PATH, Site
from tests.hostside.test_router_hold import Asked, begin, exchange
from tests.pace import Pace

sys.path.insert(0, str(REPO / "toolkit/hostside"))

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
