"""What is a finding at the perimeter of a host: replicas that reach something, and who listens where."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.planning.facts import release
from toolkit.domain.deployment.release import Span
from toolkit.domain.hosts.facts import HostFacts, ProcessState, RouterFacts, SlotFacts
from toolkit.domain.hosts.fleet import Host
from toolkit.domain.hosts.perimeter import Listener, Perimeter, ReplicaTries, Try
from toolkit.planning.upkeep.perimeter import JudgedPerimeter, judge

HOST = Host("gpu1", "ssh", "10.0.0.1", router_bind="0.0.0.0:8080")
PEERED = replace(HOST, relay_address="10.0.0.1", peers=("10.0.0.2",))
ROUTER = Listener("tcp", "0.0.0.0", 8080, "toolkit", "haproxy")
SSH = Listener("tcp", "::", 22, "root", "sshd")
HELD = (Try("outside", "192.0.2.1 udp", "refused"), Try("outside", "192.0.2.1 tcp", "no answer"))


def tries(*made: Try, fault: str = "") -> ReplicaTries:
    return ReplicaTries("tiny-blue", "tiny", "blue", "toolkit-tiny-blue", made, fault)


def facts(*, running: bool = True, **more: Any) -> HostFacts:
    state = ProcessState.RUNNING if running else ProcessState.STOPPED
    slot = SlotFacts("tiny", "blue", 8100, replace(release(1), **more), process=state)
    return HostFacts(
        "gpu1", 0.0, slots=(slot,), router=RouterFacts(running=True, bind="0.0.0.0:8080")
    )


def judged(
    *listeners: Listener,
    host: Host = HOST,
    of: HostFacts | None = None,
    replicas: tuple[ReplicaTries, ...] = (tries(*HELD),),
    firewall: bool = False,
) -> JudgedPerimeter:
    return judge(host, of or facts(), Perimeter((ROUTER, *listeners), firewall, replicas))


def test_a_host_as_the_fleet_file_says_has_no_finding() -> None:
    replica = Listener("tcp", "127.0.0.1", 8100, "toolkit-tiny-blue", "vllm")
    metrics = Listener("tcp", "127.0.0.1", 8405, "toolkit", "haproxy")
    found = judged(replica, metrics, SSH)
    assert found.findings == ()
    assert [each.is_what for each in found.listeners] == [
        "router",
        "replica tiny-blue",
        "metrics",
        "ssh",
    ]


@pytest.mark.parametrize(
    ("replica", "words"),
    [
        (tries(*HELD, Try("a name", "10.0.0.53 udp", "through")), "tiny-blue reaches a name: 10.0.0.53 udp"),
        (tries(fault="mnt: Operation not permitted"),
         "nothing could be tried from where tiny-blue is: mnt: Operation not permitted"),
        (tries(Try("outside", "192.0.2.1 udp", "no way"), Try("outside", "192.0.2.1 tcp", "no answer")),
         "nothing was refused to tiny-blue, so nothing shows that its fence stands"),
        (tries(), "nothing was refused to tiny-blue, so nothing shows that its fence stands"),
    ],
)  # fmt: skip
def test_what_a_replica_reaches_is_a_finding(replica: ReplicaTries, words: str) -> None:
    assert judged(replicas=(replica,)).findings == (words,)


def test_one_try_that_heard_nothing_but_others_get_through_shows_the_fence() -> None:
    assert (
        judged(replicas=(tries(Try("this host's own address", "10.0.0.1 tcp", "silent")),)).findings
        == ()
    )


def test_a_replica_that_runs_and_was_not_tried_is_a_finding_and_one_that_rests_is_none() -> None:
    words = "tiny-blue runs, and nothing was tried from where it is"
    assert judged(replicas=()).findings == (words,)
    assert judged(replicas=(), of=facts(running=False)).findings == ()
    there = facts()
    asleep = replace(there, slots=(replace(there.slots[0], asleep="asleep", rests=True),))
    assert judged(replicas=(), of=asleep).findings == ()


OTHER = Listener("tcp", "0.0.0.0", 9100, "prometheus", "node_exporter")
ALLOWED = {"toolkit_firewall_allow": [{"port": 9100, "from": "10.0.0.0/8"}]}


@pytest.mark.parametrize(
    ("listener", "host", "firewall", "is_what", "wrong"),
    [
        (OTHER, HOST, False, "the fleet file does not name it", True),
        (OTHER, replace(HOST, settings=ALLOWED), False, "toolkit_firewall_allow", False),
        (OTHER, replace(HOST, settings={"toolkit_firewall": True}), True, "closed by the firewall", False),
        (replace(OTHER, protocol="udp"), HOST, False, "udp, of another program", False),
        (replace(OTHER, protocol="udp"), replace(HOST, settings=ALLOWED), False, "udp, of another program", False),
        (replace(OTHER, address="127.0.0.1"), HOST, False, "loopback; replicas reach it", False),
        (replace(OTHER, address="::1"), HOST, False, "loopback; replicas reach it", False),
        (replace(SSH, port=2222), HOST, False, "ssh", False),
        (replace(SSH, port=2222), replace(HOST, ssh_options=("-o", "Port=22")), False,
         "the fleet file does not name it", True),
        (replace(SSH, user="ann"), HOST, False, "the fleet file does not name it", True),
        (Listener("tcp", "10.0.0.1", 8090, "toolkit", "haproxy"), PEERED, False, "relay", False),
        (Listener("tcp", "10.0.0.1", 8091, "root", "python3"), PEERED, False, "weights on their way", False),
        (Listener("tcp", "0.0.0.0", 8090, "toolkit", "haproxy"), PEERED, False,
         "the router, where the fleet file has nothing", True),
        (Listener("tcp", "0.0.0.0", 8405, "toolkit", "haproxy"), HOST, False,
         "the router, where the fleet file has nothing", True),
        (Listener("tcp", "127.0.0.1", 40000, "toolkit", "haproxy"), HOST, False, "the router", False),
        (Listener("tcp", "10.0.0.1", 8100, "toolkit-tiny-blue", "vllm"), HOST, False,
         "replica tiny-blue, which belongs on loopback", True),
        (Listener("udp", "::", 8100, "toolkit-tiny-blue", "vllm"), replace(HOST, settings={"toolkit_firewall": True}),
         True, "replica tiny-blue, which belongs on loopback", True),
    ],
)  # fmt: skip
def test_each_listener_is_named_and_judged(
    listener: Listener, host: Host, firewall: bool, is_what: str, wrong: bool
) -> None:
    found = judged(listener, host=host, firewall=firewall)
    assert (found.listeners[1].is_what, found.listeners[1].wrong) == (is_what, wrong)
    told = f"{listener.program} of {listener.user} listens at {listener.place}: {is_what}"
    assert found.findings == ((told,) if wrong else ())


def test_a_replica_over_several_hosts_listens_for_them() -> None:
    span = Span(2, ("10.0.0.1", "10.0.0.2"), 28100)
    listener = Listener("tcp", "10.0.0.1", 28100, "toolkit-tiny-blue", "vllm")
    found = judged(listener, of=facts(span=span))
    assert found.findings == ()
    assert found.listeners[1].is_what == "replica tiny-blue, for its other hosts"


def test_a_router_elsewhere_and_a_firewall_that_is_not_loaded_are_findings() -> None:
    elsewhere = judge(HOST, facts(), Perimeter((SSH,), firewall=False, replicas=(tries(*HELD),)))
    assert elsewhere.findings == ("nothing listens at 0.0.0.0:8080, where the router belongs",)
    host = replace(HOST, settings={"toolkit_firewall": True})
    assert judged(host=host).findings == ("the firewall of the fleet file is not loaded",)


@pytest.mark.parametrize(
    ("bind", "address", "there"),
    [
        ("127.0.0.1:8080", "127.0.0.1", True),
        ("localhost:8080", "127.0.0.1", True),
        ("127.0.0.1:8080", "0.0.0.0", False),
        ("10.0.0.1:8080", "10.0.0.1", True),
        ("10.0.0.1:8080", "10.0.0.2", False),
        ("[::1]:8080", "::1", True),
        ("[::]:8080", "::", True),
        ("*:8080", "0.0.0.0", True),
        ("0.0.0.0:8081", "0.0.0.0", False),
    ],
)
def test_a_listener_is_where_its_bind_says_and_no_wider(
    bind: str, address: str, there: bool
) -> None:
    seen = Perimeter((replace(ROUTER, address=address),), False, (tries(*HELD),))
    found = judge(replace(HOST, router_bind=bind), facts(), seen)
    assert (found.findings == ()) == there
