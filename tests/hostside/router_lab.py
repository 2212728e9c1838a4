"""A real router in a directory of its own, with small streaming backends behind it, for the tests of the router.

The base configuration is the role's own template with the role's own defaults.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

from tests.hostside.ports import closed_port, free_port
from tests.hostside.router_backend import Backend
from tests.planning.rendered import render_files
from toolkit.domain.clients.keys import KeyRing
from toolkit.planning.routing.routes import Routes

REPO = Path(__file__).parents[2]
ROLE = REPO / "playbooks/roles/router"
sys.path.insert(0, str(REPO / "toolkit/hostside"))

import directory  # noqa: E402
import router  # noqa: E402
import router_check  # noqa: E402
import router_files  # noqa: E402
import router_keys  # noqa: E402
import router_socket  # noqa: E402
import router_view  # noqa: E402
import seals  # noqa: E402

__all__ = [
    "Backend",
    "Lab",
    "closed_port",
    "free_port",
    "lab",
    "router",
    "router_check",
    "router_files",
    "router_keys",
    "router_socket",
    "router_view",
    "seals",
    "until",
]

NOBODY = 65534
# A look at a router takes milliseconds of two processes: a long wait is one for seldom looks.
SELDOM = 0.04


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    """Let the disk take no file of the toolkit's host side any more."""

    def write(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(directory.Directory, "write", write)
        yield


def until(condition: Callable[[], Any], seconds: float = 60.0, *, pause: float = 0.005) -> Any:
    """Return the first true value of `condition`; fail after `seconds`.

    It is asked for after `pause` seconds, and less often the longer that takes, but each 40 ms at least.
    """
    deadline = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        if value := condition():
            return value
        # The last look begins after the end, so that a machine that stood still till then has one.
        assert began < deadline, f"the awaited condition did not come; seen last: {value!r}"
        time.sleep(pause)
        pause = max(pause, min(1.5 * pause, SELDOM))


def write_base(root: Path, **variables: Any) -> None:
    """Write what the role writes: base, reader of bodies, empty routes."""
    directory = root / "router"
    directory.mkdir()
    (root / "sockets").mkdir(mode=0o700)
    values = {
        **yaml.safe_load((ROLE / "defaults/main.yml").read_text()),
        **yaml.safe_load((ROLE / "vars/main.yml").read_text()),
        "toolkit_root": str(root),
        **variables,
    }
    environment = _templates()
    for name in ("haproxy.cfg", "bodies.cfg"):
        text = environment.get_template(f"{name}.j2").render(values)
        (directory / name).write_text(text)
    for file in (ROLE / "files").iterdir():
        if file.is_file() and file.name != "launch.py":
            shutil.copy(file, directory)
    for empty in (ROLE / "files/empty").iterdir():
        shutil.copy(empty, directory)


@functools.cache
def _templates() -> jinja2.Environment:
    """Return the role's templates, which are compiled once."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(ROLE / "templates"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
    )
    environment.filters.update(
        to_json=json.dumps,
        bool=bool,
        regex_replace=lambda text, form, new: re.sub(form, new, text),
    )
    return environment


def patient(lab: Lab) -> None:
    """Let the router wait for other hosts' counts of requests for as long as a busy machine may take."""
    path = Path(lab.directory, "limits.lua")
    text = path.read_text()
    assert text.count("local TIMEOUT = 0.5 ") == 1
    path.write_text(text.replace("local TIMEOUT = 0.5 ", "local TIMEOUT = 30 "))
    router_socket.reload(lab.directory)


class Lab:
    """A running router below `root`, of the host `at` where it is one of several."""

    def __init__(self, root: Path, port: int, at: str = "", routes: Routes | None = None) -> None:
        self.root, self.port, self.routes, self.at = root, port, routes or Routes(), at
        self.directory = str(root / "router")
        self.log = root / "log"
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        files = [f"{self.directory}/haproxy.cfg", f"{self.directory}/backends.cfg"]
        # As a unit and the launcher do: the master has its socket from outside, also while it replaces itself.
        control = self.root / "control"
        control.mkdir(mode=0o700, exist_ok=True)
        (control / "master.sock").unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(control / "master.sock"))
        listener.listen(128)
        argv = ["/usr/sbin/haproxy", "-W", "-S", f"fd@{listener.fileno()}"]
        for file in files:
            argv += ["-f", file]
        ordinary = (
            {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        )
        given = {"pass_fds": (listener.fileno(),), "process_group": 0, **ordinary}
        with self.log.open("ab") as log, listener:
            process = subprocess.Popen(argv, stdout=log, stderr=log, cwd="/", **given)  # type: ignore[call-overload]
        try:
            until(lambda: process.poll() is not None or self._is_up())
            assert process.poll() is None, self.log.read_text()
        except BaseException:
            process.kill()
            process.wait()
            raise
        return process  # type: ignore[no-any-return]

    def _is_up(self) -> bool:
        """Whether the router runs, and its process for larger bodies, which comes a moment later, takes connections."""
        with socket.socket(socket.AF_UNIX) as bodies, contextlib.suppress(OSError):
            bodies.connect(str(self.root / "sockets/bodies.sock"))
            return bool(self.observe()["running"])
        return False

    def stop(self) -> None:
        """End the router and all of its workers."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)

    def kill(self) -> None:
        """End the router, its workers and its programs at once; after a reload an orderly end takes seconds."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def start(self) -> None:
        """Start it again from its files."""
        self.process = self._start()

    def apply(self, new: Routes, **extra: Any) -> dict[str, Any]:
        """Bring the router to the routes, as the toolkit does."""
        request = {"files": render_files(new, self.at), **extra}
        done: dict[str, Any] = router.apply(str(self.root), request)
        self.routes = new
        return done

    def give(self, ring: KeyRing) -> dict[str, Any]:
        """Bring the router to the keys, as the toolkit does; return what it has now."""
        united: dict[str, Any] = router_keys.apply(str(self.root), ring.as_json())
        return united

    def requests(self, of: str = "") -> list[dict[str, Any]]:
        """Return the lines of the access log, without one that is being written; with `of` those that begin so."""
        lines = self.log.read_text().rpartition("\n")[0].splitlines()
        return [json.loads(line.removeprefix(of)) for line in lines if line.startswith(f"{of}{{")]

    def observe(self) -> dict[str, Any]:
        facts: dict[str, Any] = router_view.observe(str(self.root))
        return facts

    def connections(self) -> int:
        """Return how many connections the router's newest worker holds now."""
        pid = router_socket.processes(self.directory)["current"][-1]
        (info,) = router_socket.tell(self.directory, pid, ["show info"])
        return int(info.partition("CurrConns: ")[2].split()[0])

    def up(self, model: str, *slots: str) -> None:
        """Wait until the router's own checks say that the slots are up."""

        def checked() -> bool:
            pid = router_socket.processes(self.directory)["current"][-1]
            known = router_socket.servers(self.directory, pid).get(f"model.{model}", {})
            return all(slot in known and router_view.is_up(known[slot]) for slot in slots)

        until(checked)

    def ask(
        self, path: str, body: Any = None, method: str | None = None, **headers: str
    ) -> tuple[int, Any, http.client.HTTPMessage]:
        """Return status, decoded answer and headers of one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            data = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
            connection.request(
                method or ("GET" if body is None else "POST"),
                path,
                data,
                {name.replace("_", "-"): value for name, value in headers.items()},
            )
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else None, answer.headers


@contextlib.contextmanager
def lab(at: str = "", routes: Routes | None = None, **variables: Any) -> Iterator[Lab]:
    """A router with these routes or none, ended and removed at the end.

    To begin with them takes half as long as to come to them, by a check and a reload.
    """
    root = Path(tempfile.mkdtemp(prefix="router-"))
    port = free_port()
    variables = {
        "router_bind": f"127.0.0.1:{port}",
        "router_metrics_bind": f"127.0.0.1:{free_port()}",
        **variables,
    }
    try:
        write_base(root, **variables)
        for name, text in render_files(routes, at).items() if routes else ():
            (root / "router" / name).write_text(text)
        root.chmod(0o755)
        if os.geteuid() == 0:
            # As the role leaves them: files for the router to read, sockets of its own, and its log.
            for path in (root / "router", *(root / "router").iterdir()):
                os.chown(path, 0, NOBODY)
            os.chown(root / "sockets", NOBODY, NOBODY)
        running = Lab(root, port, at, routes)
        try:
            yield running
        finally:
            running.kill()
    finally:
        shutil.rmtree(root)


@contextlib.contextmanager
def labs(relays: Mapping[str, str], routes: Routes) -> Iterator[dict[str, Lab]]:
    """Routers of several hosts with the same routes, by host; `relays` has the address of each one's relay."""
    with contextlib.ExitStack() as stack:
        yield {
            name: stack.enter_context(
                lab(
                    name,
                    routes,
                    router_relay_bind=relays[name],
                    router_peers=["127.0.0.9"],
                    router_relays=list(relays.values()),
                )
            )
            for name in relays
        }
