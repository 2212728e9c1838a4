"""Give LoRA adapters back: on a breach in their bake, the host itself makes the public names lead to the former ones.

Both versions of an adapter are in one replica, so no weight of the router can tell them apart. The order of the guard
has the engine's own calls, under `adapters`:

- `names` are the public names that lead to new weights. Requests for them wait at this host's router meanwhile.
- `back` makes them lead to the former ones again; a name that is new is forgotten.
- `after` forgets what the comparison alone needed: the former adapters under their internal names.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

import in_turn
import reweigh
import router_files
import routes_file
from router_socket import RouterError
from wire import Document

# Seconds for one call: the engine has had these weights before, and other guards wait meanwhile.
TIMEOUT = 10.0
# Seconds in which a request that left the router before the hold has reached the engine.
ON_THE_WAY = 0.2
# Seconds for which a request waits at most.
HOLD = 30


def names_of(order: Document) -> list[str]:
    """Return the adapters that an order is about; none where it is about a release."""
    return list((order.get("adapters") or {}).get("names", ()))


def give_back(root: str, order: Document, port: int) -> str:
    """Return the replica at `port` to its former adapters; return why that was not done, empty where it was."""
    routes = router_files.routes(os.path.join(root, "router"))
    target = routes_file.name_of({"host": routes.get("at", ""), "slot": order["slot"]})
    waiting = dict.fromkeys(names_of(order), HOLD)
    _tell(root, lambda now: with_waiting(now, order["model"], target, waiting))
    try:
        answer = in_turn.call(port, order["adapters"]["back"], ON_THE_WAY, TIMEOUT)
    finally:
        _tell(root, lambda now: with_waiting(now, order["model"], target, {}))
    if answer["status"] == 200:
        return ""
    return str(answer["error"] or "status %d" % answer["status"])


def clear(order: Document, port: int) -> None:
    """Forget what the comparison alone needed. An engine that has it no more, or is gone, need not."""
    in_turn.call(port, order["adapters"]["after"], 0.0, TIMEOUT)


def with_waiting(routes: Document, model: str, target: str, waiting: dict[str, int]) -> Document:
    """Return the routes in which requests for the adapters of `waiting` wait, for so many seconds, and no others do."""

    def edit(route: Document) -> Document:
        if route["model"] != model:
            return route
        targets = [
            _with(each, sorted(waiting)) if routes_file.name_of(each) == target else each
            for each in route["targets"]
        ]
        return _with({**route, "targets": targets}, waiting)

    return routes_file.edited(routes, edit)


def _with(part: Document, waiting: object) -> Document:
    kept = {name: value for name, value in part.items() if name != "waiting"}
    return {**kept, "waiting": waiting} if waiting else kept


def _tell(root: str, edit: Callable[[Document], Document]) -> None:
    # The watch tells the router again, see `reweigh.tell_again`. A full disk keeps nothing from going back.
    with contextlib.suppress(RouterError, OSError):
        reweigh.reweigh(root, edit, urgent=True)
