"""One host's targets of a model, as the steps of a change make them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from toolkit.domain.deployment.release import Release
from toolkit.planning.routing.edits import told, with_targets
from toolkit.planning.routing.routes import FULL_WEIGHT, Routes, Target


@dataclass(frozen=True, slots=True)
class OwnTargets:
    """The targets of `model` on the host that routes call `label`.

    `ports` are those of its slots, and `releases` what their replicas serve once the steps are done. Routers of other
    hosts reach them at `relay`, which is empty where there are none.
    """

    model: str
    label: str
    relay: str
    ports: Mapping[str, int]
    releases: Mapping[str, Release]

    def target(self, slot: str, weight: int) -> Target:
        """Return the target of `slot` with `weight`, from 0 to 100."""
        target = Target(slot, self.ports[slot], weight, self.label, self.relay)
        release = self.releases.get(slot)
        return told(target, release) if release else target

    def shared(self, routes: Routes, slot: str, share: int, created: int) -> Routes:
        """Return `routes` in which `slot` gets `share` of 10,000 requests, and the other targets keep their weights."""
        route = routes.of(self.model)
        others = [each for each in (route.on(self.label) if route else ()) if each.slot != slot]
        canary = replace(self.target(slot, 0), share=share)
        return with_targets(routes, self.model, self.label, (*others, canary), created=created)

    def shifted(
        self,
        routes: Routes,
        slot: str,
        standbys: Collection[str],
        created: int,
        routing: str | None,
    ) -> Routes:
        """Return `routes` in which `slot` has all traffic of this host, and `standbys` take it over without it.

        `routing` is how the release of the slot wants requests to be spread; None leaves that as it is.
        """
        targets = tuple(
            self.target(each, FULL_WEIGHT)
            if each == slot
            else replace(self.target(each, 0), standby=each in standbys)
            for each in self.ports
        )
        return with_targets(
            routes, self.model, self.label, targets, created=created, routing=routing
        )

    def with_traffic(self, routes: Routes) -> set[str]:
        """Return the slots of this host that serve by `routes`, or that serve once the others do not."""
        route = routes.of(self.model)
        own = route.on(self.label) if route else ()
        return {each.slot for each in own if each.weight or each.standby}
