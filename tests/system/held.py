"""Requests that the engines of a fleet hold until they are let go."""

from __future__ import annotations

import json
import urllib.error
from concurrent.futures import Future

from tests.pace import Pace
from tests.system.stub_site import PROMPT, StubSite


def end_of_held_request(site: StubSite, pace: Pace) -> tuple[float, int]:
    """Return when a request ended that its engine holds for a minute, or till `let_go`; and its status."""
    try:
        site.ask("alpha", PROMPT, user="held")
        status = 200
    except urllib.error.HTTPError as error:
        with error:
            status = error.code
    return pace(), status


def all_done(ends: list[Future[tuple[float, int]]]) -> bool:
    return all(each.done() for each in ends)


def let_go(site: StubSite, *hosts: str) -> None:
    """Have the engines of these hosts answer the requests that they hold."""
    body = json.dumps({"messages": [], "user": "release"})
    ask = (
        "import http.client, sys; to = http.client.HTTPConnection('127.0.0.1', 8100, timeout=20); "
        "to.request('POST', '/v1/chat/completions', sys.argv[1]); print(to.getresponse().status)"
    )
    for host in hosts:
        site.lab[host].run("/usr/bin/python3", "-c", ask, body)


def held_requests(site: StubSite, host: str) -> int:
    """Return how many requests the engine of a host holds."""
    read = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8100/metrics', timeout=50).read().decode())"
    lines = site.lab[host].run("/usr/bin/python3", "-c", read).splitlines()
    (shown,) = (each for each in lines if each.startswith("stub:requests_held "))
    return int(shown.split()[1])
