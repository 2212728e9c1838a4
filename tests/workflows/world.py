"""A whole small world in memory: a fleet of hosts, one model with versions, a history."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from toolkit.adapters.ansible.converge import Progress, Require, nothing
from toolkit.adapters.fakes.behaviour import Behaviour
from toolkit.adapters.fakes.converge import FakeConverge
from toolkit.adapters.fakes.distribution import FakeDistribution
from toolkit.adapters.fakes.host import FakeHost
from toolkit.adapters.history.history import History
from toolkit.adapters.interruption import Interruption
from toolkit.domain.deployment.release import Release
from toolkit.domain.files.snapshot import FileDigest
from toolkit.domain.gates.guard import Guard
from toolkit.domain.gates.verdict import GateResult, Verdict
from toolkit.domain.hosts.facts import HostFacts
from toolkit.domain.hosts.fleet import Host
from toolkit.domain.registry.model import Version
from toolkit.domain.registry.release_parts import Check
from toolkit.domain.replicas.probe import LockOwner
from toolkit.planning.change.deploy import Wanted
from toolkit.planning.change.rollout import Limits, RolloutPlan
from toolkit.planning.routing.agreement import fleet_routes
from toolkit.planning.routing.routes import Routes
from toolkit.workflows.change.rollout import RolledOut, roll_out
from toolkit.workflows.change.routers import Routers
from toolkit.workflows.change.stop import StopPlan, stop_model
from toolkit.workflows.change.wanted import Order, back
from toolkit.workflows.tools import SnapshotFiles, Timing, Tools

TIMING = Timing(ready=5, drain=5, bake=1)
GB = 10**9
# Longer than any test waits for what an interruption ends.
AGES = 60.0


def release(number: int, version: str | None = None, *, memory: int = 3 * GB) -> Release:
    """Return release `number` of the model `tiny`; versions are called v1, v2, …"""
    return Release(
        model="tiny",
        number=number,
        version=version or f"v{number}",
        source="demo/tiny",
        revision=f"{number:040x}",
        snapshot=f"{number:064x}",
        engine="vllm-0.32.0-cpu-py311-aaaaaaaa",
        accelerator="cpu",
        memory=memory,
        devices=1,
        args=("--served-model-name", "tiny"),
        env={},
        checks=(Check("hi", max_tokens=8, timeout=5.0),),
    )


class FakeSupplies:
    """Everything is at hand."""

    def fetch(self, version: Any) -> None:
        """There already."""

    def verify(self, release: Release) -> None:
        """As pinned."""

    def snapshot(self, release: Release) -> SnapshotFiles:
        return SnapshotFiles("/store", (FileDigest("model.safetensors", 8, "0" * 64),))

    def engine_variables(self, engine: str, say: Any) -> Mapping[str, Any]:
        return {"engine_id": engine, "engine_wheelhouse": "/wheels"}

    def engine_packages(self, engine: str) -> tuple[FileDigest, ...]:
        return (FileDigest("vllm.whl", 8, "0" * 64),)

    def recheck_engine(self, engine: str) -> bool:
        return False


class Killed(BaseException):
    """SIGKILL: no handler of the toolkit may run."""


def die_in_bake(hosts: Iterable[FakeHost]) -> None:
    """Let the next command be killed once a guard watches under all traffic."""
    baking = False

    def before(event: str) -> None:
        nonlocal baking
        baking = baking or event.startswith("guard bake")
        if baking and event.startswith("follow"):
            raise Killed

    for each in hosts:
        each.before = before


def press_ctrl_c() -> None:
    """Interrupt the main thread, as a terminal does."""
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, signal.SIGINT)


def fleet_host(number: int, count: int) -> Host:
    """Return host `number` of `count`; the only host of a fleet has no peers."""
    others = tuple(f"10.0.0.{each}" for each in range(1, count + 1) if each != number)
    return Host(
        f"gpu{number}", "ssh", f"10.0.0.{number}", relay_address=f"10.0.0.{number}", peers=others
    )


@dataclass
class _Playbooks(FakeConverge):
    """The playbooks on a host, with the environment that each replica is started with."""

    environments: list[Mapping[str, str]] = field(default_factory=list)

    def run(
        self,
        playbook: str,
        host: Host,
        variables: Mapping[str, Any],
        progress: Progress,
        require: Require = nothing,
    ) -> tuple[str, ...]:
        if "replica_env" in variables:
            self.environments.append(variables["replica_env"])
        return super().run(playbook, host, variables, progress, require)


@dataclass
class World:
    """`count` hosts, by name in `hosts`; `said` is what commands told people, `shown` the plans to confirm.

    `failing` names a playbook that fails on every host; `limits` are those of a change; `given` replaces fields of
    each command's `Tools`; `guard` is that of every version, `version` what the registry has of it; `environments` has
    what replicas were started with, by host's name.
    """

    path: Path
    count: int = 1
    said: list[str] = field(default_factory=list)
    shown: list[RolloutPlan] = field(default_factory=list)
    limits: Limits = field(default_factory=Limits)
    failing: str = ""
    given: dict[str, Any] = field(default_factory=dict)
    guard: Guard | None = None
    version: Version | None = None

    def __post_init__(self) -> None:
        self.time, self.tick = 1000.0, threading.Lock()
        made = [fleet_host(number, self.count) for number in range(1, self.count + 1)]
        self.hosts = {each.name: FakeHost(each) for each in made}
        self.environments: dict[str, list[Mapping[str, str]]] = {name: [] for name in self.hosts}
        for name in self.hosts:
            self.see(
                name, name=name, observed_at=1000.0, architecture="x86_64", os_id="debian", os_version="12",
            )  # fmt: skip
        self.history = History(self.path / "history.db", self.clock)

    @property
    def host(self) -> FakeHost:
        """The first host."""
        return next(iter(self.hosts.values()))

    def see(self, *names: str, **facts: Any) -> None:
        """Set facts of the hosts `names`, of all for no names."""
        for name in names or self.hosts:
            self.hosts[name].facts = replace(self.hosts[name].facts, **facts)

    def behave(self, version: str, behaviour: Behaviour, *names: str) -> None:
        """Have the replicas of `version` behave like that on the hosts `names`, on all for no names."""
        for name in names or self.hosts:
            self.hosts[name].behaviour[version] = behaviour

    def before(self, act: Callable[[str], None]) -> None:
        """Call `act` with the name of each operation on a host, before it."""
        for each in self.hosts.values():
            each.before = act

    def judge(self, verdict: Verdict, reason: str = "", *names: str) -> None:
        """Have the guards of the hosts `names`, of all for no names, come to this verdict on whatever they watch."""
        for name in names or self.hosts:
            self.hosts[name].guards.judge = lambda _: GateResult("bake", verdict, reason)

    def leave_alone(self, *names: str) -> None:
        """Let hosts, by default all, go on without a command: their guards look at what they watch."""
        self.go_on()
        for name in names or self.hosts:
            each = self.hosts[name]
            each.owner = each.holder = None
            each.guard_looks()

    def shares(self) -> list[int]:
        """Return the share of each canary in the routes that are right for the fleet."""
        routes = fleet_routes({name: each.observe() for name, each in self.hosts.items()}).of(
            "tiny"
        )
        return [each.share for each in routes.targets if each.share] if routes else []

    def raise_at(self, moment: str, error: type[BaseException], *names: str) -> None:
        """Raise `error` on the hosts `names`, on all for no names, when the operation `moment` begins."""

        def before(event: str) -> None:
            if event == moment:
                raise error

        for name in names or self.hosts:
            self.hosts[name].before = before

    def go_on(self) -> None:
        """Let every operation happen again."""
        self.before(lambda _: None)

    def free(self) -> None:
        """Free the locks of a command that was killed, as the kernel and its holder's silence do."""
        for each in self.hosts.values():
            each.owner = each.holder = None

    def command(self) -> tuple[Tools, ...]:
        """Return the adapters of a new command: it knows nothing of the ones before."""
        self.interruption = _Interruption(self)
        self.distribution = FakeDistribution(self.hosts, interruption=self.interruption)
        shared = {
            "history": self.history,
            "supplies": FakeSupplies,
            "owner": LockOwner("ann@ops", "toolkit deploy tiny", 4711),
            "clock": self.clock,
            "say": self.said.append,
            "provision_digest": "base-1",
            "routers": Routers(list(self.hosts.values())),
            "distribution": lambda: self.distribution,
            "interruption": self.interruption,
            **self.given,
        }
        for each in self.hosts.values():
            each.events.clear()
            each.interruption = self.interruption
        self.playbooks = {name: self._playbooks(name, each) for name, each in self.hosts.items()}
        return tuple(
            Tools(host=each, converge=self.playbooks[name], **shared)
            for name, each in self.hosts.items()
        )

    def _playbooks(self, name: str, host: FakeHost) -> _Playbooks:
        return _Playbooks(
            host, self.failing, self.interruption, environments=self.environments[name]
        )

    def clock(self) -> float:
        with self.tick:
            self.time += 0.01
            return self.time

    def confirm(self, plan: RolloutPlan) -> bool:
        self.shown.append(plan)
        return True

    def deploy(self, wanted: Release, limits: Limits | None = None, **more: Any) -> RolledOut:
        def want(facts: HostFacts) -> Wanted:
            known = self.version.adapters if self.version else ()
            guards = {each.name: each.guard for each in known}
            return Wanted("deploy", wanted, guard=self.guard, adapter_guards=guards)

        timing = replace(TIMING, bake=None) if self.guard else TIMING
        return self.order(
            Order("deploy", wanted.model, want, self.version, timing, limits or self.limits, **more)
        )

    def rollback(self, number: int | None = None, named: tuple[str, ...] = ()) -> RolledOut:
        order = back("tiny", number, self.history, timing=TIMING, limits=self.limits)
        return self.order(replace(order, named=named))

    def order(self, order: Order) -> RolledOut:
        return roll_out(self.command(), order, self.confirm)

    def stop(self, confirm: Callable[[StopPlan], bool] = lambda _: True) -> StopPlan:
        return stop_model(self.command(), "tiny", confirm, named=(), timing=TIMING)

    @property
    def prepared(self) -> bool:
        """Whether the last command knew beforehand that it would run a playbook."""
        return any(each.prepared for each in self.playbooks.values())

    @property
    def events(self) -> list[str]:
        """What the last command did to each host, in order; it did the same to all of them."""
        first = self.host.events
        assert all(each.events == first for each in self.hosts.values())
        return first

    def table(self) -> list[tuple[str, str, str, int]]:
        """Return (slot, version, state, weight) of each slot, the same on all hosts, as an operator sees them."""
        found = [_table(each) for each in self.hosts.values()]
        assert all(each == found[0] for each in found)
        return found[0]

    def serving(self) -> dict[str, str]:
        """Return which version each host serves, as the router of the first host has it."""
        routes = self.routes(self.host.name).of("tiny")
        found = {}
        for name, each in self.hosts.items():
            for slot in each.facts.slots:
                target = f"{each.host.label}.{slot.slot}".lstrip(".")
                if routes and routes.weight(target) and slot.release and slot.healthy:
                    found[name] = slot.release.version
        return found

    def routes(self, name: str) -> Routes:
        return Routes.from_json(json.loads(self.hosts[name].files.get("routes.json", "{}")))

    def outcomes(self) -> list[tuple[str, int, str]]:
        """Return (action, release, outcome) of each deployment, oldest first, the same for all hosts."""
        found: dict[str, list[tuple[str, int, str]]] = {name: [] for name in self.hosts}
        for each in reversed(self.history.deployments("tiny", 1000)):
            found[each.host].append((each.action, each.release, str(each.outcome)))
        first = found[self.host.name]
        assert all(each == first for each in found.values())
        return first

    def unfinished(self) -> set[int]:
        """Return the releases of open deployments, which all hosts have."""
        opened = self.history.unfinished()
        assert len(opened) in (0, self.count)
        return {each.release for each in opened}


class _Interruption(Interruption):
    """One whose waits pass in the time of `world`, and take none; those of `AGES` last until an interruption begins."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def sleep(self, seconds: float) -> None:
        with self._world.tick:
            self._world.time += seconds
        # The main thread may take a while to notice that somebody pressed Ctrl-C.
        super().sleep(seconds if seconds == AGES else 0)


def _table(host: FakeHost) -> list[tuple[str, str, str, int]]:
    return sorted(
        (
            slot.slot,
            slot.release.version if slot.release else "",
            "healthy" if slot.healthy else str(slot.process),
            slot.weight,
        )
        for slot in host.observe().slots
    )
