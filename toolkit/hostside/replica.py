"""Wait for a replica: until it is ready, while it bakes, until it is drained."""

from __future__ import annotations

import os
import time

import completion
import logs
import processes
import router_view
import signs
from wire import Document, Report

TICK = 0.1


def wait_ready(request: Document, report: Report) -> Document:
    """Return once the engine is healthy, or as soon as the process dies or `timeout` seconds have passed.

    Result: {"ready": bool, "reason": str, "seconds": float, "log": [...]}. The log holds the lines about memory if the
    replica is ready, else the last lines. Reports {"seconds", "line"} about once a second, with the newest log line.
    """
    root, program, port = request["root"], request["program"], request["port"]
    started, reported = time.monotonic(), 0.0
    first = processes.state(root, program)
    pid, reason, shown = first["pid"], "", signs.of_slot(root, program)
    while True:
        elapsed = time.monotonic() - started
        if completion.healthy(port, shown["health"]):
            said = logs.having(logs.path(root, program), shown["memory"])
            said += completion.cache_info(port, shown)
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
    """Return the last lines of the log with the failure, the former log included right after a restart."""
    path = logs.path(root, program)
    lines = logs.tail(path, 400)
    return (
        lines
        if len(lines) > 60 or not os.path.exists(path + ".1")
        else logs.tail(path + ".1", 400) + lines
    )


def watch(request: Document, report: Report) -> Document:
    """Watch a replica that has the traffic for `seconds`.

    Result: {"ok": bool, "reason": str, "log": [...]}; ends early with ok=False if its process ends or restarts,
    or its health fails twice in a row.
    """
    root, program, port = request["root"], request["program"], request["port"]
    until, failed = time.monotonic() + request["seconds"], 0
    pid, path = processes.state(root, program)["pid"], signs.of_slot(root, program)["health"]
    while True:
        now = processes.state(root, program)
        if now["state"] != "running" or now["pid"] != pid:
            return {"ok": False, "reason": "its process ended", "log": tail(root, program)}
        failed = 0 if completion.healthy(port, path) else failed + 1
        if failed == 2:
            return {"ok": False, "reason": "it stopped answering", "log": tail(root, program)}
        left = until - time.monotonic()
        if left <= 0:
            return {"ok": True, "reason": "", "log": []}
        report({"seconds_left": left})
        time.sleep(min(left, 0.25))


def drain(request: Document, report: Report) -> Document:
    """Return when the slot has no requests, or at the deadline.

    Drained means: the router's sessions, summed over all its workers, and the engine's own requests in work
    are 0, twice in a row. Result: {"drained": bool, "left": int, "seconds": float}.
    """
    root, model, slot, port = (request[key] for key in ("root", "model", "slot", "port"))
    started, quiet, reported = time.monotonic(), 0, 0.0
    # Routes name a slot with its host in front where there are several.
    shown = signs.of_slot(root, f"{model}-{slot.rpartition('.')[2]}")
    while True:
        left = max(router_view.sessions(root, model, slot), completion.busy(port, shown))
        elapsed = time.monotonic() - started
        quiet = quiet + 1 if left == 0 else 0
        if quiet == 2 or elapsed > request["timeout"]:
            return {"drained": quiet == 2, "left": left, "seconds": elapsed}
        if elapsed - reported >= 1:
            reported = elapsed
            report({"seconds": elapsed, "left": left})
        time.sleep(TICK)


def _last(lines: list[str]) -> str:
    return lines[-1] if lines else ""
