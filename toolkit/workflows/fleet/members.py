"""The hosts that left a fleet: routers that stay still lead to them, or the history has nothing newer of them."""

from __future__ import annotations

from collections.abc import Collection

from toolkit.adapters.history.history import History
from toolkit.planning.routing.members import left_behind, strangers, union
from toolkit.planning.routing.routes import Routes

# Deployments of a model among which those of a host that left are looked for.
_LOOK_BACK = 1000


def hosts_that_left(
    history: History, routes: Routes, fleet: Collection[str]
) -> dict[str, tuple[str, ...]]:
    """Return the models of each host that is none of `fleet` and that routes or history still know."""
    told = [each for model in history.models() for each in history.deployments(model, _LOOK_BACK)]
    told.sort(key=lambda each: -each.id)
    return union(strangers(routes, fleet), left_behind(told, fleet))
