"""Looking at many hosts: `toolkit status` over 50 against bare ssh to all of them, and deploying what is live already.

    python tests/bench/bench_fleet_look.py [--hosts 50] [--rounds 5] [--growth 1,10,50] [--json FILE]

The hosts are whole ones on this machine and share its processors: so do both arms.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.fleet.lab import FleetLab, inventory_text
from tests.fleet.machine import missing
from tests.system.stub_site import StubSite, stub_site

TARGET = 3.0
VARIABLES = {"router_bind": '"*:8080"'}
BARE, COLD, WARM = "ssh HOST true, bare", "toolkit status", "toolkit status, connected"


def main() -> None:
    """Measure and print both tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hosts", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--growth", type=sizes, default=(1, 10, 50))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if lacking := missing():
        raise SystemExit(lacking)
    with stub_site(max(given.hosts, *given.growth)) as site:
        looks = measure_looks(site.lab, given.hosts, given.rounds)
        tell_looks(looks, given.hosts)
        print()
        deploys = measure_deploys(site, given.growth, given.rounds)
        tell_deploys(deploys)
    if given.json:
        given.json.write_text(json.dumps({"looks": looks, "deploys": deploys}))


def sizes(text: str) -> tuple[int, ...]:
    """Return the numbers in `1,10,50`."""
    return tuple(int(each) for each in text.split(","))


def measure_looks(lab: FleetLab, count: int, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each arm; the arms take turns, and the first round is not counted."""
    write_inventory(lab, count)
    config = lab.directory / "ssh_config"
    config.write_text("".join(_ssh_block(lab, number) for number in range(count)))
    names = "\n".join(machine.name for machine in lab.machines[:count])
    bare = ["xargs", "-P", str(count), "-I{}", "ssh", "-n", "-F", str(config), "{}", "true"]
    arms: dict[str, Callable[[], object]] = {
        BARE: lambda: subprocess.run(bare, input=names, text=True, check=True, timeout=300),
        COLD: lambda: lab.toolkit("status"),
        WARM: lambda: lab.toolkit("status"),
    }
    times: dict[str, list[float]] = {name: [] for name in arms}
    for turn in range(rounds + 1):
        for name, arm in arms.items():
            if name == COLD:
                lab.hang_up()
            seconds = timed(arm)
            if turn:
                times[name].append(seconds)
            print(f"{name}: {seconds:.2f} s", file=sys.stderr, flush=True)
    return times


def _ssh_block(lab: FleetLab, number: int) -> str:
    machine = lab.machines[number]
    options = [f"  {word.replace('=', ' ', 1)}" for word in machine.ssh_options if "=" in word]
    return "\n".join([f"Host {machine.name}", f"  HostName {machine.address}", *options, ""])


def measure_deploys(site: StubSite, growth: tuple[int, ...], rounds: int) -> dict[int, list[float]]:
    """Return number of hosts -> the seconds of a deployment that has nothing to do there."""
    site.pin("v1")
    times: dict[int, list[float]] = {}
    deploy = ("deploy", "tiny@v1", "--yes", "--bake", "0")
    for count in growth:
        write_inventory(site.lab, count)
        began = time.monotonic()
        site.lab.toolkit(*deploy, "--serial", str(count), timeout=3600)
        took = time.monotonic() - began
        print(f"{count} hosts deployed: {took:.0f} s", file=sys.stderr, flush=True)
        times[count] = [timed(lambda: site.lab.toolkit(*deploy)) for _ in range(rounds)]
    return times


def write_inventory(lab: FleetLab, count: int) -> None:
    """Make a fleet of the first `count` hosts."""
    lab.inventory.write_text(inventory_text(lab.machines[:count], VARIABLES))


def timed(act: Callable[[], object]) -> float:
    """Return the seconds that `act` takes."""
    began = time.monotonic()
    act()
    return time.monotonic() - began


def tell_looks(times: dict[str, list[float]], count: int) -> None:
    """Print medians and the ratio to bare ssh."""
    base = statistics.median(times[BARE])
    title = f"{count} hosts"
    print(f"{title:28}{'median s':>9}{'min s':>8}{'max s':>8}{'ratio':>7}")
    for name, each in times.items():
        middle = statistics.median(each)
        print(f"{name:28}{middle:>9.2f}{min(each):>8.2f}{max(each):>8.2f}{middle / base:>7.2f}")
    ratio = statistics.median(times[COLD]) / base
    print(f"target: at most {TARGET}; {ratio:.2f}: {'met' if ratio <= TARGET else 'missed'}")


def tell_deploys(times: dict[int, list[float]]) -> None:
    """Print what a deployment without work costs for each host."""
    print(f"{'no-op deploy, hosts':20}{'median s':>9}{'min s':>8}{'max s':>8}{'s per host':>12}")
    shares = []
    for count, each in times.items():
        middle = statistics.median(each)
        shares.append(middle / count)
        print(f"{count:>20}{middle:>9.2f}{min(each):>8.2f}{max(each):>8.2f}{shares[-1]:>12.3f}")
    falling = shares == sorted(shares, reverse=True)
    print(f"target: cost per host falling: {'met' if falling else 'missed'}")


if __name__ == "__main__":
    main()
