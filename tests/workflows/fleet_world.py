"""A fleet in memory: several hosts, whose routers share their routes."""

from __future__ import annotations

import signal
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.workflows.world import TIMING, FakeSupplies
from toolkit.adapters.fakes.distribution import FakeDistribution
from toolkit.adapters.fakes.host import FakeConverge, FakeHost
from toolkit.adapters.history.history import History
from toolkit.adapters.interruption import Interruption
from toolkit.domain.facts import HostFacts
from toolkit.domain.fleet import Host
from toolkit.domain.probe import LockOwner
from toolkit.domain.release import Release
from toolkit.planning.change.deploy import Wanted
from toolkit.planning.change.rollout import Limits, RolloutPlan
from toolkit.planning.routing.routes import Routes
from toolkit.workflows.change.rollout import Order, RolledOut, roll_out
from toolkit.workflows.change.routers import Doors
from toolkit.workflows.change.wanted import ask_rollback
from toolkit.workflows.tools import Tools

# Longer than any test waits for what an interruption ends.
AGES = 60.0


def press_ctrl_c() -> None:
    """Interrupt the main thread, as a terminal does."""
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, signal.SIGINT)


def host(number: int, count: int) -> Host:
    others = tuple(f"10.0.0.{each}" for each in range(1, count + 1) if each != number)
    return Host(
        f"gpu{number}", "ssh", f"10.0.0.{number}", relay_address=f"10.0.0.{number}", peers=others
    )


@dataclass
class FleetWorld:
    """`hosts` by name, `members` what commands get, `said` what they told people."""

    path: Path
    count: int = 3
    said: list[str] = field(default_factory=list)
    shown: list[RolloutPlan] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.time, self.tick = 1000.0, threading.Lock()
        made = [host(number, self.count) for number in range(1, self.count + 1)]
        self.hosts = {each.name: FakeHost(each) for each in made}
        for name, each in self.hosts.items():
            each.facts = replace(
                each.facts, name=name, observed_at=1000.0, architecture="x86_64", os_id="debian", os_version="12",
            )  # fmt: skip
        self.history = History(self.path / "history.db", self.clock)
        self.members = self.command()

    def command(self) -> tuple[Tools, ...]:
        """Return the adapters of a new command: it knows nothing of the ones before."""
        doors = Doors(list(self.hosts.values()))
        self.interruption = Interruption()
        self.distribution = FakeDistribution(self.hosts, interruption=self.interruption)
        for each in self.hosts.values():
            each.interruption = self.interruption
        return tuple(
            Tools(
                host=each,
                converge=FakeConverge(each, interruption=self.interruption),
                history=self.history,
                supplies=FakeSupplies,
                owner=LockOwner("ann@ops", "toolkit deploy tiny", 4711),
                clock=self.clock,
                say=self.said.append,
                provision_digest="base-1",
                doors=doors,
                distribution=lambda: self.distribution,
                interruption=self.interruption,
            )
            for each in self.hosts.values()
        )

    def clock(self) -> float:
        with self.tick:
            self.time += 0.01
            return self.time

    def confirm(self, plan: RolloutPlan) -> bool:
        self.shown.append(plan)
        return True

    def deploy(self, wanted: Release, limits: Limits = Limits(), **more: Any) -> RolledOut:  # noqa: B008
        def ask(facts: HostFacts) -> Wanted:
            return Wanted("deploy", wanted, "base-1", bake_seconds=1)

        return self.order(Order("tiny", ask, None, TIMING, limits, **more))

    def rollback(self) -> RolledOut:
        ask = ask_rollback("tiny", None, history=self.history, timing=TIMING, keep_standby=True)
        return self.order(Order("tiny", ask, None, TIMING, extend=False))

    def order(self, order: Order) -> RolledOut:
        for each in self.hosts.values():
            each.events.clear()
        return roll_out(self.command(), order, self.confirm)

    def serving(self) -> dict[str, str]:
        """Return which version each host serves, as the router of the first host has it."""
        routes = self.routes("gpu1").of("tiny")
        found = {}
        for name, each in self.hosts.items():
            for slot in each.facts.slots:
                target = f"{name}.{slot.slot}"
                if routes and routes.weight(target) and slot.release and slot.healthy:
                    found[name] = slot.release.version
        return found

    def routes(self, name: str) -> Routes:
        import json

        return Routes.from_json(json.loads(self.hosts[name].files.get("routes.json", "{}")))
