"""What bare hosts and upgrades cost: seconds of the clock and of the processors, this machine's and its three hosts'.

    python tests/bench/bench_playbooks.py [--hosts 3] [--upgrades 4]

A stub stands for vLLM and is ready at once, so what remains is the toolkit, Ansible, SSH and the hosts' part. The hosts
share this machine's processors. Without a cgroup of its own (root, cgroup v1) the hosts' part of them is not counted.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.fleet.machine import missing
from tests.processor_time import Watch
from tests.system.stub_site import StubSite, stub_site

LIMIT = 12.0
VERSIONS = ("v1", "v2")
# Host after host, and the first host alone before all others.
UPGRADES = {"upgrade": "1", "upgrade, --serial 1,100%": "1,100%"}


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hosts", type=int, default=3)
    parser.add_argument("--upgrades", type=int, default=4)
    given = parser.parse_args()
    if lacking := missing():
        raise SystemExit(lacking)
    watch = Watch()
    try:
        with stub_site(given.hosts) as site:
            tell(measured(site, watch, given.upgrades), given.hosts)
    finally:
        watch.close()


def measured(site: StubSite, watch: Watch, upgrades: int) -> dict[str, list[tuple[float, float]]]:
    """Return for each command the processor's seconds and the clock's, once for each time it ran."""
    for version in VERSIONS:
        site.pin(version)

    def timed(*words: str) -> tuple[float, float]:
        watch.since()
        site.lab.toolkit(*words, timeout=900)
        took = watch.since()
        print(
            f"{' '.join(words)}: {took[1]:.1f} s, {took[0]:.1f} s of a processor", file=sys.stderr
        )
        return took

    def upgraded(number: int, serial: str) -> tuple[float, float]:
        wanted = VERSIONS[(number + 1) % 2]
        # Without a standby each upgrade starts every replica anew, as the first one to a version does.
        words = ("--yes", "--no-standby", "--bake", "1", "--serial", serial)
        took = timed("deploy", f"tiny@{wanted}", *words)
        if set(map(tuple, site.serving().values())) != {(wanted,)}:
            raise SystemExit(f"not all hosts serve {wanted}: {site.serving()}")
        return took

    found = {
        "provision bare hosts": [timed("provision", "--yes")],
        "provision again, forced": [timed("provision", "--yes", "--force")],
        "deploy the first version": [upgraded(0, "1")],
        **{each: [] for each in UPGRADES},
    }
    for number in range(1, 2 * upgrades + 1):
        name, serial = list(UPGRADES.items())[number % 2]
        found[name].append(upgraded(number, serial))
    return found


def tell(found: dict[str, list[tuple[float, float]]], hosts: int) -> None:
    """Print the medians."""
    print(f"{hosts} hosts:{'':18}{'runs':>5}{'clock, s':>10}{'processors, s':>15}")
    for name, runs in found.items():
        print(f"{name:26}{len(runs):>5}{middle(runs, 1):>10.1f}{middle(runs, 0):>15.1f}")
    for name in ("provision bare hosts", *UPGRADES):
        took = middle(found[name], 1)
        print(f"target of {name}: at most {LIMIT:.0f} s; {took:.1f} s: "
              f"{'met' if took <= LIMIT else 'missed'}")  # fmt: skip


def middle(runs: list[tuple[float, float]], which: int) -> float:
    """Return the median of one of the two figures."""
    return sorted(each[which] for each in runs)[len(runs) // 2]


if __name__ == "__main__":
    main()
