"""The bill of a year: 10 million recorded requests of 20 hosts, 50 keys and 2 models.

python tests/bench/bench_cost.py [--rounds 3]
"""

from __future__ import annotations

import argparse
import os
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from toolkit.adapters.history.history import History  # noqa: E402
from toolkit.adapters.history.schema import m009_use_sums  # noqa: E402

SECONDS, MEGABYTES = 3.0, 300
DAYS, HOSTS, KEYS, MODELS, EACH = 365, 20, 50, ("small", "large"), 14
COMMANDS = {"toolkit cost": (), "toolkit cost --by key": ("--by", "key")}


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        rows = fill(place)
        print(f"{rows:,} rows of {rows * EACH:,} requests")
        print(f"{'':24}{'median s':>9}{'worst s':>9}{'CPU s':>8}")
        slowest = 0.0
        for title, words in COMMANDS.items():
            # The first round reads the file into the page cache.
            walls, works = zip(
                *[measure(place, words) for _ in range(given.rounds + 1)][1:], strict=True
            )
            middle = statistics.median(walls)
            slowest = max(slowest, middle)
            print(f"{title:24}{middle:>9.2f}{max(walls):>9.2f}{statistics.median(works):>8.2f}")
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    verdict = "met" if slowest <= SECONDS and memory <= MEGABYTES else "missed"
    print(f"load average of the last minute: {os.getloadavg()[0]:.1f}")
    print(
        f"target: at most {SECONDS:.0f} s and {MEGABYTES} MB; {slowest:.2f} s, {memory:.0f} MB: {verdict}"
    )


def measure(place: Path, words: tuple[str, ...]) -> tuple[float, float]:
    """Return the seconds of one command in a process of its own, by the clock and of the CPU."""
    began, before = time.monotonic(), worked()
    subprocess.run(
        [sys.executable, "-m", "toolkit.cli.main", "cost", "--no-hosts", "--since", "365d", *words],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TOOLKIT_HOME": str(place / "home")},
        check=True,
        capture_output=True,
    )
    return time.monotonic() - began, worked() - before


def worked() -> float:
    """Return the CPU seconds of all processes that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def fill(place: Path) -> int:
    """Write costs and a history with a year of use; return the number of its rows."""
    hosts = "".join(f"  gpu{each}: {{from: 2020-01-01, hourly: 2}}\n" for each in range(HOSTS))
    (place / "costs.yaml").write_text(f"currency: USD\nhosts:\n{hosts}")
    History(place / "home" / "history.db", time.time).close()
    with closing(sqlite3.connect(place / "home" / "history.db")) as db, db:
        count = db.executemany(
            "INSERT INTO use (day, host, key, model, base, version, release_number, ended, requests,"
            " tokens_in, cached, tokens_out, reasoning, unknown, audio_seconds)"
            f" VALUES (?, ?, ?, ?, ?, 'v1', 1, 'whole', {EACH}, 14000, 4000, 3000, 0, 0, 0)",
            kinds(),
        ).rowcount
        for statement in m009_use_sums[2:]:
            db.execute(statement)
        return count


def kinds() -> Iterator[tuple[str, str, str, str, str]]:
    """Yield day, host, key, model and base of each row."""
    for day in range(DAYS):
        text = (date.today() - timedelta(days=day)).isoformat()
        for host in range(HOSTS):
            for key in range(KEYS):
                for model in MODELS:
                    yield text, f"gpu{host}", f"key{key}", model, model


if __name__ == "__main__":
    main()
