"""Bodies that are read elsewhere: which of them count, for how long, and against whom."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
from pathlib import Path

import pytest

from tests.hostside.keyed import BOB, TINY, bearer, ring
from tests.hostside.router_lab import Lab, free_port, lab, router_socket, until
from tests.hostside.router_site import PATH, Site, site_of
from tests.hostside.test_router_crowd import descendants, resident
from toolkit.domain.clients.keys import KeyRing
from toolkit.planning.routing.keys import with_key


def client(stack: contextlib.ExitStack, running: Lab) -> http.client.HTTPConnection:
    made = http.client.HTTPConnection("127.0.0.1", running.port, timeout=60)
    return stack.enter_context(contextlib.closing(made))


def statuses(clients: list[http.client.HTTPConnection], size: int) -> list[int]:
    """Begin a stream on each connection, with a body of so many bytes; return the statuses while all of them run."""
    stream = {**TINY, "stream": True, "tokens": 300, "pause": 0.02}
    answers = []
    for each in clients:
        each.request("POST", PATH, json.dumps(stream).ljust(size), bearer(BOB))
        answers.append(each.getresponse())
        answers[-1].readline()
    return [each.status for each in answers]


def left_behind(stack: contextlib.ExitStack, **limits: int) -> list[http.client.HTTPConnection]:
    """Return twelve connections that a reload left to the former worker, each between two requests."""
    running = stack.enter_context(lab(**limits))
    site = Site(running)
    stack.callback(site.blue.stop)
    stack.callback(site.green.stop)
    running.give(ring())
    kept = [client(stack, running) for _ in range(12)]
    for each in kept:
        each.request("POST", PATH, json.dumps(TINY), bearer(BOB))
        assert each.getresponse().read()
    site.reload()
    until(lambda: router_socket.processes(running.directory)["old"])
    return kept


def test_after_a_reload_kept_connections_get_as_many_answers_to_large_bodies() -> None:
    with contextlib.ExitStack() as stack:
        kept = left_behind(stack, router_medium_bodies_of_key=3, router_large_bodies_of_key=3)
        assert statuses(kept[:6], 20_000) == [200] * 6
        assert statuses(kept[6:], 1_100_000) == [200] * 6


def test_a_former_worker_reads_no_more_large_bodies_at_once_than_a_worker_may() -> None:
    with contextlib.ExitStack() as stack:
        kept = left_behind(stack, router_medium_bodies=4, router_large_bodies=4)
        assert statuses(kept[:6], 20_000) == [200] * 4 + [429] * 2
        assert statuses(kept[6:], 1_100_000) == [200] * 4 + [429] * 2


def test_a_stream_whose_request_had_a_large_body_takes_little_memory() -> None:
    count = 20
    with site_of() as made, contextlib.ExitStack() as stack:
        made.lab.give(ring())
        before = resident(made.lab)
        assert statuses([client(stack, made.lab) for _ in range(count)], 20_000) == [200] * count
        assert resident(made.lab) - before < count * 1_000_000


@pytest.mark.parametrize("http", ["--http1.1", "--http2-prior-knowledge"])
def test_a_body_of_unknown_length_is_large(http: str) -> None:
    with lab(router_large_bodies_of_key=0) as running:
        site = Site(running)
        argv = [
            "curl",
            "-sS",
            http,
            "--max-time",
            "20",
            "-X",
            "POST",
            "-T",
            "-",
            "-w",
            "%{http_code}",
        ]
        argv += ["-o", os.devnull, f"http://127.0.0.1:{running.port}{PATH}"]
        body = json.dumps(TINY).encode().ljust(20_000)
        done = subprocess.run(argv, input=body, capture_output=True, check=True)
        assert done.stdout == b"429"
        assert running.ask(PATH, body)[0] == 200
        site.blue.stop()
        site.green.stop()


def upload(running: Lab, key: str, size: int) -> socket.socket:
    """Begin an upload that stands still at its half."""
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nx-api-key: {key}\r\nContent-Length: {size}\r\n\r\n"
    begun = socket.create_connection(("127.0.0.1", running.port), timeout=60)
    begun.sendall(head.encode() + b" " * (size // 2))
    return begun


def counted(running: Lab) -> int:
    """Return how many bodies count that the router sent to be read, those whose answer runs included."""
    pid = router_socket.processes(running.directory)["current"][-1]
    (table,) = router_socket.tell(running.directory, pid, ["show table bodies_sent"])
    return sum(map(int, re.findall(r"conn_cur=(\d+)", table)))


def refused(begun: socket.socket) -> bool:
    return begun.recv(300).startswith(b"HTTP/1.1 429 ")


@pytest.mark.parametrize("size", [100_000, 2_000_000], ids=["medium", "large"])
def test_a_refused_body_does_not_count_while_the_rest_of_it_comes(size: int) -> None:
    with (
        lab(router_large_bodies_of_key=2, router_medium_bodies_of_key=2) as running,
        contextlib.ExitStack() as stack,
    ):
        site = Site(running)
        stack.callback(site.blue.stop)
        stack.callback(site.green.stop)
        running.give(ring())
        read = [stack.enter_context(upload(running, BOB, size)) for _ in range(2)]
        body = json.dumps(TINY).encode().ljust(size)

        def code() -> int:
            return running.ask(PATH, body, **bearer(BOB))[0]

        until(lambda: counted(running) == 2)
        assert code() == 429
        more = [stack.enter_context(upload(running, BOB, size)) for _ in range(2)]
        assert all(refused(each) for each in more)
        for each in read:
            each.close()
        until(lambda: code() == 200)
        assert [code() for _ in range(3)] == [200] * 3


@pytest.mark.parametrize(
    ("size", "limits"),
    [
        (2_000_000, {}),
        (100_000, {"router_medium_bodies": 64, "router_medium_bodies_of_key": 16}),
    ],
    ids=["large", "medium"],
)
def test_a_few_keys_leave_room_for_the_large_bodies_of_others(
    size: int, limits: dict[str, int]
) -> None:
    keys, busy, places = [f"tk-{each}-" + "k" * 32 for each in range(8)], 5, 64
    given = KeyRing()
    for number, key in enumerate(keys):
        given = with_key(given, f"key{number}", key, now=number + 1.0)
    with site_of(**limits) as made, contextlib.ExitStack() as stack:
        made.lab.give(given)
        for key in keys[:busy]:
            for _ in range(16):
                stack.enter_context(upload(made.lab, key, size))
        # Of uploads that come in turn each key gets ten or eleven; one that comes first has its share of 16.
        until(lambda: counted(made.lab) >= 5 * 10 + 4)
        body = json.dumps(TINY).encode().ljust(size)
        for key in keys[busy:]:
            assert made.lab.ask(PATH, body, **bearer(key))[0] == 200
        assert counted(made.lab) < places


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_large_body_with_a_key_does_not_count_against_its_address(address: str) -> None:
    port = free_port()
    bind = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    stream = {**TINY, "stream": True, "tokens": 300, "pause": 0.02}
    with (
        lab(router_bind=bind, router_connections_of_host=10) as running,
        contextlib.ExitStack() as stack,
    ):
        site = Site(running)
        stack.callback(site.blue.stop)
        stack.callback(site.green.stop)
        running.give(ring())
        answers = []
        for _ in range(15):
            each = http.client.HTTPConnection(address, port, timeout=60)
            stack.enter_context(contextlib.closing(each))
            each.request("POST", PATH, json.dumps(stream).ljust(20_000), bearer(BOB))
            answers.append(each.getresponse())
            answers[-1].readline()
        assert [each.status for each in answers] == [200] * 15
        assert "X-Toolkit-Client" not in site.blue.headers


def test_where_memory_runs_out_the_process_for_large_bodies_ends_first(site: Site) -> None:
    def scores() -> dict[str, set[int]]:
        """Return how much sooner than others the kernel ends the router's processes, by their command and files."""
        found: dict[str, set[int]] = {}
        for pid in descendants(site.lab.process.pid):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            name = f"{Path(words[0].decode()).name} {Path(words[-2].decode()).name}"
            found.setdefault(name, set()).add(int(Path(f"/proc/{pid}/oom_score_adj").read_text()))
        return found

    usual = {int(Path("/proc/self/oom_score_adj").read_text())}
    assert scores() == {
        "haproxy backends.cfg": usual,
        "bash bodies.cfg": usual,
        "haproxy bodies.cfg": {1000},
    }
