"""Routes with canaries, on which tests stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from toolkit.planning.routing.edits import with_model
from toolkit.planning.routing.routes import Routes


def with_shares(routes: Routes, model: str, shares: Mapping[str, int]) -> Routes:
    """Return `routes` with the shares of targets, by name, in parts of 10,000 requests of the model; 0 ends a canary.

    A target that gets a share is no standby meanwhile. Other targets stay as they are.
    """
    route = routes.of(model)
    assert route is not None
    targets = tuple(
        replace(each, share=shares[each.name], standby=each.standby and not shares[each.name])
        if each.name in shares
        else each
        for each in route.targets
    )
    return with_model(routes, model, targets, created=route.created)
