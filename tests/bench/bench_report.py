"""Make a report of a year of a made-up fleet of 20 hosts: read its history, render the page.

    python tests/bench/bench_report.py

Every day 40 keys use 3 of 7 models each on 12 hosts; each model is upgraded once a week.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.report.made_up import NOW, YEAR, made_status, use_rows, write_history
from toolkit.cli.views.report.page import page
from toolkit.planning.report.findings import UpstreamFindings
from toolkit.workflows.fleet.report import gather

TARGET_SECONDS, TARGET_BYTES = 10.0, 300_000


def main() -> int:
    """Print the table; 1 where a target is missed."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "history.db"
        history = write_history(path, YEAR)
        status, rows = made_status(history, YEAR), use_rows(path)
        wall, work = time.monotonic(), time.process_time()
        found = gather(status, history, NOW - YEAR.days * 86_400, NOW, UpstreamFindings())
        text = page(found)
        wall, work = time.monotonic() - wall, time.process_time() - work
        history.close()
    size = len(text.encode())
    print("changes  rows of use  page bytes  seconds  of these computing")
    print(f"{len(found.changes):7}  {rows:11}  {size:10}  {wall:7.1f}  {work:18.1f}")
    # One thread computes and waits for nothing, so an idle machine needs no more than the time of its processor.
    met = work <= TARGET_SECONDS and size <= TARGET_BYTES
    words = "met" if met else "missed"
    print(f"target: at most {TARGET_SECONDS:.0f} s of computing and {TARGET_BYTES} bytes: {words}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
