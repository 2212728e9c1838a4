"""Hosts are provisioned independently of each other: who needs it, who cannot be, and what is told of each."""

from __future__ import annotations

import _thread
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tests.pace import Pace
from tests.planning.facts import release, slot
from tests.workflows.world import AGES
from toolkit.adapters.ansible.converge import Progress, Require, nothing
from toolkit.adapters.fakes.converge import FakeConverge
from toolkit.adapters.fakes.host import FakeHost
from toolkit.adapters.interruption import Interruption
from toolkit.domain.clients.keys import HostKeys, KeyRing
from toolkit.domain.hosts.facts import HostFacts, RouterFacts
from toolkit.domain.hosts.fleet import Host
from toolkit.domain.replicas.probe import LockOwner
from toolkit.errors import HostError, RefusedError
from toolkit.planning.routing.keys import opened, with_key
from toolkit.workflows.fleet.hosts import look_at_hosts
from toolkit.workflows.fleet.provision import (
    Intent,
    Provisioned,
    Provisioning,
    ProvisionTarget,
    Result,
    provision,
)

NOW = 1_800_000_000.0
OWNER = LockOwner("ann@ops", "toolkit provision", 4711)
BOB = LockOwner("bob@ops2", "toolkit deploy tiny", 1)


class Machine(FakeHost):
    """A bare Debian host; `down` is why it does not answer."""

    down = ""

    def observe(self) -> HostFacts:
        if self.down:
            raise HostError(f"{self.host.name}: {self.down}", hint="ping")
        return super().observe()


def machine(name: str, **facts: Any) -> Machine:
    found = Machine(host=Host(name))
    found.facts = replace(
        found.facts,
        **{
            "name": name,
            "observed_at": NOW,
            "os_id": "debian",
            "os_version": "12",
            "architecture": "x86_64",
            **facts,
        },
    )
    return found


def ready(name: str) -> Machine:
    return machine(name, converged="base-1", router=RouterFacts(True, "127.0.0.1:8080", "2.6", 1))


