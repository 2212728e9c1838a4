"""The subject of the steps of a change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from toolkit.domain.deployment.release import Release
from toolkit.workflows.tools import Timing

if TYPE_CHECKING:
    from toolkit.domain.gates.guard import Guard
    from toolkit.domain.registry.model import Version


@dataclass(frozen=True, slots=True)
class HostChange:
    """The subject of steps: the release for each slot of the model.

    With `standby` the replica that loses the traffic may take it over again by itself: it served, and it was not the
    reason for the change. Without it, a step says which replica may. With `proven` a started replica must answer its
    checks alone: its release served before. With `leaves` the model leaves the host: the homes of its replicas, with
    what the engine has compiled, go too. With `keeps_place` the host stays in the routes, without traffic. `guard` says
    what a new release must prove in this deployment of `rollout`, which so many `hosts` take part in; None: its checks
    alone. `former` is the other release whose adapters a replica may have, where a change to the one in its slot was
    cut short. A killed command may have left adapters of those that were `tried` in the engine, under internal names.
    With `tries` the caller asks for gates alone: adapters are forgotten after theirs.
    """

    model: str
    releases: Mapping[str, Release]
    version: Version | None = None
    timing: Timing = field(default_factory=Timing)
    standby: bool = True
    proven: bool = False
    leaves: bool = False
    keeps_place: bool = False
    guard: Guard | None = None
    rollout: str = ""
    hosts: int = 1
    former: Release | None = None
    tried: tuple[Release, ...] = ()
    tries: bool = False

    @property
    def planned(self) -> Release:
        """The release that the plan brings."""
        return next(iter(self.releases.values()))
