"""A command may open what all of its parts need together: its connections, those of a transfer, a swarm's sessions."""

from __future__ import annotations

import resource
from pathlib import Path
from weakref import WeakKeyDictionary

import pytest

from toolkit.adapters import descriptors
from toolkit.adapters.descriptors import free_descriptors, need_descriptors
from toolkit.adapters.distribution.delivery import Delivery, Need, Throttle
from toolkit.adapters.distribution.port import Tree
from toolkit.adapters.distribution.swarm import Swarm
from toolkit.adapters.distribution.swarm_library import Wheels
from toolkit.adapters.hosts.client import Clients
from toolkit.adapters.interruption import Interruption
from toolkit.domain.files.snapshot import FileDigest
from toolkit.domain.hosts.fleet import Host
from toolkit.errors import ToolkitError

HOSTS = [Host(f"gpu{number}", "ssh", f"10.0.0.{number}") for number in range(1, 111)]


class Limit:
    """The limit of this process: a soft one of 1024, and a hard one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.soft, self.hard = 1024, 2**19
        monkeypatch.setattr(resource, "getrlimit", lambda _: (self.soft, self.hard))
        monkeypatch.setattr(resource, "setrlimit", lambda _, both: setattr(self, "soft", both[0]))


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> Limit:
    # Without what other tests of this process have open.
    monkeypatch.setattr(descriptors, "_needs", WeakKeyDictionary())
    return Limit(monkeypatch)


def test_one_connection_to_each_host_fits(limit: Limit, tmp_path: Path) -> None:
    clients = Clients(tmp_path)
    for host in HOSTS:
        clients.of(host)
    assert limit.soft == 1024


def test_a_transfer_has_connections_of_its_own(limit: Limit, tmp_path: Path) -> None:
    own, transfer = Clients(tmp_path), Clients(tmp_path)
    for host in HOSTS:
        own.of(host)
        transfer.of(host)
    assert limit.soft == 2**16
    # What is over counts no more: a command has many transfers, one after the other.
    limit.soft = 1024
    free_descriptors(transfer)
    for number in range(100):
        need_descriptors(own, 110)
        later = Clients(tmp_path / f"{number}")
        later.of(HOSTS[0])
        free_descriptors(later)
    assert limit.soft == 1024


def test_a_swarm_opens_files_and_connections_for_each_session(limit: Limit, tmp_path: Path) -> None:
    text = bytes(8 * 2**20)
    (tmp_path / "source").mkdir()
    for number in range(10):
        (tmp_path / f"source/{number}").write_bytes(text)
    files = tuple(FileDigest(f"{number}", len(text), "0" * 64) for number in range(10))
    interruption = Interruption()
    delivery = Delivery(
        Tree("snapshots", "v1", str(tmp_path / "source"), files),
        Clients(tmp_path / "run"),
        Throttle(0, interruption.sleep),
        lambda _: None,
        interruption,
    )
    needs = [Need(each, files, {}, "3.11", "x86_64", (), "/in", True) for each in HOSTS]
    swarm = Swarm(delivery, needs, Wheels(tmp_path, interruption), tmp_path / "pieces")
    # 17 sessions with four descriptors and ten files each, and two connections for each host.
    assert swarm._descriptors() == 17 * 14 + 220
    limit.hard = 1024
    need_descriptors(delivery.clients, 110)
    with pytest.raises(ToolkitError) as caught:
        swarm.run()
    assert caught.value.message == ("110 hosts need 1402 open files, and this user may open 1024")
    assert caught.value.hint.endswith("prlimit --pid $$ --nofile=1402")
    # The tree takes another way.
    need_descriptors(delivery.clients, 110)
