"""Five upgrades and five rollbacks under constant load: what was lost, and how soon a rollback takes effect.

python tests/bench/bench_change.py [--rounds 5] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from demo.load import LoadReport
from tests.system.served import Served, lab_with_engine, lab_with_versions

SHORT, STREAMS, LIMIT = 2000, 40, 2.0


@dataclass(frozen=True)
class Round:
    """Seconds of one upgrade and one rollback; `effect` until the last request of the newer was accepted."""

    upgrade: float
    rollback: float
    effect: float


def main() -> None:
    """Measure and print both tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as directory,
        lab_with_engine(Path(directory) / "lab") as lab,
        lab_with_versions(lab) as served,
    ):
        served.serve("v1")
        rounds, reports = measure(served, given.rounds)
    tell(rounds, reports)
    if given.json:
        figures = {name: report.as_json() for name, report in reports.items()}
        given.json.write_text(json.dumps({"load": figures, "rounds": [vars(r) for r in rounds]}))


def measure(served: Served, count: int) -> tuple[list[Round], dict[str, LoadReport]]:
    """Change versions under load until the rounds and the wanted numbers of requests are through."""
    short, long = served.load(pause=0.05), served.load(streams=1)
    rounds = []
    try:
        short.wait_for(lambda report: len(report.answers) > 20, 120)
        for number in range(count):
            began = time.monotonic()
            served.lab.toolkit("upgrade", "tiny", "--to", "v2", "--yes", "--bake", "2")
            upgrade = time.monotonic() - began
            long.wait_for(lambda report: len(report.answers) > 2, 120)
            time.sleep(2)
            at, began = time.time(), time.monotonic()
            # Without a standby of the newer version the next upgrade has to start it anew, as a real one does.
            served.lab.toolkit("rollback", "tiny", "--yes", "--no-standby")
            rollback = time.monotonic() - began
            last = max(each.report().last_sent("v2", after=at) or at for each in (short, long))
            rounds.append(Round(upgrade, rollback, last - at))
            print(f"round {number + 1}: {rounds[-1]}", file=sys.stderr, flush=True)
        short.wait_for(lambda report: len(report.answers) >= SHORT, 600)
        long.wait_for(lambda report: len(report.answers) >= STREAMS, 600)
    finally:
        reports = {"short requests": short.stop(), "long streams": long.stop()}
    return rounds, reports


def tell(rounds: list[Round], reports: dict[str, LoadReport]) -> None:
    """Print what happened to the requests, and the times of the rollbacks."""
    print(f"{'':16}{'sent':>7}{'right':>7}{'failed':>8}{'truncated':>11}{'mixed':>7}  median s")
    for name, report in reports.items():
        figures = report.as_json()
        print(
            f"{name:16}{len(report.answers):>7}{figures['ok']:>7}{figures['failed']:>8}"
            f"{figures['truncated']:>11}{figures['mixed']:>7}{median(report):>10.2f}"
        )
        for answer in report.bad[:10]:
            print(f"  {answer.verdict}: {answer.detail}")
    bad = sum(len(report.bad) for report in reports.values())
    print(f"target: 0 failed, truncated or mixed over {len(rounds)} upgrades and rollbacks; {bad}: "
          f"{'met' if bad == 0 else 'missed'}")  # fmt: skip
    print()
    print("round   upgrade s   rollback s   last request of the newer, s after the command")
    for number, each in enumerate(rounds, 1):
        print(f"{number:>5}{each.upgrade:>12.1f}{each.rollback:>13.1f}{each.effect:>13.2f}")
    worst = max(each.effect for each in rounds)
    print(f"target: at most {LIMIT:.0f} s; the worst was {worst:.2f}: "
          f"{'met' if worst <= LIMIT else 'missed'}")  # fmt: skip


def median(report: LoadReport) -> float:
    """Return the median seconds of an answer."""
    times = [answer.ended_at - answer.sent_at for answer in report.answers]
    return statistics.median(times) if times else 0.0


if __name__ == "__main__":
    main()
