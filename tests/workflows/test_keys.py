"""Keys over a fleet: every host that answers follows at once, and whoever was away comes to the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from toolkit.adapters.fakes.host import FakeHost
from toolkit.domain.clients.keys import KeyRing
from toolkit.domain.hosts.fleet import Host
from toolkit.errors import HostError, InputError
from toolkit.planning.routing.keys import with_key, without_key
from toolkit.workflows.fleet.keys import change_keys, read_keys, sync_keys

KEYS = {name: f"tk-{name}-{name[0] * 32}" for name in ("ann", "bob", "cleo")}
Edit = Callable[[KeyRing], KeyRing]


def fleet(count: int = 3) -> list[FakeHost]:
    return [FakeHost(host=Host(f"h{number}")) for number in range(1, count + 1)]


def away(host: FakeHost) -> None:
    def refuse(_: str) -> None:
        raise HostError(f"{host.name}: no route to host")

    host.before = refuse


def back(host: FakeHost) -> None:
    host.before = lambda _: None


def adding(name: str) -> Edit:
    return lambda ring: with_key(ring, name, KEYS[name], now=1.0)


def revoking(name: str) -> Edit:
    return lambda ring: without_key(ring, name, now=2.0)


def names(host: FakeHost) -> list[str]:
    return [key.name for key in host.ring.active]


def test_a_change_reaches_every_host() -> None:
    hosts = fleet()
    assert change_keys(hosts, adding("ann")).whole
    assert [names(host) for host in hosts] == [["ann"]] * 3
    found = change_keys(hosts, revoking("ann"))
    assert found.whole
    assert [names(host) for host in hosts] == [[]] * 3
    assert read_keys(hosts) == found


def test_a_host_that_is_away_is_named_and_comes_to_the_same_later() -> None:
    hosts = fleet()
    change_keys(hosts, adding("ann"))
    away(hosts[1])
    found = change_keys(hosts, revoking("ann"))
    assert (found.whole, found.behind) == (False, ())
    assert found.unreachable == {"h2": "no route to host"}
    assert [names(host) for host in hosts] == [[], ["ann"], []]

    back(hosts[1])
    assert read_keys(hosts).behind == ("h2",)
    assert sync_keys(hosts).whole
    assert [names(host) for host in hosts] == [[], [], []]


def test_two_ops_machines_that_saw_different_halves_of_the_fleet_agree_in_the_end() -> None:
    hosts = fleet(2)
    change_keys(hosts, adding("ann"))
    away(hosts[1])
    change_keys(hosts, revoking("ann"))
    change_keys(hosts, adding("bob"))
    back(hosts[1])
    away(hosts[0])
    # a second ops machine, which never saw the revocation
    change_keys(hosts, adding("cleo"))
    assert names(hosts[1]) == ["ann", "cleo"]
    back(hosts[0])
    assert sync_keys(hosts).whole
    assert [names(host) for host in hosts] == [["bob", "cleo"]] * 2


def test_any_later_change_brings_whoever_was_away_to_the_same() -> None:
    hosts = fleet(2)
    away(hosts[1])
    change_keys(hosts, adding("ann"))
    back(hosts[1])
    assert change_keys(hosts, adding("bob")).whole
    assert [names(host) for host in hosts] == [["ann", "bob"]] * 2


def test_a_host_that_is_new_gets_the_keys_of_the_others() -> None:
    hosts = fleet(2)
    change_keys(hosts, adding("ann"))
    hosts.append(FakeHost(host=Host("h3")))
    assert read_keys(hosts).behind == ("h3",)
    assert sync_keys(hosts).whole
    assert names(hosts[2]) == ["ann"]
    events = [list(host.events) for host in hosts]
    # and again does nothing
    assert sync_keys(hosts).whole
    assert [host.events for host in hosts] == events


def test_somebody_elses_change_in_between_is_met() -> None:
    hosts = fleet(2)

    def meanwhile(event: str) -> None:
        if event == "apply keys":
            hosts[1].ring = hosts[1].ring.merged(adding("bob")(KeyRing()))

    hosts[1].before = meanwhile
    found = change_keys(hosts, adding("ann"))
    assert found.whole
    assert [names(host) for host in hosts] == [["ann", "bob"]] * 2


def test_a_host_that_is_lost_between_reading_and_writing_is_named() -> None:
    hosts = fleet(2)

    def cut(event: str) -> None:
        if event == "apply keys":
            raise HostError("h2: connection lost")

    hosts[1].before = cut
    assert change_keys(hosts, adding("ann")).unreachable == {"h2": "connection lost"}


def test_where_nobody_answers_nothing_is_said_to_be_done() -> None:
    hosts = fleet(2)
    for host in hosts:
        away(host)
    with pytest.raises(HostError, match="h1, h2: no route to host"):
        change_keys(hosts, adding("ann"))


def test_what_is_refused_changes_nothing() -> None:
    hosts = fleet(2)
    change_keys(hosts, adding("ann"))
    before = [list(host.events) for host in hosts]
    with pytest.raises(InputError, match="ann has a key already"):
        change_keys(hosts, lambda ring: with_key(ring, "ann", KEYS["bob"], now=3.0))
    assert [host.events for host in hosts] == before


@pytest.mark.parametrize("count", [1, 3])
def test_the_same_fault_keeps_its_hint_on_any_number_of_hosts(count: int) -> None:
    hosts = fleet(count)

    def refused(event: str) -> None:
        raise HostError("sudo asks for a password", hint="be root or have passwordless sudo")

    for host in hosts:
        host.before = refused
    with pytest.raises(HostError, match="sudo asks for a password") as caught:
        read_keys(hosts)
    assert caught.value.hint == "be root or have passwordless sudo"
