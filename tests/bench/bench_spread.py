"""How long a snapshot takes to all hosts over narrow links: in a swarm, and sent to each of them.

python tests/bench/bench_spread.py [--size 512MiB] [--rate 200] [--hosts 2 8] [--ways swarm rsync stream] [--rounds 1]
    [--json FILE]

`swarm-unshared` is the swarm without shares. With several rounds the ways take turns.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.fleet.lab import FleetLab, fleet_lab
from tests.fleet.rsync import RSYNC, rsync_files
from tests.system.models import CACHE
from toolkit.adapters.distribution.over_ssh import SshDistribution
from toolkit.adapters.distribution.port import Progress, Tree
from toolkit.adapters.distribution.swarm import Swarm
from toolkit.adapters.hosts.become import as_root
from toolkit.adapters.hosts.ssh import master_options
from toolkit.config.inventory.fleet import load_fleet
from toolkit.domain.files.snapshot import FileDigest
from toolkit.domain.hosts.fleet import Host
from toolkit.domain.quantity import parse_size

TARGET_RATIO, TARGET_GROWTH = 1.5, 1.2
ROOT = "/var/lib/toolkit/snapshots"
CHUNK = 2**20


@dataclass(frozen=True)
class Run:
    """`sent` are bytes that left this machine; `stolen` is the share of its processors that others were given."""

    way: str
    hosts: int
    seconds: float
    sent: int
    stolen: float


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=parse_size, default=512 * 2**20)
    parser.add_argument("--rate", type=int, default=200, help="Mbit/s of every link")
    parser.add_argument("--hosts", type=int, nargs="+", default=[2, 8])
    parser.add_argument(
        "--ways", nargs="+", choices=list(WAYS), default=["swarm", "swarm-tls", "rsync"]
    )
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    runs = []
    with tempfile.TemporaryDirectory(prefix="toolkit-spread-", dir="/var/tmp") as directory:
        source = make_source(Path(directory) / "snapshot", given.size)
        for count in given.hosts:
            runs += measure(source, count, given.rate, given.ways * given.rounds)
    tell(runs, given.size, given.rate)
    if given.json:
        given.json.write_text(json.dumps([run.__dict__ for run in runs]))


def make_source(directory: Path, size: int) -> Tree:
    """Write two shards of half the size each, which nothing compresses, and a small file."""
    directory.mkdir()
    files = []
    for number, length in enumerate((size // 2, size - size // 2, 2000)):
        path, rest = directory / f"part-{number}", length
        with path.open("wb") as file:
            while rest:
                rest -= file.write(random.Random(rest).randbytes(min(CHUNK, rest)))
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        files.append(FileDigest(path.name, length, digest))
    return Tree("snapshots", "measured", str(directory), tuple(files))


def measure(tree: Tree, count: int, rate: int, ways: Sequence[str]) -> list[Run]:
    """Boot hosts and bring the tree to them in each way, one after the other."""
    runs = []
    with fleet_lab(count, shares=rsync_files()) as lab:
        (lab.home / "wheelhouse").symlink_to(CACHE / "wheelhouse")
        (CACHE / "wheelhouse").mkdir(parents=True, exist_ok=True)
        hosts = load_fleet(lab.inventory).hosts
        # Connections and the swarm's library are there from the first deployment on.
        warm_up(lab, hosts)
        lab.network.limit_bandwidth(f"{rate}mbit")
        for machine in lab.machines:
            machine.limit_bandwidth(f"{rate}mbit")
        for way in ways:
            sent, lost, began = lab.network.sent_bytes(), stolen_seconds(), time.monotonic()
            WAYS[way](lab, tree, hosts)
            seconds = time.monotonic() - began
            stolen = (stolen_seconds() - lost) / seconds / (os.cpu_count() or 1)
            runs.append(Run(way, count, seconds, lab.network.sent_bytes() - sent, stolen))
            print(f"{way} to {count}: {runs[-1].seconds:.1f} s", file=sys.stderr, flush=True)
            for machine in lab.machines:
                machine.run("rm", "-rf", f"{ROOT}/{tree.name}", f"{ROOT}/.digests")
    return runs


def warm_up(lab: FleetLab, hosts: Sequence[Host]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        data = bytes(16 * CHUNK)
        (Path(directory) / "zeros").write_bytes(data)
        file = FileDigest("zeros", len(data), hashlib.sha256(data).hexdigest())
        spread(lab, Tree("snapshots", "warm", directory, (file,)), hosts, swarm=True)


def spread(
    lab: FleetLab, tree: Tree, hosts: Sequence[Host], *, swarm: bool, tls: bool = False
) -> None:
    """Spread, and end the benchmark where that fails or falls back."""
    hosts = [replace(host, swarm_tls=tls) for host in hosts]

    def refuse_words(progress: Progress) -> None:
        if progress.words:
            raise SystemExit(f"{progress.host}: {progress.words}")

    wrong = SshDistribution(lab.home, swarm=swarm, rsync=False).spread(tree, hosts, refuse_words)
    if any(wrong.values()):
        raise SystemExit(f"not brought: {wrong}")


def rsync(lab: FleetLab, tree: Tree, hosts: Sequence[Host]) -> None:
    """Run rsync to all hosts at once, which checks nothing but what it sends itself."""

    def send(host: Host) -> None:
        shell = shlex.join(["ssh", *master_options(host, lab.home / "run")])
        words = [RSYNC, "-r", "--rsync-path", as_root(host, ["rsync"]), "--mkpath", "-e", shell]
        target = f"{host.address}:{ROOT}/{tree.name}/"
        subprocess.run([*words, f"{tree.source}/", target], check=True)

    with ThreadPoolExecutor(len(hosts)) as pool:
        list(pool.map(send, hosts))


def unshared(lab: FleetLab, tree: Tree, hosts: Sequence[Host]) -> None:
    """Spread in a swarm in which each host is offered all pieces."""
    kept = Swarm._give_shares
    Swarm._give_shares = lambda swarm: setattr(swarm, "_shared", False)  # type: ignore[method-assign]
    try:
        spread(lab, tree, hosts, swarm=True)
    finally:
        Swarm._give_shares = kept  # type: ignore[method-assign]


WAYS: dict[str, Callable[[FleetLab, Tree, Sequence[Host]], None]] = {
    "swarm": lambda lab, tree, hosts: spread(lab, tree, hosts, swarm=True),
    "swarm-unshared": unshared,
    "swarm-tls": lambda lab, tree, hosts: spread(lab, tree, hosts, swarm=True, tls=True),
    "stream": lambda lab, tree, hosts: spread(lab, tree, hosts, swarm=False),
    "rsync": rsync,
}


def stolen_seconds() -> float:
    """Return how long processors of this machine were ready to run and did not, as its hypervisor had others run."""
    ticks = int(Path("/proc/stat").read_text().split()[8])
    return ticks / os.sysconf("SC_CLK_TCK")


def tell(runs: Sequence[Run], size: int, rate: int) -> None:
    """Print the table and whether the targets are met."""
    limit = size * 8 / (rate * 10**6)
    print(f"{size / 2**20:.0f} MiB, every link {rate} Mbit/s both ways: at least {limit:.1f} s")
    print(f"{'way':15}{'hosts':>6}{'seconds':>9}{'x limit':>9}{'sent x size':>13}{'stolen':>8}")
    for run in runs:
        ratio, sent = run.seconds / limit, run.sent / size
        print(
            f"{run.way:15}{run.hosts:>6}{run.seconds:>9.1f}{ratio:>9.2f}{sent:>13.2f}"
            f"{run.stolen:>8.0%}"
        )
    found: dict[tuple[str, int], list[float]] = {}
    for run in runs:
        found.setdefault((run.way, run.hosts), []).append(run.seconds)
    for (way, count), seconds in found.items() if len(runs) > len(found) else ():
        print(
            f"{way} to {count}: {median(seconds):.1f} s in the middle of {len(seconds)}, "
            f"{min(seconds):.1f} to {max(seconds):.1f}"
        )
    swarm = {count: median(seconds) for (way, count), seconds in found.items() if way == "swarm"}
    if not swarm:
        return
    few, many = min(swarm), max(swarm)
    ratio, growth = swarm[many] / limit, swarm[many] / swarm[few]
    words = "met" if ratio <= TARGET_RATIO else "missed"
    print(f"target: {many} hosts at most {TARGET_RATIO} times the limit; {ratio:.2f}: {words}")
    words = "met" if growth <= TARGET_GROWTH else "missed"
    print(f"target: {many} hosts at most {TARGET_GROWTH} times {few} hosts; {growth:.2f}: {words}")


if __name__ == "__main__":
    main()
