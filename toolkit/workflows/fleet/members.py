"""The hosts that left a fleet: routers that stay still lead to them, or the history has nothing newer of them."""

from __future__ import annotations

from collections.abc import Collection

from toolkit.adapters.history.history import History
from toolkit.planning.routing.members import left_behind, strangers, union
from toolkit.planning.routing.routes import Routes

# Deployments of a model for each host among which those of a host that left are looked for.
_LOOK_BACK = 20


def hosts_that_left(
    history: History, routes: Routes, fleet: Collection[str]
) -> dict[str, tuple[str, ...]]:
    """Return the models of each host that is none of `fleet` and that routes or history still know."""
    limit = _LOOK_BACK * (len(fleet) + 2)
    told = [each for model in history.models() for each in history.deployments(model, limit)]
    told.sort(key=lambda each: -each.id)
    return union(strangers(routes, fleet), left_behind(told, fleet))
