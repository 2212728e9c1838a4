"""The counts of the router and the replicas of this host up to now. Two such samples give rates."""

from __future__ import annotations

import os
import threading
import time

import completion
import guard_traffic
import processes
import router_files
import router_socket
import signs
import slot_manifest
from router_socket import RouterError
from wire import Document

# Seconds for the metrics of one replica. A view that is drawn again waits for no hung engine.
_TIMEOUT = 1.0


def sample(root: str) -> Document:
    """Return {"at", "clock", "boot", "router", "targets", "replicas"}; missing parts are empty and no error.

    `at` is in seconds since the epoch; `clock` counts seconds of the same `boot` and never jumps. `router` tells
    whether one answers. `targets` has a row for each of its workers and slots of this host, by the numbers of requests.
    """
    directory = os.path.join(root, "router")
    try:
        targets, runs = _targets(directory), True
    except RouterError:
        targets, runs = [], False
    return {
        "at": time.time(),
        "clock": time.monotonic(),
        "boot": processes.boot(),
        "router": runs,
        "targets": targets,
        "replicas": _replicas(root),
    }


def _targets(directory: str) -> list[Document]:
    workers = router_socket.processes(directory)
    at = router_files.routes(directory).get("at", "")
    found: dict[tuple[int, str, str], Document] = {}
    for pid in workers["current"] + workers["old"]:
        for row in router_socket.counters(directory, pid):
            slot = guard_traffic.slot_of(row["pxname"], row["svname"], at)
            if slot is not None:
                known = found.setdefault((pid, *slot), _no_requests(pid, *slot))
                total, failed, refused = guard_traffic.counts(row)
                known["answered"] += total
                known["failed"] += failed
                known["refused"] += refused
                known["open"] += int(row.get("scur") or 0)
    return list(found.values())


def _no_requests(worker: int, model: str, slot: str) -> Document:
    counts = dict.fromkeys(("answered", "failed", "refused", "open"), 0)
    return {"worker": worker, "model": model, "slot": slot, **counts}


def _replicas(root: str) -> list[Document]:
    """Return the counters of all replicas, which are asked at once: one that hangs makes the others no older."""
    found = slot_manifest.sound(root)
    rows: list[Document] = [{} for _ in found]

    def ask(index: int) -> None:
        rows[index] = _replica(root, found[index])

    threads = [
        threading.Thread(target=ask, args=(index,), daemon=True) for index in range(len(found))
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return [row for row in rows if row]


def _replica(root: str, manifest: Document) -> Document:
    known, model, slot = signs.signs(manifest), manifest["model"], manifest["slot"]
    process = processes.state(root, f"{model}-{slot}")
    flow, times = known["flow"], known["times"]
    lines = completion.metrics(manifest["port"], known["metrics"], _TIMEOUT)
    # Sums over hosts must have each engine once.
    own = lines if slot_manifest.leads(root, f"{model}-{slot}") else []
    counts = completion.counts_in(own, list(flow.values()))
    spreads = completion.histograms_in(own, list(times.values()))
    return {
        "model": model,
        "slot": slot,
        "process": processes.started(process["pid"]) if process["pid"] else "",
        "answers": bool(lines),
        **{name: counts.get(metric) for name, metric in flow.items()},
        **{name: spreads.get(metric) for name, metric in times.items()},
    }
