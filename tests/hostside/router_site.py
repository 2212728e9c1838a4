"""A router with a model on two slots, and clients that count what comes of their requests."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from tests.hostside.router_lab import ROLE, Backend, Lab, lab, router, router_socket
from tests.planning.rendered import render_files
from toolkit.planning.routing.edits import with_model, with_weights
from toolkit.planning.routing.routes import Routes, Target

PATH = "/v1/completions"
CONFIGURATION = router.FILES


class Site:
    """A router with the model `tiny` on two slots, all of its traffic on blue."""

    def __init__(self, running: Lab, engines: tuple[Backend, Backend] | None = None) -> None:
        """With `engines` the router leads to them already."""
        self.lab = running
        self.blue, self.green = engines or both_engines()
        if engines is None:
            running.apply(leading_to(self.blue, self.green))
        running.up("tiny", "blue", "green")

    def shift(self, **weights: int) -> dict[str, Any]:
        return self.lab.apply(with_weights(self.lab.routes, "tiny", weights))

    def reload(self) -> None:
        router_socket.reload(self.lab.directory)

    def slot(self) -> str:
        return str(self.lab.ask(PATH, {"model": "tiny"})[1]["slot"])

    def files(self) -> dict[str, str]:
        return {name: Path(self.lab.directory, name).read_text() for name in CONFIGURATION}

    def consistent(self) -> None:
        """Files and every worker say the same, and what is said is the routes."""
        assert self.files() == render_files(self.lab.routes)
        assert self.lab.observe()["drift"] == []
        left = {path.name for path in Path(self.lab.directory).iterdir()} - set(CONFIGURATION)
        base = {path.name for path in (ROLE / "files").glob("*.*")} - {"launch.py"}
        base |= {path.name for path in (ROLE / "files/empty").iterdir()} - set(CONFIGURATION)
        base |= {"haproxy.cfg", "bodies.cfg", ".lock"}
        assert left == base


def both_engines() -> tuple[Backend, Backend]:
    return Backend("blue"), Backend("green")


def leading_to(blue: Backend, green: Backend) -> Routes:
    """Return the routes of the model `tiny` with all traffic on blue."""
    targets = (Target("blue", blue.port, 100), Target("green", green.port, 0))
    return with_model(Routes(), "tiny", targets, created=1)


@contextlib.contextmanager
def site_of(**variables: Any) -> Iterator[Site]:
    """A site whose router has these variables; all of it ends with the context."""
    engines = both_engines()
    with lab(routes=leading_to(*engines), **variables) as running:
        made = Site(running, engines)
        yield made
        made.blue.stop()
        made.green.stop()


class Clients:
    """Short requests on kept connections and long streams, counted by what came of them."""

    running: ClassVar[list[Clients]] = []

    def __init__(self, port: int, short: int, streams: int) -> None:
        self.running.append(self)
        self.port, self.results, self.stopped = port, Counter[str](), threading.Event()
        self.threads = [threading.Thread(target=self._short, daemon=True) for _ in range(short)]
        self.threads += [threading.Thread(target=self._stream, daemon=True) for _ in range(streams)]
        for thread in self.threads:
            thread.start()

    def stop(self) -> Counter[str]:
        if self in self.running:
            self.running.remove(self)
        self.stopped.set()
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive()
        return self.results

    def _short(self) -> None:
        connection = self._connect()
        while not self.stopped.is_set():
            try:
                connection.request("POST", PATH, b'{"model":"tiny"}')
                answer = connection.getresponse()
                text = answer.read()
                self.results["short" if answer.status == 200 else f"bad {text[:90]!r}"] += 1
            except (OSError, http.client.HTTPException) as error:
                self.results[f"bad {error!r}"] += 1
                connection.close()
            time.sleep(0.01)
        connection.close()

    def _stream(self) -> None:
        connection = self._connect()
        while not self.stopped.is_set():
            try:
                body = {"model": "tiny", "stream": True, "tokens": 60, "pause": 0.02}
                connection.request("POST", PATH, json.dumps(body))
                lines = connection.getresponse().read().split(b"\n\n")
                slots = {json.loads(line[6:])["slot"] for line in lines[:-2]}
                whole = len(lines) == 62 and lines[-2] == b"data: [DONE]" and len(slots) == 1
                self.results["stream" if whole else f"bad {lines[-1]!r}"] += 1
            except (OSError, ValueError, http.client.HTTPException) as error:
                self.results[f"bad {error!r}"] += 1
                connection.close()
        connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
