"""Trees reach whole hosts, and the failure of one host affects no other."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from tests.fleet.machine import Machine, require_hosts
from tests.fleet.rsync import rsync_files
from tests.pace import paced
from tests.system.models import CACHE
from toolkit.adapters.distribution.over_ssh import SshDistribution
from toolkit.adapters.distribution.port import Progress, Tree
from toolkit.adapters.interruption import Interruption
from toolkit.config.inventory.fleet import load_fleet
from toolkit.domain.hosts.fleet import Host

pytestmark = pytest.mark.system
SNAPSHOTS = "/var/lib/toolkit/snapshots"
MIB = 2**20


@pytest.fixture(scope="module")
def lab() -> Iterator[FleetLab]:
    require_hosts()
    with fleet_lab(3, silence=6, shares=rsync_files()) as made:
        # Fetch the only file from the network once.
        (CACHE / "wheelhouse").mkdir(parents=True, exist_ok=True)
        (made.home / "wheelhouse").symlink_to(CACHE / "wheelhouse")
        yield made


def hosts_of(lab: FleetLab) -> tuple[Host, ...]:
    return load_fleet(lab.inventory).hosts


def distribution(
    lab: FleetLab, *, limit: int = 0, by: str = "swarm", interruption: Interruption | None = None
) -> SshDistribution:
    """Return a distribution that tries this way first: a swarm, rsync or the stream."""
    swarm, rsync = by.startswith("swarm"), by != "stream"
    return SshDistribution(
        lab.home, limit=limit, swarm=swarm, rsync=rsync, interruption=interruption
    )


@pytest.mark.parametrize("by", ["swarm", "swarm-tls", "rsync", "stream"])
def test_a_tree_reaches_all_hosts_and_its_next_version_sends_what_differs(
    lab: FleetLab, tmp_path: Path, by: str
) -> None:
    model, config = f"{by}.safetensors", f"sub/{by}.json"
    sizes = {model: 12 * MIB + 1, config: 500, "empty": 0}
    first = make_tree(tmp_path / "a", f"a-{by}", sizes)
    way = distribution(lab, by=by)
    hosts = [replace(host, swarm_tls=by == "swarm-tls") for host in hosts_of(lab)]
    assert spreads_once(way, first, hosts) == []
    for machine in lab.machines:
        wanted = {file.path: file.sha256 for file in first.files}
        assert digests(machine, f"{SNAPSHOTS}/{first.name}") == wanted
        assert f".{first.name}.partial" not in listing(machine, SNAPSHOTS)

    second = make_tree(tmp_path / "b", f"b-{by}", {**sizes, config: 700})
    heard = Heard()
    names = ("alpha", "beta", "gamma")
    assert way.spread(second, hosts, heard) == dict.fromkeys(names, "")
    assert heard.total == dict.fromkeys(names, 700)
    models = [f"{SNAPSHOTS}/{tree.name}/{model}" for tree in (first, second)]
    inodes = lab["alpha"].run("stat", "-c", "%i", *models).split()
    assert len(inodes) == 2 and len(set(inodes)) == 1


def test_one_copy_crosses_the_link_to_each_site(lab: FleetLab, tmp_path: Path) -> None:
    sites = {"alpha": "north", "beta": "north", "gamma": "south"}
    hosts = [replace(host, site=sites[host.name]) for host in hosts_of(lab)]
    # The swarm's library is there from the first transfer on.
    warm = make_tree(tmp_path / "warm", "s0", {"s0": 9 * MIB})
    assert spreads_once(distribution(lab), warm, hosts) == []
    tree = make_tree(tmp_path / "s", "s1", {"one": 20 * MIB, "two": 4 * MIB})
    with received(lab) as bytes_from:
        assert spreads_once(distribution(lab), tree, hosts) == []
        found = {machine.name: bytes_from(machine) for machine in lab.machines}
    for name, other in ((each, other) for each in sites for other in sites):
        if sites[name] != sites[other]:
            assert found[name][other] == 0, found
    # Less than a copy for each: they have the rest from each other. A link that is free carries some pieces again.
    assert tree.size <= found["alpha"]["ops"] + found["beta"]["ops"] < 1.9 * tree.size, found
    assert tree.size <= found["gamma"]["ops"] < 1.2 * tree.size, found


@contextmanager
def received(lab: FleetLab) -> Iterator[Callable[[Machine], dict[str, int]]]:
    """Count the bytes that each host gets from `ops` and from each host; yield what tells them."""
    senders = {"ops": lab.network.gateway} | {each.name: each.address for each in lab.machines}
    rules = [f"add rule inet count in ip saddr {each} counter" for each in senders.values()]
    chain = "add chain inet count in { type filter hook input priority 0; }"
    words = "; ".join(["add table inet count", chain, *rules])

    def bytes_from(machine: Machine) -> dict[str, int]:
        told = machine.run("nft", "list", "table", "inet", "count")
        counts = dict(re.findall(r"saddr (\S+) counter packets \d+ bytes (\d+)", told))
        return {name: int(counts[address]) for name, address in senders.items()}

    with table(lab, "count", words):
        yield bytes_from


@contextmanager
def table(lab: FleetLab, name: str, words: str) -> Iterator[None]:
    """Have a table of nftables, which `words` make, on all hosts."""
    for machine in lab.machines:
        machine.run("nft", words)
    try:
        yield
    finally:
        for machine in lab.machines:
            machine.run("nft", "delete", "table", "inet", name)


def test_hosts_that_reach_only_the_ops_machine_get_everything_in_a_swarm(
    lab: FleetLab, tmp_path: Path
) -> None:
    # The ops machine comes through SSH, to the loopback address.
    drop = "type filter hook input priority 0; iif != lo tcp dport 8091 drop;"
    tree = make_tree(tmp_path, "o8", {"o8": 9 * MIB})
    with table(lab, "deaf", f"table inet deaf {{ chain in {{ {drop} }}; }}"), paced() as pace:
        began = pace()
        assert spreads_once(distribution(lab), tree, hosts_of(lab)) == []
        # They are given up after 60 s.
        assert pace() - began < 30


def test_a_host_that_joins_late_holds_nobody_up_and_gets_everything(
    lab: FleetLab, tmp_path: Path
) -> None:
    gamma, first, begun = lab["gamma"], {"alpha", "beta"}, []

    def note(progress: Progress) -> None:
        if progress.host == "gamma" and progress.done:
            begun.append(set(first))
        elif progress.done == progress.total and first:
            first.discard(progress.host)
            if not first:
                gamma.limit_bandwidth("")
        assert not progress.words

    # Over a link of 125 kB/s the swarm's library does not come as long as the others lack anything.
    gamma.run("sh", "-c", "rm -r /var/lib/toolkit/bin/libtorrent-*", check=False)
    gamma.limit_bandwidth("1mbit")
    try:
        tree = make_tree(tmp_path, "l7", {"one": 9 * MIB, "two": 3 * MIB})
        wrong = distribution(lab).spread(tree, hosts_of(lab), note)
    finally:
        gamma.limit_bandwidth("")
    assert wrong == dict.fromkeys(("alpha", "beta", "gamma"), "")
    assert begun[0] == set()
    wanted = {file.path: file.sha256 for file in tree.files}
    assert digests(gamma, f"{SNAPSHOTS}/l7") == wanted


def test_a_host_that_cannot_join_the_swarm_gets_the_tree_over_ssh_alone(
    lab: FleetLab, tmp_path: Path
) -> None:
    listen = "import socket, time; taken = socket.create_server(('', 8091)); time.sleep(600)"
    words = ["systemd-run", "--unit=taken", "python3", "-c", listen]
    lab["beta"].run(*words)
    try:
        lab["beta"].run("sh", "-c", "until ss -ltn | grep -q :8091; do sleep 0.05; done")
        tree = make_tree(tmp_path, "t5", {"t5": 9 * MIB})
        (said,) = spreads_once(distribution(lab), tree, hosts_of(lab))
    finally:
        lab["beta"].run("systemctl", "stop", "taken")
    assert said.startswith("beta: over SSH alone, as the swarm did not reach it: ")


@pytest.mark.parametrize("by", ["swarm", "rsync", "stream"])
def test_an_interruption_ends_a_transfer_at_once(lab: FleetLab, tmp_path: Path, by: str) -> None:
    interruption, hosts = Interruption(), hosts_of(lab)[:2]
    # At this rate the whole transfer would take six seconds.
    way = distribution(lab, limit=4 * MIB, by=by, interruption=interruption)
    tree = make_tree(tmp_path, f"i-{by}", {f"i-{by}": 24 * MIB})

    is_interrupted(way, interruption, tree, hosts)
    for machine in lab.machines[:2]:
        assert tree.name not in listing(machine, SNAPSHOTS)
    names = dict.fromkeys(("alpha", "beta"), "")
    assert distribution(lab, by=by).spread(tree, hosts, Heard()) == names


def give_up_on_alpha(lab: FleetLab, tree: Tree, *, beyond: int, by: str) -> None:
    """Interrupt a transfer after that many bytes. The tree must not be in place then."""

    def interrupt(progress: Progress) -> None:
        if progress.done > beyond:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        distribution(lab, limit=8 * MIB, by=by).spread(tree, hosts_of(lab)[:1], interrupt)
    assert tree.name not in listing(lab["alpha"], SNAPSHOTS)


def damage(machine: Machine, path: str) -> None:
    """Damage a file like a power cut: it keeps its size and loses its bytes."""
    machine.run("dd", "if=/dev/zero", f"of={path}", "bs=64k", "count=1", "conv=notrunc")


def test_an_interrupted_transfer_leaves_a_dot_directory_that_the_next_one_uses(
    lab: FleetLab, tmp_path: Path
) -> None:
    alpha, host = lab["alpha"], hosts_of(lab)[0]
    # It takes seconds more, so that it is not there before a busy machine has ended it.
    tree = make_tree(tmp_path, "d4", {"one": 8 * MIB, "two": 32 * MIB})
    give_up_on_alpha(lab, tree, beyond=9 * MIB, by="stream")
    assert listing(alpha, f"{SNAPSHOTS}/.d4.partial/checked") == ["one"]
    damage(alpha, f"{SNAPSHOTS}/.d4.partial/incoming/two")
    heard = Heard()
    assert distribution(lab, by="stream").spread(tree, [host], heard) == {"alpha": ""}
    assert heard.total == {"alpha": 32 * MIB}
    assert digests(alpha, f"{SNAPSHOTS}/d4") == {f.path: f.sha256 for f in tree.files}
    assert listing(alpha, f"{SNAPSHOTS}/.d4.partial") == []


def test_rsync_keeps_what_is_right_of_what_an_interrupted_run_has_left(
    lab: FleetLab, tmp_path: Path
) -> None:
    alpha, host = lab["alpha"], hosts_of(lab)[0]
    tree = make_tree(tmp_path, "r8", {"r8-one": 8 * MIB, "sub/r8-two": 8 * MIB})
    give_up_on_alpha(lab, tree, beyond=12 * MIB, by="rsync")
    damage(alpha, f"{SNAPSHOTS}/.r8.partial/incoming/r8-one")
    before, heard = lab.network.sent_bytes(), Heard()
    assert distribution(lab, by="rsync").spread(tree, [host], heard) == {"alpha": ""}
    assert heard.words == []
    assert lab.network.sent_bytes() - before < 7 * MIB
    assert digests(alpha, f"{SNAPSHOTS}/r8") == {f.path: f.sha256 for f in tree.files}


def test_a_host_whose_rsync_fails_gets_the_tree_without_it(lab: FleetLab, tmp_path: Path) -> None:
    tree = make_tree(tmp_path, "r9", {"r9": 2 * MIB})
    lab["beta"].run("sh", "-c", "printf '#!/bin/sh\\necho no >&2; exit 7' > /usr/local/bin/rsync")
    lab["beta"].run("chmod", "+x", "/usr/local/bin/rsync")
    try:
        (said,) = spreads_once(distribution(lab), tree, hosts_of(lab)[:2])
    finally:
        lab["beta"].run("rm", "/usr/local/bin/rsync")
    assert said.startswith("beta: without rsync, which did not reach it: ")


@pytest.mark.parametrize(("by", "works"), [("swarm", "tree-swarm"), ("rsync", "rsync --server")])
def test_a_transfer_whose_command_is_killed_ends_and_the_next_one_goes_on(
    lab: FleetLab, tmp_path: Path, by: str, works: str
) -> None:
    tree = make_tree(tmp_path, f"k-{by}", {f"{by}-one": 12 * MIB, f"{by}-two": 12 * MIB})
    hosts = hosts_of(lab)[:2]
    killed = subprocess.Popen(
        [sys.executable, "-c", _SPREAD, str(lab.home), str(lab.inventory), str(tmp_path), by],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert killed.stdout is not None
    killed.stdout.readline()
    killed.kill()
    killed.wait()
    killed.stdout.close()
    with paced() as pace:
        while any(lab[host.name].run("pgrep", "-f", works, check=False) for host in hosts):
            assert pace() < 7
            time.sleep(0.2)
    heard = Heard()
    before = lab.network.sent_bytes()
    assert distribution(lab, by=by).spread(tree, hosts, heard) == {"alpha": "", "beta": ""}
    assert heard.words == []
    # Most of the bytes that had come were not sent again.
    whole = tree.size * (1 if by == "swarm" else 2)
    assert lab.network.sent_bytes() - before < whole * 0.9


_SPREAD = """
import sys
from pathlib import Path
from tests.adapters.tree_lab import make_tree
from toolkit.adapters.distribution.over_ssh import SshDistribution
from toolkit.adapters.interruption import Interruption
from toolkit.config.inventory.fleet import load_fleet
home, inventory, source = map(Path, sys.argv[1:4])
by = sys.argv[4]
tree = make_tree(source, f"k-{by}", {f"{by}-one": 12 * 2**20, f"{by}-two": 12 * 2**20})
far = set()
def report(progress):
    if progress.done > 8 * 2**20:
        far.add(progress.host)
    if len(far) == 2:
        print("far", flush=True)
way = SshDistribution(home, limit=4 * 2**20, swarm=by == "swarm")
way.spread(tree, load_fleet(inventory).hosts[:2], report)
"""


def test_a_full_disk_and_a_lost_host_are_named_and_stop_nobody_else(
    lab: FleetLab, tmp_path: Path
) -> None:
    # One host has a full disk. Two form a swarm, until one of them is lost.
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
