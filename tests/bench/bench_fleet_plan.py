"""What a change of ten hosts would do: `toolkit plan` and `toolkit diff` of a version that does not serve yet.

    python tests/bench/bench_fleet_plan.py [--hosts 10] [--rounds 7] [--json FILE]

The hosts are whole ones over SSH, on this machine, whose processors they share. All of them serve another version.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.bench_fleet_look import timed
from tests.fleet.machine import missing
from tests.system.stub_site import StubSite, stub_site
from tests.walk.hub import model_files

TARGET = 2.0
COMMANDS = ("plan", "diff")


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hosts", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if lacking := missing():
        raise SystemExit(lacking)
    with stub_site(given.hosts) as site:
        times = measure(site, given.hosts, given.rounds)
    tell(times, given.hosts)
    if given.json:
        given.json.write_text(json.dumps(times))


def measure(site: StubSite, hosts: int, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each command, without and with the connections of the one before."""
    registry = site.lab.directory / "model_registry.yaml"
    # Both versions have room beside each other on the machine that all hosts share.
    registry.write_text(registry.read_text().replace("memory: 64MiB", "memory: 4GiB"))
    for version in ("v1", "v2"):
        pin(site, version)
    site.lab.toolkit(
        "deploy", "tiny@v1", "--yes", "--bake", "0", "--serial", str(hosts), timeout=3600
    )
    times: dict[str, list[float]] = {}
    for turn in range(rounds + 1):
        for command in COMMANDS:
            for connected in (False, True):
                if not connected:
                    site.lab.hang_up()
                seconds = timed(lambda words=(command, "tiny@v2"): site.lab.toolkit(*words))
                name = f"toolkit {command}{', connected' if connected else ''}"
                # The first round is not counted.
                times.setdefault(name, []).extend([seconds] if turn else [])
                print(f"{name}: {seconds:.2f} s", file=sys.stderr, flush=True)
    return times


def pin(site: StubSite, version: str) -> None:
    """Pin a version with the files of a whole model: the plan predicts its memory from them."""
    model = site.lab.directory / "model"
    model.mkdir(exist_ok=True)
    for name, content in model_files(site.answer(version)).items():
        (model / name).write_bytes(content)
    site.lab.toolkit("registry", "pin", "tiny", "--as", version)
    site.lab.toolkit("pull", f"tiny@{version}")


def tell(times: dict[str, list[float]], hosts: int) -> None:
    """Print the medians, and whether the slowest of them meets the target."""
    print(f"{f'{hosts} hosts':28}{'median s':>9}{'min s':>8}{'max s':>8}")
    for name, each in times.items():
        print(f"{name:28}{statistics.median(each):>9.2f}{min(each):>8.2f}{max(each):>8.2f}")
    slowest = max(statistics.median(each) for each in times.values())
    verdict = "met" if slowest <= TARGET else "missed"
    print(f"target: at most {TARGET} s; {slowest:.2f} s: {verdict}")


if __name__ == "__main__":
    main()
