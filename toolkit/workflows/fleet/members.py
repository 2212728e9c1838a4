"""The hosts that left a fleet: routers that stay still lead to them, or the history has nothing newer of them."""

from __future__ import annotations

import math
from collections.abc import Collection

from toolkit.adapters.history.history import History
from toolkit.planning.routing.members import left_behind, strangers, union
from toolkit.planning.routing.routes import Routes


def hosts_that_left(
    history: History, routes: Routes, fleet: Collection[str]
) -> dict[str, tuple[str, ...]]:
    """Return the models of each host that is none of `fleet` and that routes or history still know."""
    told = history.deployments_until(math.inf)
    return union(strangers(routes, fleet), left_behind(told[::-1], fleet))
