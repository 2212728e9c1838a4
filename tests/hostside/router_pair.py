"""The routers of two hosts, each with an engine: each router leads to both engines, through the other one."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.hostside.router_lab import Backend, Lab, free_port, labs, router_socket
from toolkit.planning.routing.edits import with_model, with_weights
from toolkit.planning.routing.routes import Routes, Target

PATH = "/v1/completions"


@dataclass
class Pair:
    """Hosts `a` and `b`, each with a router and an engine in slot blue."""

    routers: dict[str, Lab]
    engines: dict[str, Backend]
    routes: Routes

    def apply(self, routes: Routes) -> None:
        self.routes = routes
        for router in self.routers.values():
            router.apply(routes)

    def answers(self, at: str, count: int = 20) -> Counter[str]:
        asked = (self.routers[at].ask(PATH, {"model": "tiny"}) for _ in range(count))
        return Counter(headers["X-Toolkit-Slot"] for status, _, headers in asked if status == 200)


@pytest.fixture
def pair() -> Iterator[Pair]:
    addresses = {"a": "127.0.0.2", "b": "127.0.0.3"}
    relays = {name: f"{address}:{free_port()}" for name, address in addresses.items()}
    with contextlib.ExitStack() as stack:
        engines = {name: Backend(name) for name in addresses}
        for engine in engines.values():
            stack.callback(engine.stop)
        targets = tuple(
            Target("blue", engines[name].port, 100, name, relays[name]) for name in addresses
        )
        routes = with_model(Routes(), "tiny", targets, created=1)
        routers = stack.enter_context(labs(relays, routes))
        made = Pair(routers, engines, routes)
        for router in routers.values():
            router.up("tiny", "a.blue", "b.blue")
        yield made


def name_releases(pair: Pair) -> None:
    """Give each host's slot blue a release of its own."""
    for name, router in pair.routers.items():
        directory = router.root / "slots" / "tiny-blue"
        directory.mkdir(parents=True)
        release = {"version": f"of-{name}", "number": 3}
        manifest = {"model": "tiny", "slot": "blue", "release": release}
        (directory / "manifest.json").write_text(json.dumps(manifest))
    pair.apply(with_weights(pair.routes, "tiny", {"a.blue": 99}))


def current(router: Lab) -> int:
    return int(router_socket.processes(router.directory)["current"][-1])


def workers_of(router: Lab) -> list[int]:
    found = router_socket.processes(router.directory)
    return [*found["current"], *found["old"]]


def kill(router: Lab) -> None:
    """Kill a router: its workers first, of which a former one may end at this moment."""
    for pid in workers_of(router):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    router.process.kill()
