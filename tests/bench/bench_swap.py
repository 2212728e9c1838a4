"""Upgrade and roll back a host that has room for one replica, under load: what clients wait for, and that none fails.

    python tests/bench/bench_swap.py [--rounds 3]

The host says that it has memory for one replica alone, so that the former one stops before the new one starts, and
requests wait at the router meanwhile. Host, router and changes are real; a stub stands in for vLLM. Four clients ask
all the time. Ends with 1 where a request failed or waited for longer than the new replica's start and five seconds.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.fleet.machine import Machine, missing
from tests.system.stub_site import REGISTRY, StubSite, stub_site
from toolkit.hostside.memory import SYSTEM_RESERVE

HOST = "alpha"
SPARE = 5.0
# What the host has left beside the replica: less than the registry's 64 MiB, and more once the replica is gone.
LEFT = 56 * 2**20


@dataclass(frozen=True)
class Swap:
    """One change. Times are in seconds.

    `away` is from the end of the step `hold` to the beginning of the step `shift`, `start` the step in which the new
    replica starts, `longest` the request that took longest, and `usual` the median of all.
    """

    words: str
    away: float
    start: float
    longest: float
    usual: float
    requests: int
    failed: int

    @property
    def met(self) -> bool:
        """Whether no request failed, and none waited for much longer than the start took."""
        return not self.failed and self.longest - self.usual <= self.start + SPARE


def main() -> int:
    """Print the table; 1 where the target is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    if lacking := missing():
        raise SystemExit(lacking)
    with stub_site(1, REGISTRY) as site:
        found = swaps(site, given.rounds)
    print(f"{'':10}no replica, s  start, s  longest request, s  usual, s  requests  failed")
    for each in found:
        print(
            f"{each.words:10}{each.away:13.1f}{each.start:10.1f}{each.longest:20.1f}{each.usual:10.2f}"
            f"{each.requests:10}{each.failed:8}"
        )
    good = sum(each.met for each in found)
    print(
        f"target: none failed, the longest request waits for the start and {SPARE:.0f} s at most: "
        f"{good} of {len(found)}"
    )
    return int(good < len(found))


def swaps(site: StubSite, rounds: int) -> list[Swap]:
    """Return what became of so many upgrades and rollbacks, to and fro."""
    for version in ("v1", "v2"):
        site.pin(version)
    site.lab.toolkit("deploy", "tiny@v1", "--yes", "--bake", "1")
    narrow(site.lab[HOST])
    found = []
    for _ in range(rounds):
        found.append(swap(site, "upgrade", "upgrade", "tiny", "--to", "v2", "--yes", "--bake", "1"))
        found.append(swap(site, "rollback", "rollback", "tiny", "--yes"))
    return found


def swap(site: StubSite, name: str, *words: str) -> Swap:
    """Carry out one change under load."""
    load = site.load(HOST)
    try:
        load.wait_for(lambda report: len(report.answers) > 40, 60)
        site.lab.toolkit(*words)
        enough = len(load.report().answers) + 40
        load.wait_for(lambda report: len(report.answers) > enough, 60)
    finally:
        report = load.stop()
    seconds = sorted(each.ended_at - each.sent_at for each in report.answers)
    steps = last_steps(site)
    assert "hold" in steps, f"nothing was swapped: {sorted(steps)}"
    return Swap(
        name, steps["shift"][0] - steps["hold"][1], steps["start"][1] - steps["start"][0],
        seconds[-1], seconds[len(seconds) // 2], len(seconds), len(report.bad),
    )  # fmt: skip


def last_steps(site: StubSite) -> dict[str, tuple[float, float]]:
    """Return begin and end of each kind of step of the last deployment, in seconds since the epoch."""
    said = json.loads(site.lab.toolkit("releases", "tiny", "--json").stdout)
    steps: Sequence[dict[str, float | str]] = said["deployments"][0]["steps"]
    return {
        str(each["kind"]): (float(each["started_at"]), float(each["ended_at"])) for each in steps
    }


def narrow(machine: Machine) -> None:
    """Let the host say that it has little memory left."""
    script = (
        f"sed 's/^MemAvailable:.*/MemAvailable: {(SYSTEM_RESERVE + LEFT) // 1024} kB/' /proc/meminfo >/run/meminfo"
        " && mount --bind /run/meminfo /proc/meminfo"
    )
    machine.run("sh", "-c", script)


if __name__ == "__main__":
    sys.exit(main())
