"""The router's counts for each slot of this host, also of requests that other hosts handed on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import NamedTuple

import router_files
import router_socket
import routes_file
import slot_manifest
import unanswered

# Names of HAProxy's management guide, 9.1.
_ANSWERS = ("hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx", "hrsp_other")

# These fields of a slot's release tell one replica from another.
_OF_REPLICA = ("engine", "snapshot", "args", "env")

# A share of fewer requests says nothing.
_ENOUGH = 50


class Traffic(NamedTuple):
    """Requests of a slot: how many were answered since the last look, and how many of these failed or were refused.

    A failed one got a status of 5xx, no answer or one that broke off, a refused one a status of 4xx. `open` are under
    way, `carried` the bytes of answers so far. `first` is the mean time until an answer began, in milliseconds, over
    the last 1024 requests at most; None before the first one.
    """

    total: int = 0
    failed: int = 0
    refused: int = 0
    open: int = 0
    carried: int = 0
    first: float | None = None


_Key = tuple[int, str, str]
_Counts = tuple[int, int, int]


class Meter:
    """The counters of all workers of the router, from one look to the next."""

    def __init__(self, root: str) -> None:
        self._root, self._directory = root, os.path.join(root, "router")
        self._before: dict[_Key, _Counts] | None = None
        self._closed = unanswered.Risen[_Key]()
        # Requests and failures of the release in each slot; of the first one since the workers run.
        self._totals: dict[tuple[str, str], tuple[int, int]] = {}
        # The replica in each slot. The next release in it has other requests and other failures.
        self._running: dict[tuple[str, str], str] = {}

    def read(self) -> dict[tuple[str, str], Traffic]:
        """Return the traffic of each slot of this host since the last look, by model and slot.

        Raises RouterError where the router does not answer.
        """
        workers = router_socket.processes(self._directory)
        at = router_files.routes(self._directory).get("at", "")
        rows = {
            (pid, row["pxname"], row["svname"]): row
            for pid in workers["current"] + workers["old"]
            for row in router_socket.counters(self._directory, pid)
        }
        counts_now = {key: counts(row) for key, row in rows.items()}
        before, self._before = self._before, counts_now
        closed_now = self._closed.since({key: closed(row) for key, row in rows.items()})
        found: dict[tuple[str, str], Traffic] = {}
        for key, row in rows.items():
            slot = slot_of(key[1], key[2], at)
            if slot is not None:
                # A worker that has come since the last look counts from 0. At the first look no count is new.
                then = counts_now[key] if before is None else before.get(key, (0, 0, 0))
                known = _added(found.get(slot, Traffic()), counts_now[key], then, row)
                new = closed_now.get(key, 0)
                found[slot] = known._replace(total=known.total + new, failed=known.failed + new)
                if before is None:
                    total, failed = self._totals.get(slot, (0, 0))
                    self._totals[slot] = total + counts_now[key][0], failed + counts_now[key][1]
        for slot, each in found.items():
            total, failed = self._totals.get(slot, (0, 0))
            self._totals[slot] = total + each.total, failed + each.failed
        return found

    def changed(self, slots: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return those of `slots` in which another replica runs than before, and count its requests from now on."""
        found = []
        for slot in slots:
            release = slot_manifest.release(self._root, "-".join(slot))
            if not release:
                # It is being filled or emptied.
                continue
            # Adapters change in a replica that runs on.
            running = json.dumps([release.get(name) for name in _OF_REPLICA])
            if self._running.setdefault(slot, running) != running:
                self._running[slot], self._totals[slot] = running, (0, 0)
                found.append(slot)
        return found

    def share_failed(self, model: str, slot: str) -> float | None:
        """Return the share of the requests of a slot's replica that failed; None where few were answered."""
        total, failed = self._totals.get((model, slot), (0, 0))
        return failed / total if total >= _ENOUGH else None


def is_sticky(root: str, model: str) -> bool:
    """Whether a conversation stays with the release that it has drawn while a share stands."""
    routes = router_files.routes(os.path.join(root, "router")).get("routes", ())
    return any(each.get("routing") == "prefix" for each in routes if each["model"] == model)


def slot_of(backend: str, server: str, at: str) -> tuple[str, str] | None:
    """Return model and slot of a server of the router of the host `at`; None for one of another host."""
    if routes_file.PREFIX not in backend:
        return None
    name = server[len(routes_file.TWIN) :] if server.startswith(routes_file.TWIN) else server
    host, _, slot = name.rpartition(".")
    model = routes_file.model(backend[backend.index(routes_file.PREFIX) :])
    return (model, slot) if host == at else None


def counts(row: dict[str, str]) -> _Counts:
    """Return a server's counts of answered, failed and refused requests."""
    broken = _number(row, "eresp")
    # An answer that broke off after its head counts as one of its status, too.
    total = sum(_number(row, each) for each in _ANSWERS) + max(0, broken - _number(row, "srv_abrt"))
    return total, _number(row, "hrsp_5xx") + broken, _number(row, "hrsp_4xx")


def closed(row: dict[str, str]) -> int:
    """Return how many requests of a server got no answer, at least: see `unanswered.py`.

    Of a client that left, and of an answer that broke off, the counters do not say whether the answer had begun.
    """
    others = (*_ANSWERS, "eresp", "econ", "wretr", "wredis", "cli_abrt", "scur")
    return max(0, _number(row, "stot") - sum(_number(row, each) for each in others))


def _added(known: Traffic, now: _Counts, then: _Counts, row: dict[str, str]) -> Traffic:
    total, failed, refused = (max(0, each - before) for each, before in zip(now, then))  # noqa: B905 - Python 3.9 has no `strict`
    return Traffic(
        known.total + total,
        known.failed + failed,
        known.refused + refused,
        known.open + _number(row, "scur"),
        known.carried + _number(row, "bout"),
        float(_number(row, "rtime")) if now[0] else known.first,
    )


def _number(row: dict[str, str], name: str) -> int:
    return int(row.get(name) or 0)
