"""Each key has its requests in a minute and at once, whatever becomes of the router."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.hostside.keyed import ANN, BOB, TINY, bearer, ring, status
from tests.hostside.router_lab import NOBODY, Lab, until
from tests.hostside.router_site import PATH, Site


def test_a_key_has_its_requests_a_minute_and_others_are_not_concerned(site: Site) -> None:
    site.lab.give(ring(per_minute=5))
    began = time.monotonic()
    assert [status(site.lab, ANN) for _ in range(5)] == [200] * 5
    code, answer, headers = site.lab.ask(PATH, TINY, **bearer(ANN))
    assert (code, answer["error"]["code"]) == (429, "rate_limit_exceeded")
    assert set(answer["error"]) == {"message", "type", "param", "code"}
    assert headers["Retry-After"] in minute_since(began)
    # the list of models counts as well, and so does a model that is named by the path
    assert site.lab.ask("/v1/models", **bearer(ANN))[0] == 429
    assert status(site.lab, ANN, "/m/tiny/v1/completions") == 429
    assert [status(site.lab, BOB) for _ in range(10)] == [200] * 10
    lines = until(lambda: len(each := site.lab.requests()) > 17 and each)
    assert {(line["key"], line["status"]) for line in lines} == {
        ("ann", 200),
        ("ann", 429),
        ("bob", 200),
    }


def together(running: Lab, count: int, key: str = ANN) -> Counter[tuple[int, str | None]]:
    """Return how many of `count` requests sent at once had which status and Retry-After."""

    def ask(_: int) -> tuple[int, str | None]:
        code, _, headers = running.ask(PATH, TINY, **bearer(key))
        return code, headers["Retry-After"]

    with ThreadPoolExecutor(16) as pool:
        return Counter(pool.map(ask, range(count)))


def minute_since(began: float) -> set[str | None]:
    """Return what the rest of a minute may be, in whole seconds, that began between then and now."""
    passed = int(time.monotonic() - began) + 1
    return {str(each) for each in range(60 - passed, 61)}


def admitted_before(running: Lab, seconds: float, count: int) -> None:
    """Write that another worker admitted `count` requests of Ann's key, `seconds` ago."""
    now = time.time()
    for minute in (int(now // 60) - 1, int(now // 60)):
        path = running.root / "sockets" / f"admitted-{minute % 3}"
        lines = []
        if minute == int((now - seconds) // 60):
            lines = [f"0123456789abcdef ann {int((now - seconds) * 1000)}\n"] * count
        path.write_text("".join(lines))
        if os.geteuid() == 0:
            os.chown(path, NOBODY, NOBODY)


def test_requests_at_the_same_time_are_counted_one_by_one(site: Site) -> None:
    site.lab.give(ring(per_minute=30))
    began = time.monotonic()
    found = together(site.lab, 90)
    assert sum(found.values()) == 90
    assert found[(200, None)] == 30
    assert {retry for code, retry in found if code == 429} <= minute_since(began)


def test_a_request_counts_until_it_is_sixty_seconds_old(site: Site) -> None:
    site.lab.give(ring(per_minute=30))
    admitted_before(site.lab, 30, 20)
    began = time.monotonic()
    assert status(site.lab, BOB) == 200
    found = together(site.lab, 40)
    assert found[(200, None)] == 10
    # 30 s less what has passed, rounded up, and the grain of the count
    passed = int(time.monotonic() - began) + 1
    assert {int(retry or 0) for code, retry in found if code == 429} <= set(range(30 - passed, 32))


def test_as_many_come_in_as_have_become_sixty_seconds_old_and_no_more(site: Site) -> None:
    site.lab.give(ring(per_minute=30))
    admitted_before(site.lab, 58.5, 30)
    began = time.monotonic()
    until(lambda: status(site.lab, ANN) == 200)
    found = together(site.lab, 40)
    assert found[(200, None)] == 29
    assert {retry for code, retry in found if code == 429} <= minute_since(began)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_leaves_each_thread_its_own_count(site: Site) -> None:
    site.lab.give(ring(per_minute=5))
    place, began = site.lab.root / "sockets", time.monotonic()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k,mode=777", "tmpfs", place], check=True)
    try:
        (place / "all that fits").write_bytes(bytes(4096))
        found = together(site.lab, 40)
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)
    assert set(found) <= {(200, None), *((429, each) for each in minute_since(began))}
    # Two threads.
    assert 5 <= found[(200, None)] <= 10


def test_counts_outlive_a_reload_and_a_restart(site: Site) -> None:
    site.lab.give(ring(per_minute=12))
    assert together(site.lab, 5) == {(200, None): 5}
    site.reload()
    assert together(site.lab, 5) == {(200, None): 5}
    site.lab.stop()
    site.lab.start()
    site.lab.up("tiny", "blue")
    assert together(site.lab, 5)[(200, None)] == 2


def test_a_key_has_its_requests_at_once(site: Site) -> None:
    site.lab.give(ring(concurrency=2))
    body = json.dumps({**TINY, "stream": True, "tokens": 1000, "pause": 0.01})
    clients = [http.client.HTTPConnection("127.0.0.1", site.lab.port) for _ in range(2)]
    with contextlib.ExitStack() as stack:
        for client in clients:
            stack.enter_context(contextlib.closing(client))
            client.request("POST", PATH, body, bearer(ANN))
            stack.enter_context(client.getresponse()).readline()
        code, answer, headers = site.lab.ask(PATH, TINY, **bearer(ANN))
        assert (code, answer["error"]["code"]) == (429, "rate_limit_exceeded")
        assert headers["Retry-After"] == "1"
        assert status(site.lab, BOB) == 200
    until(lambda: status(site.lab, ANN) == 200)
