"""Change the router of this host.

The files in `<root>/router` are the truth. Whenever HAProxy reads them again (a reload for another model, a crash, a
reboot) they must lead to live targets. `apply` keeps that true at each instant: SIGKILL between any two statements
leaves traffic with a live target, and the same request, sent again, completes the work.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping

import deployment_lock
import holds
import router_check
import router_files
import router_releases
import router_socket
import router_view
import routes_file
import sleeping
import withdrawals
from directory import make_own
from router_files import FILES
from router_socket import RouterDown, RouterError
from splices import Stale, spliced
from wire import Document, Servers


def apply(root: str, request: Document) -> Document:
    """Bring files and running workers to the given state: by a reload where one is needed, else by commands.

    Request: `files` {name: text} and `edits`, see `spliced`, together all of FILES; and optionally `wait_up` seconds
    (5) for a target that is to gain traffic, and `holder`, the token of the deployment lock that the command must still
    hold. Result: {"running", "changed" [names], "reloaded", "workers", "commands", "ms"}. Nothing has changed where the
    result is {"stale" [names]}, since edits belong to other files than this host's, or {"withdrawn": {"target",
    "number"}}, since the files give traffic to a release that this host's guard has withdrawn. Raises LockLost, and
    RouterError with the reason; where the router refused the files or a target is not up, files and workers are as
    before.
    """
    started = time.monotonic()
    directory = os.path.join(root, "router")
    named = {*request.get("files", {}), *request.get("edits", {})}
    if wrong := named ^ set(FILES):
        raise RouterError(f"unknown or missing files of the router: {', '.join(sorted(wrong))}")
    if not os.path.isdir(directory):
        # As for keys: a router that is provisioned later reads the files.
        make_own(root, "router")
    with router_files.alone(directory):
        if "holder" in request:
            deployment_lock.require(root, request["holder"])
        former = {name: router_files.read(os.path.join(directory, name)) for name in FILES}
        try:
            files = spliced(request.get("files", {}), request.get("edits", {}), former)
        except Stale as stale:
            return {"stale": stale.args[0]}
        changed = [name for name in FILES if router_files.differs(directory, name, files[name])]
        routes = routes_file.parsed(files["routes.json"])
        had = routes_file.parsed(former["routes.json"] or "")
        if withdrawn := withdrawals.given_back(root, had, routes):
            return {"withdrawn": withdrawn}
        try:
            loaded: Servers | None = _loaded(directory)
        except RouterDown:
            loaded = None
        reload = routes_file.needs_reload(former, files) or (
            # A run that was killed between files and reload leaves such a worker.
            loaded is not None and routes_file.outdated(loaded, routes)
        )
        reload = reload and _is_accepted(root, loaded, former, files)
        if loaded is not None:
            _wait_up(directory, loaded, routes, request.get("wait_up", 5.0))
        # Write the files before the commands are sent. Killed in between, the workers still use the former targets,
        # which live: nothing is drained or stopped before this returns. A start from the new files leads to the new
        # targets, which live too: _wait_up saw them. The other order would leave routes.json behind the workers, and
        # the next command plans from routes.json.
        router_files.write(directory, files, changed)
        # Before a slot gains traffic, so that its first answer has the right label.
        router_releases.follow(root)
        if loaded is not None and reload:
            _reload(directory, former, changed)
        workers, commands = tell(directory, routes) if loaded is not None else (0, 0)
    return {
        "running": loaded is not None,
        "changed": changed,
        "reloaded": loaded is not None and reload,
        "workers": workers,
        "commands": commands,
        "ms": round((time.monotonic() - started) * 1000, 1),
    }


def _is_accepted(
    root: str, loaded: Servers | None, former: Mapping[str, str | None], files: Mapping[str, str]
) -> bool:
    """Whether HAProxy takes the new files, so that a reload may follow; raises RouterError where it does not.

    False where none need follow, because the files only mend what the worker has, beside a damaged base.
    """
    try:
        router_check.check(root, dict(files), runs=loaded is not None)
    except RouterError:
        routes = routes_file.parsed(files["routes.json"])
        follows = loaded is None or not routes_file.outdated(loaded, routes)
        if not (follows and router_check.only_mends(root, former, files)):
            raise
        return False
    return True


def _loaded(directory: str) -> Servers:
    """Return the servers of the newest worker; raises RouterDown where no router runs."""
    current = router_socket.processes(directory)["current"]
    if not current:
        raise RouterDown("the router has no worker")
    return router_socket.servers(directory, current[-1]) or {}


def _wait_up(directory: str, loaded: Servers, routes: Document, timeout: float) -> None:
    """Return once the newest worker's own checks say that each slot about to gain traffic is up.

    A slot that the worker does not know yet (its model comes with this change) is not waited for. Raises RouterError.
    """
    until = time.monotonic() + timeout
    while True:
        late = [
            (backend, slot, loaded[backend][slot])
            for backend, slot, _ in routes_file.gains(loaded, routes)
            # A standby that is not up yet takes over once it is.
            if not slot.startswith(routes_file.TWIN)
            and not router_view.is_up(loaded[backend][slot])
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


def _reload(directory: str, former: Mapping[str, str | None], changed: list[str]) -> None:
    """Reload; where the new worker does not come up, put the former files back and raise RouterError."""
    try:
        router_socket.reload(directory)
    except RouterError as error:
        kept = {name: text or "" for name, text in former.items()}
        router_files.write(directory, kept, changed)
        with contextlib.suppress(RouterError):
            # The workers that serve are untouched; this ends the master's wait mode.
            router_socket.reload(directory)
        raise RouterError(f"{error}; the files are as before")


def tell(directory: str, routes: Document) -> tuple[int, int]:
    """Bring every worker to the routes and verify it; return the numbers of workers and of commands.

    Raises RouterError where a worker refuses a command.
    """
    processes = router_socket.processes(directory)
    workers = processes["current"] + processes["old"]
    # Requests begin to wait before their target loses its weight, and go on once another has one.
    begun, ended = _holds(directory, workers, routes)
    _set_asleep(directory, workers, sleeping.entries(routes))
    _set_in_all(directory, workers, "holds.map", begun)
    # New clients get to the newest worker. Older workers refuse commands to their servers, so slots.map steers them; a
    # model that came later has no entry there, and no backend either.
    told = 0
    for pid in processes["current"]:
        commands = routes_file.commands(router_socket.servers(directory, pid) or {}, routes)
        told += len(commands)
        complaints = router_socket.tell(directory, pid, commands)
        if complaints:
            raise RouterError("the router refused: " + "; ".join(complaints))
        # After the weights: a canary that gets all of the traffic keeps its share until it has its weight.
        _set_shares(directory, pid, routes)
    steering = [
        f"set map slots.map {model} {slot}"
        for model, slot in routes_file.main_slots(routes).items()
    ]
    for pid in processes["old"]:
        complaints = router_socket.tell(directory, pid, steering)
        complaints = [each for each in complaints if "entry not found" not in each]
        if complaints:
            raise RouterError("a worker left behind refused: " + "; ".join(complaints))
    # The newest worker steers by weights; it tells by this map which version serves.
    _set_in_all(directory, processes["current"], "slots.map", routes_file.main_slots(routes))
    _set_in_all(directory, workers, "relay.map", routes_file.relays(routes))
    _set_in_all(directory, workers, "holds.map", ended)
    current = router_view.servers(directory, processes["current"])
    drift = router_view.wrong_weights(routes_file.all_weights(routes), current)
    if drift:
        raise RouterError(f"the router has other weights than its files: {', '.join(drift)}")
    return len(workers), told


def _set_shares(directory: str, pid: int, routes: Document) -> None:
    """Tell a worker the shares. In a new one, conversations that a canary has failed may draw once more."""
    shares, drawing = routes_file.shares(routes), routes_file.drawing(routes)
    if drawing and router_socket.read_map(directory, pid, "shares.map") != shares:
        # A worker that has no such table complains, and draws without it.
        tables = [f"clear table {routes_file.backend(each)}" for each in drawing]
        router_socket.tell(directory, pid, tables)
    router_socket.set_map(directory, pid, "shares.map", shares)


def _holds(
    directory: str, workers: list[int], routes: Document
) -> tuple[dict[str, str], dict[str, str]]:
    """Return holds.map for the workers while the weights change, and afterwards."""
    known: dict[str, str] = {}
    # A worker that started from the files does not know since when requests wait; others do.
    for pid in workers:
        for model, value in (router_socket.read_map(directory, pid, "holds.map") or {}).items():
            known[model] = max(known.get(model, ""), value, key=len)
    wanted = holds.of_routes(routes)
    ended = holds.held(wanted, time.time(), known)
    # One that is armed lets requests go on: once a target has its weight.
    begun = {model: ended[model] for model, each in wanted.items() if each[0] != holds.ARMED}
    return {**known, **begun}, ended


def _set_asleep(directory: str, workers: list[int], entries: dict[str, str]) -> None:
    """Tell the workers the sleeping models, and keep their notes of requests that want one."""
    for pid in workers:
        known = router_socket.read_map(directory, pid, "asleep.map") or {}
        wishes = sleeping.wishes(known, entries)
        router_socket.set_map(directory, pid, "asleep.map", {**entries, **wishes})


def _set_in_all(directory: str, workers: list[int], name: str, entries: dict[str, str]) -> None:
    for pid in workers:
        router_socket.set_map(directory, pid, name, entries)
