"""Wait for a replica: until it is ready, while it bakes, until it is drained."""

from __future__ import annotations

import os
import time

import completion
import hang
import logs
import processes
import read_ahead
import router_releases
import router_view
import signs
import slot_manifest
from wire import Document, Report

TICK = 0.1


def wait_ready(request: Document, report: Report) -> Document:
    """Return once the engine is healthy, or as soon as the process dies or `timeout` seconds have passed.

    Result: {"ready": bool, "reason": str, "seconds": float, "log": [...]}. The log holds the lines about memory if the
    replica is ready, else the last lines. Reports {"seconds", "line"} about once a second, with the newest log line.
    """
    root, program, port = request["root"], request["program"], request["port"]
    started, reported = time.monotonic(), 0.0
    read_ahead.start(root, program)
    first = processes.state(root, program)
    pid, reason, shown = first["pid"], "", signs.of_slot(root, program)
    while True:
        elapsed = time.monotonic() - started
        if completion.healthy(port, shown["health"]):
            said = logs.having(logs.path(root, program), shown["memory"])
            said += completion.cache_info(port, shown)
            router_releases.tell(root)
            return {"ready": True, "reason": "", "seconds": elapsed, "log": said}
        if int(elapsed / TICK) % 3 == 0:
            now = processes.state(root, program)
            pid = pid or now["pid"]
            if now["state"] != "running" or (pid and now["pid"] != pid):
                reason = "its process ended"
        if elapsed > request["timeout"]:
            reason = f"it was not ready within {request['timeout']:.0f} s"
        if reason:
            return {
                "ready": False,
                "reason": reason,
                "seconds": elapsed,
                "log": tail(root, program),
            }
        if elapsed - reported >= 1:
            reported = elapsed
            report({"seconds": elapsed, "line": _last(logs.tail(logs.path(root, program), 1))})
        time.sleep(TICK)


def tail(root: str, program: str) -> list[str]:
    """Return the last lines of the log with the failure, right after a restart those of the former log too."""
    path = logs.path(root, program)
    lines, former = logs.tail(path, 400), path + ".1"
    if len(lines) > 60 or not _follows(former, slot_manifest.path(root, program)):
        return lines
    return logs.tail(former, 400) + lines


def _follows(log: str, manifest: str) -> bool:
    """Whether a log goes on after its slot got this manifest; an older one is of the release before."""
    try:
        return os.stat(log).st_mtime >= os.stat(manifest).st_mtime
    except OSError:
        return False


def watch(request: Document, report: Report) -> Document:
    """Watch a replica that has the traffic for `seconds`.

    Result: {"ok": bool, "reason": str, "log": [...]}; ends early with ok=False if its process ends or restarts, its
    health fails twice in a row, or it hangs. At the end it must answer a request of one token.
    """
    root, program, port = request["root"], request["program"], request["port"]
    until, failed = time.monotonic() + request["seconds"], 0
    pid, path = processes.state(root, program)["pid"], signs.of_slot(root, program)["health"]
    watched, target = _watched(request, program), router_view.target_of(root, program)
    while True:
        now = processes.state(root, program)
        if now["state"] != "running" or now["pid"] != pid:
            return {"ok": False, "reason": "its process ended", "log": tail(root, program)}
        failed = 0 if completion.healthy(port, path) else failed + 1
        reason = "it stopped answering" if failed == 2 else ""
        if hung := watched.look(*router_view.load(root, *target)):
            reason = f"it hangs: {hung}"
        left = until - time.monotonic()
        if left <= 0 and not reason:
            reason = hang.probe(root, program, port, *_limits(request))
        if reason or left <= 0:
            return {
                "ok": not reason,
                "reason": reason,
                "log": tail(root, program) if reason else [],
            }
        report({"seconds_left": left})
        time.sleep(min(left, 0.25))


def drain(request: Document, report: Report) -> Document:
    """Return when the slot has no requests, or at the deadline.

    Drained means: the router's sessions, summed over all its workers, and the engine's own requests in work
    are 0, twice in a row. A replica that hangs answers none of them: it is ended, and starts again without traffic.
    Result: {"drained": bool, "left": int, "seconds": float, "reason": str}.
    """
    root, model, slot, port = (request[key] for key in ("root", "model", "slot", "port"))
    started, quiet, reported = time.monotonic(), 0, 0.0
    # Routes name a slot with its host in front where there are several.
    program = f"{model}-{slot.rpartition('.')[2]}"
    watched, shown = _watched(request, program), signs.of_slot(root, program)
    while True:
        opened, carried = router_view.load(root, model, slot, unknown=1)
        left = max(opened, completion.busy(port, shown))
        elapsed = time.monotonic() - started
        quiet = quiet + 1 if left == 0 else 0
        if quiet == 2 or elapsed > request["timeout"]:
            return {"drained": quiet == 2, "left": left, "seconds": elapsed, "reason": ""}
        if why := watched.look(opened, carried):
            hang.record(root, program, why)
            router_releases.tell(root)
            watched.restart()
            return {
                "drained": False,
                "left": left,
                "seconds": elapsed,
                "reason": f"it hangs: {why}",
            }
        if elapsed - reported >= 1:
            reported = elapsed
            report({"seconds": elapsed, "left": left})
        time.sleep(TICK)


def probe(request: Document) -> Document:
    """Ask an idle replica for one token. Result: {"ok": bool, "reason": str}; see `hang.probe`."""
    root, program, port = (request[key] for key in ("root", "program", "port"))
    reason = hang.probe(root, program, port, *_limits(request))
    return {"ok": not reason, "reason": reason}


def _watched(request: Document, program: str) -> hang.Watched:
    return hang.Watched(request["root"], program, request["port"], *_limits(request))


def _limits(request: Document) -> tuple[float, float]:
    return request.get("hang", hang.HANG), request.get("stall", hang.STALL)


def _last(lines: list[str]) -> str:
    return lines[-1] if lines else ""
