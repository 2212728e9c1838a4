"""Limits on the requests of a key at once: what runs counts, and what was refused does not."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from concurrent.futures import ThreadPoolExecutor

from tests.hostside.keyed import ANN, TINY, bearer, ring
from tests.hostside.router_lab import until
from tests.hostside.router_site import PATH, Site


def test_a_refused_request_does_not_count_while_its_body_comes(site: Site) -> None:
    site.lab.give(ring(concurrency=1))
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nx-api-key: {ANN}\r\nContent-Length: 100000\r\n\r\n"
    with contextlib.ExitStack() as stack:
        running = http.client.HTTPConnection("127.0.0.1", site.lab.port, timeout=60)
        stack.enter_context(contextlib.closing(running))
        running.request("POST", PATH, json.dumps({**TINY, "gated": True}), bearer(ANN))
        until(lambda: site.blue.last[1])
        upload = socket.create_connection(("127.0.0.1", site.lab.port), timeout=60)
        stack.enter_context(upload)
        upload.sendall(head.encode() + b" " * 50_000)
        assert upload.recv(300).startswith(b"HTTP/1.1 429 ")
        site.blue.turns.release()
        assert running.getresponse().read()
        until(lambda: site.lab.ask(PATH, TINY, **bearer(ANN))[0] == 200)


def test_of_many_requests_at_once_no_more_run_than_the_limit_of_their_key(site: Site) -> None:
    site.lab.give(ring(concurrency=3, per_minute=1000))
    body = {**TINY, "gated": True}

    def ask(_: int) -> int:
        return site.lab.ask(PATH, body, **bearer(ANN))[0]

    with ThreadPoolExecutor(30) as pool:
        answers = [pool.submit(ask, n) for n in range(30)]
        until(lambda: sum(each.done() for each in answers) >= 27)
        for _ in range(30):
            site.blue.turns.release()
        found = [each.result() for each in answers]
    # Two that come at the same instant may refuse each other.
    assert 1 <= found.count(200) <= 3
    assert set(found) == {200, 429}
