"""Moments that a benchmark draws by their seeds and tries on hosts, and that a file keeps from one run to the next."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from tests.fleet.machine import missing
from tests.system.stub_site import StubSite, stub_site


@dataclass(frozen=True)
class Seeded:
    """A moment that was tried: its seed, and the number of hosts."""

    seed: int
    hosts: int


M = TypeVar("M", bound=Seeded)
# Tries the moments of these seeds, and begins none after the time by the monotonic clock.
Try = Callable[[StubSite, list[int], float], Iterator[M]]


def tried_moments(words: str, kind: type[M], try_moments: Try[M]) -> list[M]:
    """Try the moments that the command line asks for; return them with those that its file holds.

    `words` say in its help what the benchmark does. Raises SystemExit where this machine can have no hosts.
    """
    parser = argparse.ArgumentParser(description=words)
    parser.add_argument("--seeds", default="0-9")
    parser.add_argument("--hosts", type=int, default=3)
    parser.add_argument("--budget", type=float, default=900.0, help="seconds to begin moments in")
    parser.add_argument(
        "--kept", type=Path, metavar="FILE", help="write moments to it, and skip those it holds"
    )
    given = parser.parse_args()
    if lacking := missing():
        raise SystemExit(lacking)
    moments = _kept(given.kept, kind) if given.kept else []
    tried = {each.seed for each in moments if each.hosts == given.hosts}
    first, _, last = given.seeds.partition("-")
    seeds = [seed for seed in range(int(first), int(last or first) + 1) if seed not in tried]
    if seeds:
        with stub_site(given.hosts) as site:
            for moment in try_moments(site, seeds, time.monotonic() + given.budget):
                moments.append(moment)
                print(moment, file=sys.stderr, flush=True)
                if given.kept:
                    _keep(given.kept, moment)
    return moments


def _kept(file: Path, kind: type[M]) -> list[M]:
    """Return the moments of former runs."""
    lines = file.read_text().splitlines() if file.exists() else []
    return [kind(**json.loads(line)) for line in lines]


def _keep(file: Path, moment: Seeded) -> None:
    """Add a moment to the file."""
    with file.open("a") as lines:
        lines.write(json.dumps(asdict(moment)) + "\n")
