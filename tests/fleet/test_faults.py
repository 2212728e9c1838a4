"""What can happen to a host, happens to test hosts: no power, no link, a full disk, a narrow link, a wrong clock."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet import watchers
from tests.fleet.lab import FleetLab, fleet_lab
from tests.fleet.machine import Machine, require_hosts
from tests.pace import Pace
from tests.system.waiting import until
from toolkit.errors import HostError

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetLab]:
    require_hosts()
    shared = tmp_path_factory.mktemp("shared")
    (shared / "weights").write_text("weights")
    shares = {"/opt/shared": shared, "/opt/one-file": shared / "weights"}
    with fleet_lab(2, disk=2**30, shares=shares) as lab:
        yield lab


@pytest.fixture
def alpha(lab: FleetLab) -> Machine:
    return lab["alpha"]


def test_a_power_cut_leaves_disk_address_and_host_key(alpha: Machine) -> None:
    alpha.run("sh", "-c", "echo kept >/root/kept; echo gone >/run/gone; echo '# ours' >>/etc/hosts")
    first = alpha.pid
    alpha.power_off()
    assert not Path("/proc", str(first)).exists()
    with pytest.raises(RuntimeError, match="no power"):
        alpha.run("true")
    alpha.power_on()
    assert alpha.run("cat", "/root/kept") == "kept\n"
    assert alpha.run("tail", "-1", "/etc/hosts") == "# ours\n"
    assert alpha.run("ls", "/run/gone", check=False) == ""
    assert _ssh(alpha, "hostname") == "alpha"


def test_no_word_comes_from_a_host_without_power_or_link(alpha: Machine) -> None:
    for ends in (Machine.cut_link, Machine.power_off):
        with socket.create_connection((alpha.address, 22), timeout=60) as connection:
            assert connection.recv(8) == b"SSH-2.0-"
            while connection.recv(512)[-1:] != b"\n":
                pass
            ends(alpha)
            connection.settimeout(0.3)
            with pytest.raises(TimeoutError):
                connection.recv(1)
        if alpha.pid:
            alpha.mend_link()
    alpha.power_on()
    assert _ssh(alpha, "hostname") == "alpha"


def test_a_full_disk_takes_nothing_more(alpha: Machine) -> None:
    write = ("dd", "if=/dev/zero", "of=/root/block", "bs=64k", "count=16")
    alpha.fill_disk(left=2**19)
    with pytest.raises(RuntimeError, match="No space left"):
        alpha.run(*write)
    free = int(alpha.run("df", "--block-size=1", "--output=avail", "/root").split()[-1])
    assert free == 0
    alpha.empty_disk()
    alpha.run(*write)
    size = int(alpha.run("df", "--block-size=1", "--output=size", "/root").split()[-1])
    assert size == 2**30


def test_links_may_be_narrow_each_way(lab: FleetLab, alpha: Machine) -> None:
    def receive() -> float:
        return _seconds(alpha, "head -c 1500000 /dev/zero", b"")

    def send() -> float:
        return _seconds(alpha, "cat >/dev/null", bytes(1_500_000))

    # 1.5 MB less the burst that is let through at once, at 1 MB/s
    least = (1_500_000 - 262_144) / 1_000_000
    alpha.limit_bandwidth("8mbit")
    assert receive() > least and send() > least
    alpha.limit_bandwidth("")
    # On a busy machine one try may take as long; with a limit that is still there every try does.
    until(lambda: receive() < least and send() < least, 60)
    lab.network.limit_bandwidth("8mbit")
    until(lambda: receive() < least, 60)
    assert send() > least
    lab.network.limit_bandwidth("")


def test_hosts_see_what_this_machine_shares_and_cannot_change_it(alpha: Machine) -> None:
    assert alpha.run("cat", "/opt/shared/weights", "/opt/one-file") == "weights" * 2
    with pytest.raises(RuntimeError, match="Read-only file system"):
        alpha.run("touch", "/opt/shared/new")


def test_python_on_a_host_may_believe_in_another_time(alpha: Machine) -> None:
    alpha.set_clock(-86400)
    began = time.time()
    told = float(alpha.run("/usr/bin/python3", "-Ic", "import time; print(time.time())"))
    ended = time.time()
    alpha.set_clock(0)
    assert began <= told + 86400 <= ended


def test_toolkit_reads_the_inventory_of_the_lab(lab: FleetLab) -> None:
    from toolkit.cli.opening.context import open_ports
    from toolkit.config.inventory.fleet import load_fleet

    hosts = load_fleet(lab.inventory).hosts
    assert [host.name for host in hosts] == ["alpha", "beta"]
    seen = [host.observe() for host in open_ports(hosts, lab.home)]
    assert [(facts.name, facts.init) for facts in seen] == [
        ("alpha", "systemd"),
        ("beta", "systemd"),
    ]


def test_a_host_without_power_is_known_in_ten_seconds_and_one_that_pauses_is_waited_for(
    lab: FleetLab, alpha: Machine, pace: Pace
) -> None:
    from toolkit.cli.opening.context import open_ports
    from toolkit.config.inventory.fleet import load_fleet

    host = open_ports(load_fleet(lab.inventory).hosts, lab.home)[0]
    host.observe()
    alpha.cut_link()
    mending = threading.Timer(4, alpha.mend_link)
    mending.start()
    host.observe()
    mending.join()
    alpha.power_off()
    lost = pace()
    with pytest.raises(HostError, match="alpha: the connection to it was lost"):
        host.observe()
    assert pace() - lost < 12
    alpha.power_on()
    assert host.observe().name == "alpha"


def test_a_dead_link_frees_the_lock_of_the_host_and_stops_its_former_holder(
    lab: FleetLab, alpha: Machine, monkeypatch: pytest.MonkeyPatch, pace: Pace
) -> None:
    """As after a power cut of the ops machine: no word reaches the host, whose sshd waits for hours."""
    from toolkit.adapters.hosts import heartbeat
    from toolkit.cli.opening.context import open_ports
    from toolkit.config.inventory.fleet import load_fleet
    from toolkit.domain.replicas.probe import LockOwner

    silence = 5.0
    monkeypatch.setattr(heartbeat, "SILENCE_SECONDS", silence)
    host = open_ports(load_fleet(lab.inventory).hosts, lab.home)[0]
    free = ("flock", "--nonblock", f"{host.host.root}/deployment.lock", "true")
    with host.lock(LockOwner("ann@ops", "toolkit deploy tiny", 1)):
        with pytest.raises(RuntimeError):
            alpha.run(*free)
        alpha.cut_link()
        cut = pace()
        while True:
            try:
                alpha.run(*free)
                break
            except RuntimeError:
                assert pace() - cut < silence + 5
                time.sleep(0.2)
        with pytest.raises(HostError, match="the deployment lock was lost"):
            host.require_lock()
        alpha.mend_link()


def test_room_for_watchers_is_given_back_by_the_last_who_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = tmp_path / "max_user_instances"
    setting.write_text("128\n")
    monkeypatch.setattr(watchers, "SETTING", setting)
    monkeypatch.setattr(watchers, "FORMER", tmp_path / "former")
    with watchers.room_for_watchers():
        with watchers.room_for_watchers():
            assert int(setting.read_text()) == watchers.ENOUGH
        assert int(setting.read_text()) == watchers.ENOUGH
    assert setting.read_text() == "128\n"


def _ssh(machine: Machine, command: str) -> str:
    words = ["ssh", *machine.ssh_options, machine.address, command]
    return subprocess.run(
        words, capture_output=True, text=True, check=True, timeout=20
    ).stdout.strip()


def _seconds(machine: Machine, command: str, data: bytes) -> float:
    """Return how long a command takes once it is logged in, which takes a busy machine a second."""
    words = ["ssh", *machine.ssh_options, machine.address, f"echo in; read -r begin; {command}"]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"in\n"
        began = time.monotonic()
        process.communicate(b"\n" + data, timeout=60)
        seconds = time.monotonic() - began
    assert process.returncode == 0
    return seconds
