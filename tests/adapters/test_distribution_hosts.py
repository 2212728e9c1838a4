"""Trees reach whole hosts, and what happens to one host stays there."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.adapters.tree_lab import (
    Heard,
    digests,
    is_interrupted,
    listing,
    make_tree,
    spreads_once,
)
from tests.fleet.lab import FleetLab, fleet_lab
from tests.fleet.machine import require_hosts
from tests.system.served import CACHE
from toolkit.adapters.distribution import Progress
from toolkit.adapters.distribution_ssh import SshDistribution
from toolkit.adapters.interruption import Interruption
from toolkit.config.fleet import load_fleet
from toolkit.domain.fleet import Host

pytestmark = pytest.mark.system
SNAPSHOTS = "/var/lib/toolkit/snapshots"
MIB = 2**20


@pytest.fixture(scope="module")
def lab() -> Iterator[FleetLab]:
    require_hosts()
    with fleet_lab(3, silence=6) as made:
        # Its only file from the network is fetched once.
        (CACHE / "wheelhouse").mkdir(parents=True, exist_ok=True)
        (made.home / "wheelhouse").symlink_to(CACHE / "wheelhouse")
        yield made


def hosts_of(lab: FleetLab) -> tuple[Host, ...]:
    return load_fleet(lab.inventory).hosts


def distribution(lab: FleetLab, *, limit: int = 0, swarm: bool = True) -> SshDistribution:
    return SshDistribution(lab.home, limit=limit, swarm=swarm)


@pytest.mark.parametrize("by", ["swarm", "swarm-tls", "stream"])
def test_a_tree_reaches_all_hosts_and_its_next_version_sends_what_differs(
    lab: FleetLab, tmp_path: Path, by: str
) -> None:
    model = f"{by}.safetensors"
    sizes = {model: 12 * MIB + 1, "sub/config.json": 500 + len(by), "empty": 0}
    first = make_tree(tmp_path / "a", f"a-{by}", sizes)
    way = distribution(lab, swarm=by != "stream")
    hosts = [replace(host, swarm_tls=by == "swarm-tls") for host in hosts_of(lab)]
    assert spreads_once(way, first, hosts) == []
    for machine in lab.machines:
        wanted = {file.path: file.sha256 for file in first.files}
        assert digests(machine, f"{SNAPSHOTS}/{first.name}") == wanted
        assert f".{first.name}.partial" not in listing(machine, SNAPSHOTS)

    second = make_tree(tmp_path / "b", f"b-{by}", {**sizes, "sub/config.json": 700 + len(by)})
    heard = Heard()
    names = ("alpha", "beta", "gamma")
    assert way.spread(second, hosts, heard) == dict.fromkeys(names, "")
    assert heard.total == dict.fromkeys(names, 700 + len(by))
    models = [f"{SNAPSHOTS}/{tree.name}/{model}" for tree in (first, second)]
    inodes = lab["alpha"].run("stat", "-c", "%i", *models).split()
    assert len(inodes) == 2 and len(set(inodes)) == 1


def test_a_host_that_joins_late_holds_nobody_up_and_gets_everything(
    lab: FleetLab, tmp_path: Path
) -> None:
    came: dict[str, float] = {}

    def note(progress: Progress) -> None:
        if progress.done:
            came.setdefault(progress.host, time.monotonic())
        assert not progress.words

    gamma = lab["gamma"]
    # Over a link of 2.5 MB/s the swarm's library takes seconds to come.
    gamma.run("sh", "-c", "rm -r /var/lib/toolkit/bin/libtorrent-*", check=False)
    gamma.limit_bandwidth("20mbit")
    try:
        tree = make_tree(tmp_path, "l7", {"one": 9 * MIB, "two": 3 * MIB})
        wrong = distribution(lab).spread(tree, hosts_of(lab), note)
    finally:
        gamma.limit_bandwidth("")
    assert wrong == dict.fromkeys(("alpha", "beta", "gamma"), "")
    assert max(came["alpha"], came["beta"]) < came["gamma"] - 1
    wanted = {file.path: file.sha256 for file in tree.files}
    assert digests(gamma, f"{SNAPSHOTS}/l7") == wanted


def test_a_host_that_cannot_join_the_swarm_gets_the_tree_over_ssh_alone(
    lab: FleetLab, tmp_path: Path
) -> None:
    listen = "import socket, time; taken = socket.create_server(('', 8091)); time.sleep(60)"
    words = ["systemd-run", "--unit=taken", "python3", "-c", listen]
    lab["beta"].run(*words)
    try:
        tree = make_tree(tmp_path, "t5", {"t5": 9 * MIB})
        (said,) = spreads_once(distribution(lab), tree, hosts_of(lab))
    finally:
        lab["beta"].run("systemctl", "stop", "taken")
    assert said.startswith("beta: over SSH alone, as the swarm did not reach it: ")


@pytest.mark.parametrize("swarm", [True, False], ids=["swarm", "stream"])
def test_an_interruption_ends_a_transfer_at_once(
    lab: FleetLab, tmp_path: Path, swarm: bool
) -> None:
    interruption, hosts = Interruption(), hosts_of(lab)[:2]
    # At this rate it would take six seconds.
    way = SshDistribution(lab.home, limit=4 * MIB, swarm=swarm, interruption=interruption)
    tree = make_tree(tmp_path, f"i-{swarm}", {f"i-{swarm}": 24 * MIB})

    is_interrupted(way, interruption, tree, hosts)
    for machine in lab.machines[:2]:
        assert tree.name not in listing(machine, SNAPSHOTS)
    names = dict.fromkeys(("alpha", "beta"), "")
    assert distribution(lab, swarm=swarm).spread(tree, hosts, Heard()) == names


def test_an_interrupted_transfer_leaves_a_dot_directory_that_the_next_one_uses(
    lab: FleetLab, tmp_path: Path
) -> None:
    alpha, host = lab["alpha"], hosts_of(lab)[0]
    tree = make_tree(tmp_path, "d4", {"one": 8 * MIB, "two": 8 * MIB})

    def interrupt(progress: Progress) -> None:
        if progress.done > 9 * MIB:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        distribution(lab, limit=8 * MIB).spread(tree, [host], interrupt)
    assert "d4" not in listing(alpha, SNAPSHOTS)
    assert listing(alpha, f"{SNAPSHOTS}/.d4.partial/checked") == ["one"]
    # What a power cut may leave of a file: its size without its bytes.
    partial = f"{SNAPSHOTS}/.d4.partial/incoming/two"
    alpha.run("dd", "if=/dev/zero", f"of={partial}", "bs=64k", "count=1", "conv=notrunc")
    heard = Heard()
    assert distribution(lab).spread(tree, [host], heard) == {"alpha": ""}
    assert heard.total == {"alpha": 8 * MIB}
    assert digests(alpha, f"{SNAPSHOTS}/d4") == {f.path: f.sha256 for f in tree.files}
    assert listing(alpha, f"{SNAPSHOTS}/.d4.partial") == []


def test_a_swarm_whose_ops_machine_is_killed_ends_and_the_next_one_goes_on(
    lab: FleetLab, tmp_path: Path
) -> None:
    tree = make_tree(tmp_path, "k6", {"one": 12 * MIB, "two": 12 * MIB})
    hosts = hosts_of(lab)[:2]
    killed = subprocess.Popen(
        [sys.executable, "-c", _SPREAD, str(lab.home), str(lab.inventory), str(tmp_path)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert killed.stdout is not None
    killed.stdout.readline()
    killed.kill()
    killed.wait()
    killed.stdout.close()
    until = time.monotonic() + 20
    while any(lab[host.name].run("pgrep", "-f", "tree-swarm", check=False) for host in hosts):
        assert time.monotonic() < until, "a host still waits for its ops machine"
        time.sleep(0.1)
    heard = Heard()
    assert distribution(lab).spread(tree, hosts, heard) == {"alpha": "", "beta": ""}
    assert heard.words == []
    # What had come was not sent again.
    assert max(heard.first.values()) > MIB


_SPREAD = """
import sys
from pathlib import Path
from tests.adapters.tree_lab import make_tree
from toolkit.adapters.distribution_ssh import SshDistribution
from toolkit.adapters.interruption import Interruption
from toolkit.config.fleet import load_fleet
home, inventory, source = map(Path, sys.argv[1:])
tree = make_tree(source, "k6", {"one": 12 * 2**20, "two": 12 * 2**20})
far = set()
def report(progress):
    if progress.done > 8 * 2**20:
        far.add(progress.host)
    if len(far) == 2:
        print("far", flush=True)
SshDistribution(home, limit=4 * 2**20).spread(tree, load_fleet(inventory).hosts[:2], report)
"""


def test_a_full_disk_and_a_lost_host_are_named_and_stop_nobody_else(
    lab: FleetLab, tmp_path: Path
) -> None:
    # One has no room from the start; two make a swarm, until one of these is lost.
    tree = make_tree(tmp_path, "c3", {"one": 10 * MIB, "two": 6 * MIB})
    lab["beta"].fill_disk(left=70 * MIB)

    class PowerCut(Heard):
        def __call__(self, progress: Progress) -> None:
            super().__call__(progress)
            if progress.host == "gamma" and progress.done:
                lab["gamma"].power_off()

    heard = PowerCut()
    wrong = distribution(lab, limit=4 * MIB).spread(tree, hosts_of(lab), heard)
    assert wrong["alpha"] == ""
    assert f"no room in {SNAPSHOTS}" in wrong["beta"]
    assert wrong["gamma"].startswith("gamma: ") and 0 < heard.most["gamma"] < tree.size
    assert "beta" not in heard.most
    assert listing(lab["alpha"], f"{SNAPSHOTS}/c3") == ["one", "two"]
    assert "c3" not in listing(lab["beta"], SNAPSHOTS)
