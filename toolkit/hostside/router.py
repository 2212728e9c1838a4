"""Change and observe the router of this host.

The files in `<root>/router` are the truth: whatever makes HAProxy read them again (a reload for another model, a
crash, a reboot) must lead to targets that live. `apply` keeps that at each instant, so that SIGKILL between any
two statements leaves traffic with a live target, and sending the same request once more completes the work.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Mapping

import router_files
import router_releases
import router_socket
import routes_file
from router_socket import RouterDown, RouterError
from wire import Document, Servers

# HAProxy reads these; the backends come first, so that a map never names one that a start would not know.
# routes.json is what the ops machine reads back: it comes last, when all that it says is true of the others.
FILES = (
    "backends.cfg",
    "models.map",
    "models-described.map",
    "slots.map",
    "relay.map",
    "models.json",
    "routes.json",
)


def apply(root: str, request: Document) -> Document:
    """Bring files and running workers to the given state.

    Request: `files` {name: text}, all of FILES, and optionally `wait_up` seconds (5) for a target that is to gain
    traffic. Result: {"running", "changed" [names], "reloaded", "workers", "commands", "ms"}. Raises RouterError with
    the reason; where the router refused the files or a target is not up, files and workers are as before.
    """
    started = time.monotonic()
    directory = os.path.join(root, "router")
    files = request["files"]
    if wrong := set(files) ^ set(FILES):
        raise RouterError(f"unknown or missing files of the router: {', '.join(sorted(wrong))}")
    with router_files.alone(directory):
        former = {name: router_files.read(os.path.join(directory, name)) for name in FILES}
        changed = [name for name in FILES if files[name] != former[name]]
        routes = routes_file.parsed(files["routes.json"])
        try:
            loaded: Servers | None = _loaded(directory)
        except RouterDown:
            loaded = None
        reload = routes_file.needs_reload(former, files) or (
            # A run that was killed between files and reload has left a worker behind.
            loaded is not None and routes_file.outdated(loaded, routes)
        )
        if reload:
            _validate(directory, files)
        if loaded is not None:
            _wait_up(directory, loaded, routes, request.get("wait_up", 5.0))
        # Files before commands. Killed in between, the workers still use the former targets, and those live:
        # nothing is drained or stopped before this returns. A start from the new files leads to the new
        # targets, and those live too: _wait_up saw them. The other way round is no worse here, but it would leave
        # routes.json behind what serves, and it is what the next command plans from.
        router_files.write(directory, files, changed)
        if loaded is not None and reload:
            _reload(directory, former, changed)
        workers, commands = _tell(directory, routes) if loaded is not None else (0, 0)
        router_releases.follow(root)
    return {
        "running": loaded is not None,
        "changed": changed,
        "reloaded": loaded is not None and reload,
        "workers": workers,
        "commands": commands,
        "ms": round((time.monotonic() - started) * 1000, 1),
    }


def observe(root: str) -> Document:
    """Return {"running", "bind", "version", "workers", "servers", "routes", "drift"}; never raises for a router down.

    `servers` is {model: {slot: {"weight", "status", "up", "sessions"}}}: weight, status and whether its
    last checks passed (`up`, absent without a router) as the newest worker has them, sessions summed over
    all. Without a router the weights are the files' and the status is "". `drift` lists
    `model/slot` whose weight in the newest worker is not the files'.
    """
    directory = os.path.join(root, "router")
    routes = routes_file.read(directory)
    found = {
        "running": False,
        "bind": _bind(directory),
        "version": "",
        "workers": 0,
        "servers": {
            model: {
                slot: {"weight": weight, "status": "", "sessions": 0}
                for slot, weight in slots.items()
            }
            for model, slots in routes_file.weights(routes).items()
        },
        "routes": routes,
        "drift": [],
    }
    try:
        processes = router_socket.processes(directory)
        current = _views(directory, processes["current"])
        views = current + _views(directory, processes["old"])
    except RouterError:
        return found
    found.update(running=bool(processes["current"]), version=processes["version"])
    found["workers"] = len(views)
    found["servers"] = _merged(views)
    found["drift"] = _drift(routes_file.weights(routes), current)
    return found


def sessions(root: str, model: str, name: str) -> int:
    """Return the requests that the router has open to a target, over all its workers; 0 without a router.

    Those that routers of other hosts handed on are among them.
    """
    directory = os.path.join(root, "router")
    backend = routes_file.backend(model)
    total = 0
    try:
        found = router_socket.processes(directory)
        for pid in found["current"] + found["old"]:
            for each, servers in (router_socket.servers(directory, pid) or {}).items():
                if each == backend or (each.startswith("relay.") and each.endswith("." + backend)):
                    total += servers.get(name, {}).get("sessions", 0)
    except RouterError:
        return 0
    return total


def _loaded(directory: str) -> Servers:
    """Return the servers of the newest worker; raises RouterDown where no router runs."""
    current = router_socket.processes(directory)["current"]
    if not current:
        raise RouterDown("the router has no worker")
    return router_socket.servers(directory, current[-1]) or {}


def _validate(directory: str, files: dict[str, str]) -> None:
    """Let HAProxy read the new files in a directory of their own; raises RouterError with its words."""
    with tempfile.TemporaryDirectory(prefix=".next-", dir=directory) as staged:
        base = router_files.read(os.path.join(directory, "haproxy.cfg")) or ""
        origin = "default-path origin "
        texts = {"haproxy.cfg": base.replace(origin + directory, origin + staged)}
        for name in (*FILES, "keys.map", router_releases.MAP):
            texts[name] = files.get(name, router_files.read(os.path.join(directory, name)) or "")
        for name, text in texts.items():
            with open(os.path.join(staged, name), "w") as file:
                file.write(text)
        argv = ["haproxy", "-c"]
        for name in ("haproxy.cfg", "backends.cfg"):
            argv += ["-f", os.path.join(staged, name)]
        environment = dict(
            os.environ, PATH=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
        )
        try:
            checked = subprocess.run(
                argv,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                universal_newlines=True,
                timeout=30,
                env=environment,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise RouterError(f"haproxy could not check the new files: {error}")
    if checked.returncode:
        words = checked.stdout.replace(staged + "/", "").strip()
        raise RouterError(f"the router refuses its new files: {words}")


def _wait_up(directory: str, loaded: Servers, routes: Document, timeout: float) -> None:
    """Return once the newest worker's own checks say that each slot about to gain traffic is up.

    A slot that it does not know yet (its model comes with this very change) is not waited for. Raises RouterError.
    """
    until = time.monotonic() + timeout
    while True:
        late = [
            (backend, slot, loaded[backend][slot])
            for backend, slot, _ in routes_file.gains(loaded, routes)
            if not _is_up(loaded[backend][slot])
        ]
        if not late:
            return
        if time.monotonic() > until:
            backend, slot, server = late[0]
            raise RouterError(
                f"{routes_file.model(backend)}/{slot} gets no traffic: the router's checks say "
                f"{server['status']} ({server['check']})"
            )
        time.sleep(0.02)
        loaded = _loaded(directory)


def _is_up(server: Document) -> bool:
    # "INI": a server counts as up until its first check, which says nothing
    status: str = server["status"]
    return status.startswith("UP") and server["check"] != "INI"


def _reload(directory: str, former: Mapping[str, str | None], changed: list[str]) -> None:
    """Reload; where the new worker does not come up, put the former files back and say why."""
    try:
        router_socket.reload(directory)
    except RouterError as error:
        kept = {name: text or "" for name, text in former.items()}
        router_files.write(directory, kept, changed)
        with contextlib.suppress(RouterError):
            # the workers that serve are untouched; this leads the master out of its waiting mode
            router_socket.reload(directory)
        raise RouterError(f"{error}; the files are as before")


def _tell(directory: str, routes: Document) -> tuple[int, int]:
    """Bring every worker to the routes and look whether it is so; return the numbers of workers and of commands."""
    processes = router_socket.processes(directory)
    # New clients are the newest worker's. Those that a reload left behind refuse commands to their servers and are
    # steered by a map; a model that came after them has no entry there, and no backend either.
    told = 0
    for pid in processes["current"]:
        commands = routes_file.commands(router_socket.servers(directory, pid) or {}, routes)
        told += len(commands)
        complaints = router_socket.tell(directory, pid, commands)
        if complaints:
            raise RouterError("the router refused: " + "; ".join(complaints))
    steering = [
        f"set map slots.map {model} {slot}"
        for model, slot in routes_file.main_slots(routes).items()
    ]
    for pid in processes["old"]:
        complaints = router_socket.tell(directory, pid, steering)
        complaints = [each for each in complaints if "entry not found" not in each]
        if complaints:
            raise RouterError("a worker left behind refused: " + "; ".join(complaints))
    drift = _drift(routes_file.weights(routes), _views(directory, processes["current"]))
    if drift:
        raise RouterError(f"the router has other weights than its files: {', '.join(drift)}")
    return len(processes["current"]) + len(processes["old"]), told


def _views(directory: str, pids: list[int]) -> list[Servers]:
    """Return what each of the workers that still live says of its servers."""
    views = [router_socket.servers(directory, pid) for pid in pids]
    return [
        {
            routes_file.model(backend): slots
            for backend, slots in view.items()
            if backend.startswith(routes_file.PREFIX)
        }
        for view in views
        if view is not None
    ]


def _merged(views: list[Servers]) -> Servers:
    merged: Servers = {}
    for view in views:
        for model, slots in view.items():
            for slot, server in slots.items():
                # weight and status are those of the first view that knows it, the newest worker's
                entry = merged.setdefault(model, {}).setdefault(
                    slot,
                    {
                        "weight": server["weight"],
                        "status": server["status"],
                        "up": _is_up(server),
                        "sessions": 0,
                    },
                )
                entry["sessions"] += server["sessions"]
    return merged


def _drift(weights: dict[str, dict[str, int]], views: list[Servers]) -> list[str]:
    """Return `model/slot` for each weight in a worker that is not the files'."""
    return sorted(
        {
            f"{model}/{slot}"
            for view in views
            for model, slots in weights.items()
            for slot, weight in slots.items()
            if view.get(model, {}).get(slot, {}).get("weight", weight) != weight
        }
    )


def _bind(directory: str) -> str:
    """Return the address that clients use, as the base configuration has it."""
    text = router_files.read(os.path.join(directory, "haproxy.cfg")) or ""
    found = re.search(r"^frontend api\n\s+bind (\S+)", text, re.MULTILINE)
    return found.group(1) if found else ""
