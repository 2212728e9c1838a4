"""What a host finds when it tries to leave from where its replicas are: with the fence nothing gets out, and where a
fence, a resolver or a listener is not as it should be, the check says so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.adapters.host_lab import HostLab
from tests.system.waiting import until
from toolkit.adapters.hosts.client import silent
from toolkit.domain.hosts.perimeter import Perimeter, ReplicaTries
from toolkit.planning.upkeep.perimeter import judge

UNIT = "toolkit-tiny-blue.service"
DROP_IN = f"/run/systemd/system/{UNIT}.d"
# Answers each packet with itself, and takes connections.
LISTENER = """
import socket, sys
address, port = sys.argv[1], int(sys.argv[2])
packets = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
packets.bind((address, port))
listener = socket.create_server((address, port))
while True:
    data, sender = packets.recvfrom(512)
    packets.sendto(data, sender)
"""


@pytest.fixture(params=["real", pytest.param("systemd", marks=pytest.mark.system)])
def lab(request: pytest.FixtureRequest) -> HostLab:
    found: HostLab = request.getfixturevalue(f"{request.param}_host")
    found.empty(but_ready=True)
    found.ready()
    return found


@pytest.fixture
def systemd(systemd_host: HostLab) -> HostLab:
    systemd_host.empty(but_ready=True)
    systemd_host.ready()
    return systemd_host


def outcomes(replica: ReplicaTries) -> dict[str, str]:
    return {each.to: each.outcome for each in replica.tries}


def findings(lab: HostLab, seen: Perimeter) -> tuple[str, ...]:
    return judge(lab.host.host, lab.host.observe(), seen).findings


@contextmanager
def listening(lab: HostLab, address: str, port: int, user: str = "root") -> Iterator[None]:
    """Have a program of `user` listen on a host with systemd."""
    lab.run(
        "systemd-run", "--unit=planted", f"--property=User={user}",
        "--property=AmbientCapabilities=CAP_NET_BIND_SERVICE",
        "/usr/bin/python3", "-c", LISTENER, address, str(port),
    )  # fmt: skip
    try:
        lab.run("sh", "-c", f"until grep -qi ':{port:04X} ' /proc/net/tcp; do sleep 0.05; done")
        yield
    finally:
        lab.run("systemctl", "stop", "planted")


@contextmanager
def without_its_fence(lab: HostLab) -> Iterator[None]:
    """Start the replica anew without its filters of packets."""
    lab.run("mkdir", "-p", DROP_IN)
    text = "[Service]\nIPAddressDeny=\nIPAddressAllow=\nExecStartPre=\n"
    lab.run("sh", "-c", 'printf %s "$2" >"$1/open.conf"', "sh", DROP_IN, text)
    try:
        _restart(lab)
        yield
    finally:
        lab.run("rm", "-r", DROP_IN)
        _restart(lab)


def _restart(lab: HostLab) -> None:
    lab.run("systemctl", "daemon-reload")
    lab.run("systemctl", "restart", UNIT)
    assert lab.host.wait_ready("tiny-blue", lab.ports["blue"], 120, silent).ok


@contextmanager
def resolver(lab: HostLab, address: str) -> Iterator[None]:
    lab.run("sh", "-c", f"echo nameserver {address} >/etc/resolv.conf")
    try:
        with listening(lab, address, 53):
            yield
    finally:
        lab.run("rm", "/etc/resolv.conf")


def test_nothing_leaves_from_where_a_replica_is(lab: HostLab) -> None:
    seen = lab.host.perimeter()
    [replica] = seen.replicas
    assert (replica.program, replica.fault) == ("tiny-blue", "")
    assert replica.user == lab.host.host.slot_user("tiny-blue")
    found = outcomes(replica)
    assert "through" not in found.values(), found
    assert found["192.0.2.1 udp"] in ("refused", "no way")
    assert found["127.0.0.53 udp"] == "refused"
    by_cards = [each for each in found if each.startswith("127.0.0.1 by ")]
    assert by_cards and {found[each] for each in by_cards} <= {"refused", "no way"}
    own = [each.outcome for each in replica.tries if each.what == "this host's own address"]
    # Others on the host get through to it.
    assert own in (["silent"], ["refused"])
    # Other programs of this machine may listen wherever they want.
    assert [each for each in findings(lab, seen) if "tiny" in each or "router" in each] == []
    [listener] = [each for each in seen.listeners if each.port == lab.ports["blue"]]
    assert (listener.address, listener.user) == ("127.0.0.1", replica.user)
    assert lab.host.host.router_bind in [each.place for each in seen.listeners]


def test_the_check_leaves_no_trace(lab: HostLab) -> None:
    def slots() -> list[object]:
        return [(each.started_at, each.drift, each.fences) for each in lab.host.observe().slots]

    def processes() -> set[str]:
        user = lab.host.host.slot_user("tiny-blue")
        # Test hosts have their own users, whose numbers may be the same, and their own networks.
        return {*lab.run("sh", "-c", "pgrep -u $1 --ns $$ --nslist net; true", "sh", user).split()}

    before, running = slots(), processes()
    lab.host.perimeter()
    # A process that was killed needs a processor once more to end; one of an earlier check may be among the first.
    until(lambda: processes() - running, 60, lambda new: not new)
    assert processes() != set()
    assert slots() == before
    assert lab.ask("blue") != ""


@pytest.mark.system
def test_a_host_with_ssh_alone_has_no_finding(systemd: HostLab) -> None:
    seen = systemd.host.perimeter()
    assert findings(systemd, seen) == ()
    judged = judge(systemd.host.host, systemd.host.observe(), seen)
    assert {each.is_what for each in judged.listeners} >= {"router", "metrics", "ssh"}


@pytest.mark.system
def test_a_replica_without_its_fence_is_found(systemd: HostLab) -> None:
    address = systemd.host.host.address
    with without_its_fence(systemd), resolver(systemd, address):
        seen = systemd.host.perimeter()
    found = outcomes(seen.replicas[0])
    assert found[f"{address} tcp"] == "through"
    assert found[f"{address} udp"] == "through"
    said = findings(systemd, seen)
    assert f"tiny-blue reaches this host's own address: {address} tcp" in said
    assert f"tiny-blue reaches a name: {address} udp" in said


@pytest.mark.system
def test_a_resolver_is_out_of_reach_and_one_on_loopback_is_found(systemd: HostLab) -> None:
    address = systemd.host.host.address
    with resolver(systemd, address):
        found = outcomes(systemd.host.perimeter().replicas[0])
    assert found[f"{address} udp"] == "refused"
    with resolver(systemd, "127.0.0.1"):
        seen = systemd.host.perimeter()
    assert "tiny-blue reaches a name: 127.0.0.1 udp" in findings(systemd, seen)


@pytest.mark.system
@pytest.mark.parametrize(
    ("user", "words"),
    [
        ("root", "python3 of root listens at 0.0.0.0:9999: the fleet file does not name it"),
        (
            "toolkit-tiny-blue",
            "python3 of toolkit-tiny-blue listens at 0.0.0.0:9999: replica tiny-blue, which belongs on loopback",
        ),
        (
            "toolkit",
            "python3 of toolkit listens at 0.0.0.0:9999: the router, where the fleet file has nothing",
        ),
    ],
)
def test_who_listens_where_the_fleet_file_has_nothing_is_found(
    systemd: HostLab, user: str, words: str
) -> None:
    with listening(systemd, "0.0.0.0", 9999, user):
        seen = systemd.host.perimeter()
    assert words in findings(systemd, seen)
