"""A host vanishes: it takes no connection any more and refuses none. What had not begun there goes to another host."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.hostside.router_lab import Backend, Lab, free_port, lab, router_socket, until
from toolkit.planning.routing.edits import with_model
from toolkit.planning.routing.routes import Routes, Target

PATH = "/v1/completions"


class Relay:
    """The router of a host `b` that answers, until it vanishes as with its power."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.3", 0), backlog=128)
        self._listener.settimeout(0.01)
        self.address = "{}:{}".format(*self._listener.getsockname())
        self.vanished, self._goes_on = threading.Event(), threading.Event()
        self._goes_on.set()
        self._others: list[socket.socket] = []
        self._taking = threading.Thread(target=self._take, daemon=True)
        self._taking.start()

    def vanish(self) -> None:
        """Take no connection any more, so that the kernel answers none, and say nothing on those that are there."""
        self.vanished.set()
        self._taking.join()
        self._listener.listen(0)
        for _ in range(4):
            waiting = socket.socket()
            waiting.setblocking(False)
            waiting.connect_ex(self._listener.getsockname())
            self._others.append(waiting)

    @contextlib.contextmanager
    def pausing(self) -> Iterator[None]:
        """Say nothing meanwhile."""
        self._goes_on.clear()
        yield
        self._goes_on.set()

    def end(self) -> None:
        self.vanished.set()
        self._taking.join()
        for each in (*self._others, self._listener):
            each.close()

    def _take(self) -> None:
        while not self.vanished.is_set():
            with contextlib.suppress(TimeoutError):
                taken, _ = self._listener.accept()
                self._others.append(taken)
                threading.Thread(target=self._serve, args=(taken,), daemon=True).start()

    def _serve(self, taken: socket.socket) -> None:
        with contextlib.suppress(OSError), taken.makefile("rb") as lines:
            while first := lines.readline():
                size = 0
                while (line := lines.readline().strip()) and line:
                    name, _, value = line.decode().partition(":")
                    size = int(value) if name.lower() == "content-length" else size
                lines.read(size)
                self._goes_on.wait()
                if self.vanished.is_set():
                    return
                known = "200 model.tiny/b.blue " if b"/healths" in first else '{"slot":"b"}'
                head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(known)}\r\n\r\n"
                taken.sendall((head + known).encode())


@pytest.fixture
def relay() -> Iterator[Relay]:
    made = Relay()
    yield made
    made.end()


@contextlib.contextmanager
def router_with(relay: Relay, *engines: Backend) -> Iterator[Lab]:
    """Run the router of a host `a`, which has these engines for the model that `b` serves too."""
    own = f"127.0.0.2:{free_port()}"
    places = [("a", engine.port, own) for engine in engines] + [("b", 8100, relay.address)]
    targets = tuple(Target("blue", port, 100, at, to) for at, port, to in places)
    routes = with_model(Routes(), "tiny", targets, created=1)
    relays = [own, relay.address]
    with lab("a", routes, router_relay_bind=own, router_relays=relays) as running:
        running.up("tiny", *(each.name for each in targets))
        yield running


@contextlib.contextmanager
def asking(router: Lab) -> Iterator[Counter[str]]:
    """Let eight clients ask all the time; count which host answered, the code of an error, or what else they met."""
    answers: Counter[str] = Counter()
    stopped = threading.Event()

    def ask() -> None:
        while not stopped.is_set():
            try:
                status, answer, headers = router.ask(PATH, {"model": "tiny"})
                word = answer["slot"] if status == 200 else answer["error"]["code"]
                answers[f"{word} {headers['Retry-After']}" if status == 503 else word] += 1
            except (OSError, http.client.HTTPException) as error:
                answers[repr(error)] += 1

    clients = [threading.Thread(target=ask) for _ in range(8)]
    for each in clients:
        each.start()
    yield answers
    stopped.set()
    for each in clients:
        each.join()


def vanish(relay: Relay, router: Lab) -> None:
    relay.vanish()
    until(lambda: not router.observe()["servers"]["tiny"]["b.blue"]["up"])
    time.sleep(1)


def test_requests_that_were_connecting_to_it_are_answered_by_another_host(relay: Relay) -> None:
    engine = Backend("a")
    with router_with(relay, engine) as router, asking(router) as answers:
        until(lambda: answers["a"] > 20 and answers["b"] > 20)
        vanish(relay, router)
    engine.stop()
    # What had been sent there is lost with it, and its clients are told so.
    lost = answers.pop("replica_broke_off", 0)
    assert (set(answers), lost <= 8) == ({"a", "b"}, True)


def test_where_it_alone_serves_a_model_they_are_told_that_no_replica_is_up(relay: Relay) -> None:
    with router_with(relay) as router, asking(router) as answers:
        until(lambda: answers["b"] > 20)
        vanish(relay, router)
    lost = answers.pop("replica_broke_off", 0)
    assert (set(answers), lost <= 8) == ({"b", "no_replica 1"}, True)


def test_a_host_that_alone_serves_a_model_and_pauses_loses_no_request(relay: Relay) -> None:
    with router_with(relay) as router, asking(router) as answers:
        until(lambda: answers["b"] > 20)
        before = answers["b"]
        with relay.pausing():
            until(lambda: "model.tiny" in doubts(router))
        until(lambda: answers["b"] > before + 40)
    assert set(answers) == {"b"}


def doubts(router: Lab) -> dict[str, str]:
    """Return the backends whose requests wait while their hosts are in doubt."""
    pid = router_socket.processes(router.directory)["current"][-1]
    name = f"{router.directory}/doubted.map"
    return router_socket.read_map(router.directory, pid, name) or {}