@dataclass
class Fleet:
    """Machines by name, with the playbooks that converge them; `failing` names those on which one fails."""

    machines: Sequence[Machine]
    failing: frozenset[str] = frozenset()
    changes: tuple[str, ...] = ("provision",)
    shown: list[Sequence[Intent]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    prepared: bool = False

    def prepare(self) -> None:
        self.prepared = True

    def run(
        self,
        playbook: str,
        host: Host,
        variables: Mapping[str, Any],
        progress: Progress,
        require: Require = nothing,
    ) -> tuple[str, ...]:
        target = next(each for each in self.machines if each.host.name == host.name)
        assert target.owner == OWNER, "nobody may change a host whose lock they do not hold"
        assert variables["toolkit_init"] == "systemd"
        failing = "provision" if host.name in self.failing else ""
        progress("Create the service user")
        FakeConverge(target, failing).run(playbook, host, variables, progress, require)
        return self.changes

    def provision(self, answer: bool = True, **how: Any) -> tuple[Provisioned, ...]:
        def confirm(intents: Sequence[Intent]) -> bool:
            self.shown.append(intents)
            return answer

        targets = [ProvisionTarget(each, "base-1") for each in self.machines]
        tools = Provisioning(self, OWNER, lambda: NOW, self.said.append, **how)
        return provision(targets, tools, confirm)


def results(outcomes: Sequence[Provisioned]) -> list[tuple[str, str, str]]:
    return [(each.name, str(each.result), each.reason) for each in outcomes]


def test_a_bare_host_has_the_keys_of_the_fleet_before_its_router_starts() -> None:
    ring = with_key(KeyRing(), "ann", "tk-" + "a" * 40, now=1.0)
    bare, other = machine("a"), ready("b")
    other.ring = ring
    fleet = Fleet([bare])
    fleet.provision(fleet=(bare, other))
    assert bare.events == ["apply keys", "provision"]
    assert bare.ring == other.ring == ring


class Keyless(Machine):
    """A host that takes no keys; `mute` is one that does not tell its own either."""

    mute = False

    def keys(self) -> HostKeys:
        if self.mute:
            raise HostError(f"{self.host.name}: no route to host", hint="ping")
        return super().keys()

    def apply_keys(self, ring: KeyRing) -> KeyRing:
        self.happens("apply keys")
        raise HostError(f"{self.host.name}: keys-apply: the disk is full")


def keyless(name: str, *, mute: bool = False) -> Keyless:
    made = Keyless(host=Host(name))
    made.facts, made.mute = machine(name).facts, mute
    return made


@pytest.mark.parametrize(
    ("mute", "why"), [(False, "keys-apply: the disk is full"), (True, "no route to host")]
)
def test_a_bare_host_that_cannot_get_the_keys_of_the_fleet_does_not_go_live(
    mute: bool, why: str
) -> None:
    bare, other, third = keyless("a", mute=mute), ready("b"), machine("c")
    other.ring = with_key(KeyRing(), "ann", "tk-" + "a" * 40, now=1.0)
    if mute:
        # Nobody else lags behind.
        third.ring = other.ring
    fleet = Fleet([bare, third])
    first, second = fleet.provision(fleet=(bare, other, third))
    assert first.result is Result.FAILED and first.fault is not None
    assert first.fault.message == (
        "a: it would serve requests without a key, since it could not get the keys of the fleet: "
        + why
    )
    assert first.fault.hint == (
        "ping" if mute else "toolkit keys sync, then the same command again"
    )
    assert "provision" not in bare.events
    assert (second.result, third.ring) == (Result.CONVERGED, other.ring)


def test_where_no_host_tells_its_keys_no_bare_one_goes_live() -> None:
    hosts = [keyless("a", mute=True), keyless("b", mute=True)]
    outcomes = Fleet(hosts).provision(fleet=hosts)
    assert [each.fault and each.fault.message for each in outcomes] == [
        "a: no route to host", "b: no route to host",
    ]  # fmt: skip
    assert [each.events for each in hosts] == [[], []]


def test_where_every_provisioned_host_is_silent_no_bare_one_goes_live_without_keys() -> None:
    bare, other, third = machine("a"), keyless("b", mute=True), machine("c")
    fleet = Fleet([bare])
    hosts, deployed = (bare, other, third), lambda: {"b"}
    (outcome,) = Fleet([machine("a")]).provision(fleet=(machine("a"), *hosts[1:]))
    assert outcome.result is Result.CONVERGED, "in a new fleet nobody has served"
    (outcome,) = fleet.provision(fleet=hosts, deployed=deployed)
    assert outcome.result is Result.FAILED and outcome.fault is not None
    assert outcome.fault.message == (
        "a: it would serve requests without a key, and b, which may have keys of the fleet, does not answer"
    )
    assert outcome.fault.hint == (
        "bring that back; or toolkit keys add NAME, or where requests need no key: toolkit keys open"
    )
    assert "provision" not in bare.events
    # A person has said so, or a host that served tells that there are none.
    bare.ring = third.ring = opened(KeyRing())
    (outcome,) = fleet.provision(fleet=hosts, deployed=deployed)
    assert outcome.result is Result.CONVERGED
    bare, asking = machine("a"), machine("d")
    asking.host = replace(asking.host, router_require_keys=True)
    for hosts in ((bare, other, ready("e")), (asking, other)):
        (outcome,) = Fleet(hosts[:1]).provision(fleet=hosts, deployed=deployed)  # type: ignore[arg-type]
        assert outcome.result is Result.CONVERGED


@pytest.mark.parametrize("locked", [False, True])
def test_a_host_without_keys_is_made_ready_where_requests_need_none_or_it_asks_for_keys_already(
    locked: bool,
) -> None:
    bare, other = keyless("a"), ready("b")
    if locked:
        bare.ring = with_key(KeyRing(), "bob", "tk-" + "b" * 40, now=1.0)
        other.ring = with_key(KeyRing(), "ann", "tk-" + "a" * 40, now=1.0)
    else:
        other.ring = KeyRing(locked=1, opened=1)
    (outcome,) = Fleet([bare]).provision(fleet=(bare, other))
    assert outcome.result is Result.CONVERGED


def test_bare_hosts_become_ready_and_are_left_alone_from_then_on() -> None:
    fleet = Fleet([machine("a"), ready("b"), machine("c", converged="old")])
    assert results(fleet.provision()) == [
        ("a", "converged", "it was never provisioned"),
        ("b", "nothing to do", ""),
        ("c", "converged", "its roles or settings changed"),
    ]
    assert [each.facts.converged for each in fleet.machines] == ["base-1"] * 3
    assert fleet.machines[1].events == []
    assert sorted(fleet.said) == ["a: Create the service user", "c: Create the service user"]
    assert len(fleet.shown) == 1 and fleet.prepared

    fleet.prepared = False
    assert {each.result for each in fleet.provision()} == {Result.UNCHANGED}
    assert not fleet.prepared
    assert len(fleet.shown) == 1, "where there is nothing to do nobody is asked"


def test_a_host_that_fails_leaves_the_others_untouched_and_is_told_with_its_reason() -> None:
    down, held = machine("down"), machine("held")
    down.down, held.owner = "it cannot be reached", BOB
    late = machine("late", observed_at=NOW - 86400)
    fleet = Fleet(
        [down, machine("a"), held, late, machine("broken")], failing=frozenset({"broken"})
    )
    outcomes = fleet.provision()
    assert [str(each.result) for each in outcomes] == [
        "failed", "converged", "failed", "failed", "failed",
    ]  # fmt: skip
    assert [each.fault.message.partition(" since")[0] for each in outcomes if each.fault] == [
        "down: it cannot be reached",
        "held is held by bob@ops2 (pid 1)",
        "late: its clock is 24 h 00 min behind this machine's",
        "broken: provision: a task failed",
    ]
    assert late.events == held.events == []
    assert [each.target.name for each in fleet.shown[0] if each.fault] == ["down", "late"]


def test_who_says_no_changes_nothing() -> None:
    fleet = Fleet([machine("a"), machine("b")])
    with pytest.raises(RefusedError, match="not confirmed; nothing was changed"):
        fleet.provision(answer=False)
    assert [each.events for each in fleet.machines] == [[], []]


def test_force_converges_what_needs_nothing() -> None:
    fleet = Fleet([ready("a")], changes=())
    assert results(fleet.provision(force=True)) == [
        ("a", "nothing to do", "asked for with --force")
    ]
    assert fleet.machines[0].events == ["provision"]


def test_a_host_whose_files_were_changed_is_left_for_a_person_to_look_at() -> None:
    changed = ready("a")
    changed.facts = replace(changed.facts, changed_files=("router/haproxy.cfg was changed",))
    fleet = Fleet([changed, ready("b")])
    assert [(each.result, each.differing) for each in fleet.provision()] == [
        (Result.UNCHANGED, ("router/haproxy.cfg was changed",)),
        (Result.UNCHANGED, ()),
    ]


def test_a_host_that_another_command_converged_meanwhile_is_left_alone() -> None:
    bare = machine("a")
    fleet = Fleet([bare])

    def confirm(intents: Sequence[Intent]) -> bool:
        bare.facts = ready("a").facts
        return True

    tools = Provisioning(fleet, OWNER, lambda: NOW, fleet.said.append)
    (outcome,) = provision([ProvisionTarget(bare, "base-1")], tools, confirm)
    assert (outcome.result, bare.events) == (Result.UNCHANGED, [])


def test_the_fleet_is_looked_at_whole_even_where_a_host_is_silent() -> None:
    down = machine("down")
    down.down = "it refuses our key"
    hosts = [ready("a"), machine("b"), down, machine("c", os="Fedora", os_id="fedora")]
    looks = look_at_hosts(hosts, lambda _: "base-1", lambda: NOW)
    assert [(each.name, each.drift, len(each.faults)) for each in looks] == [
        ("a", "", 0),
        ("b", "it was never provisioned", 0),
        ("down", "", 0),
        ("c", "it was never provisioned", 1),
    ]
    unreachable = looks[2].unreachable
    assert unreachable and (unreachable.message, unreachable.hint) == (
        "down: it refuses our key",
        "ping",
    )
    assert looks[0].as_json()["router"]["running"] is True


def test_a_door_to_the_network_is_not_opened_before_replicas_without_a_fence() -> None:
    box = machine(
        "box",
        fences=("user", "rights"),
        converged="base-0",
        settings={"router_bind": "127.0.0.1:8080", "relay": ""},
        slots=(slot("blue", release(1)),),
    )
    box.host = replace(box.host, router_bind="*:8080")
    other = ready("other")
    other.facts = replace(other.facts, converged="base-0")
    first, second = Fleet([box, other]).provision()
    assert (first.result, second.result) == (Result.FAILED, Result.CONVERGED)
    assert first.fault is not None
    assert first.fault.message.startswith("box: it cannot fence replicas entirely: they can read")
    assert first.fault.message.endswith("; and its router would listen at *:8080")
    assert "toolkit_accept_unfenced: true" in first.fault.hint
    assert box.events == []
    box.host = replace(box.host, accept_unfenced=True)
    (outcome,) = Fleet([box]).provision()
    assert outcome.result is Result.CONVERGED


@dataclass
class Slow(Fleet):
    """Machines whose playbooks end with an interruption alone: amid a task they tell nothing."""

    interruption: Interruption = field(default_factory=Interruption)
    ended: list[str] = field(default_factory=list)

    def run(
        self,
        playbook: str,
        host: Host,
        variables: Mapping[str, Any],
        progress: Progress,
        require: Require = nothing,
    ) -> tuple[str, ...]:
        progress("Install the missing system packages")
        if host.name == "b":
            _thread.interrupt_main()
        try:
            self.interruption.sleep(AGES)
        except HostError:
            self.ended.append(host.name)
            raise
        return ()


def test_ctrl_c_ends_the_playbooks_of_all_hosts_amid_their_tasks(pace: Pace) -> None:
    fleet, started = Slow([machine("a"), machine("b")]), pace()
    with pytest.raises(KeyboardInterrupt):
        fleet.provision(interruption=fleet.interruption)
    assert sorted(fleet.ended) == ["a", "b"]
    assert pace() - started < 5


@dataclass
class Silent(Fleet):
    """Machines whose locks are gone before their playbooks end, as after a sleep of the ops machine."""

    def run(
        self,
        playbook: str,
        host: Host,
        variables: Mapping[str, Any],
        progress: Progress,
        require: Require = nothing,
    ) -> tuple[str, ...]:
        changed = super().run(playbook, host, variables, progress, require)
        next(each for each in self.machines if each.host.name == host.name).owner = BOB
        require()
        return changed


def test_a_host_whose_lock_was_lost_amid_its_playbook_is_no_success() -> None:
    (outcome,) = Silent([machine("a")]).provision()
    assert outcome.result == Result.FAILED
    assert outcome.fault is not None
    assert "the deployment lock was lost" in outcome.fault.message
