"""How soon the command line answers: `toolkit --help` against importing click, `toolkit status` on one host, and what
`toolkit rollback` takes until it has looked at its host: here it finds nothing to go back to, and ends with 2.

python tests/bench/bench_start.py [--rounds 15] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TARGET, LIMIT = 3.0, 1.5


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    toolkit = shutil.which("toolkit", path=str(Path(sys.executable).parent))
    if toolkit is None:
        raise SystemExit("no toolkit beside this Python: make install")
    commands = {
        'python -c "import click"': [sys.executable, "-c", "import click"],
        "toolkit --help": [toolkit, "--help"],
        "toolkit status": [toolkit, "status"],
        "toolkit rollback": [toolkit, "rollback", "tiny", "--yes"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    processor: dict[str, list[float]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as home:
        for _ in range(given.rounds + 1):
            for name, command in commands.items():
                began, used = time.monotonic(), children()
                done = subprocess.run(
                    command,
                    env={**os.environ, "TOOLKIT_HOME": home, "TOOLKIT_HISTORY": ""},
                    check=False,
                    capture_output=True,
                )
                if done.returncode != (2 if name == "toolkit rollback" else 0):
                    raise SystemExit(f"{name} ended with {done.returncode}")
                times[name].append(time.monotonic() - began)
                processor[name].append(children() - used)
    # The first round fills the page cache and writes byte code.
    tell(
        {name: each[1:] for name, each in times.items()},
        {name: each[1:] for name, each in processor.items()},
    )
    if given.json:
        given.json.write_text(json.dumps(times))


def children() -> float:
    """Return the processor seconds of all processes that have ended here."""
    used = os.times()
    return used.children_user + used.children_system


def tell(times: dict[str, list[float]], processor: dict[str, list[float]]) -> None:
    """Print medians, the ratio to the import of click, and the median of the processor's seconds."""
    base = statistics.median(times['python -c "import click"'])
    print(f"{'':26}{'median s':>9}{'min s':>8}{'max s':>8}{'ratio':>7}{'processor s':>13}")
    for name, each in times.items():
        middle, used = statistics.median(each), statistics.median(processor[name])
        print(
            f"{name:26}{middle:>9.3f}{min(each):>8.3f}{max(each):>8.3f}{middle / base:>7.2f}{used:>13.2f}"
        )
    ratio = statistics.median(times["toolkit --help"]) / base
    status = statistics.median(times["toolkit status"])
    print(
        f"target: help at most {TARGET} times; {ratio:.2f}: {'met' if ratio <= TARGET else 'missed'}"
    )
    print(f"target: status under {LIMIT} s; {status:.2f}: {'met' if status < LIMIT else 'missed'}")


if __name__ == "__main__":
    main()
