"""Run every benchmark and print its table: what `make bench` runs.

    python tests/bench/run.py [--write] [--against CHECKOUT] [--turns 1] [bench_start.py ...]

`--write` puts the tables into docs/benchmarks.md. `--against` runs each benchmark of another checkout of this project
as well, in turns, and prints the tables of both; nothing is written then.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "benchmarks.md"
# script -> the sections of docs/benchmarks.md that its tables belong to, in the order of its output
SECTIONS = {
    "bench_start.py": ("start",),
    "bench_pull.py": ("pull",),
    "bench_many_files.py": ("many-files",),
    "bench_deploy.py": ("deploy",),
    "bench_compiled.py": ("compiled",),
    "bench_change.py": ("changes", "rollback"),
    "bench_fleet_look.py": ("fleet-status", "fleet-deploy"),
    "bench_many_hosts.py": ("many-hosts",),
    "bench_checks.py": ("checks",),
    "bench_typing.py": ("typing",),
    "bench_fleet_change.py": ("fleet-upgrade", "fleet-rollback"),
    "bench_playbooks.py": ("playbooks",),
    "bench_spread.py": ("spread",),
    "bench_report.py": ("report",),
    "bench_router.py": ("router-withdrawal", "router-breach", "router-hold"),
    "bench_swap.py": ("swap",),
    "bench_cost.py": ("cost",),
    "bench_events.py": ("router-events",),
    "bench_direct.py": ("direct",),
    "bench_guard.py": ("guard-alarms", "guard-power"),
    "bench_use.py": ("use", "use-year"),
    "bench_use_clients.py": ("use-clients",),
    "bench_accounting.py": ("accounting",),
    "bench_instructions.py": ("accounting-instructions",),
    "bench_planted.py": ("planted",),
    "bench_guard_faults.py": ("guard-faults", "guard-more", "guard-work", "guard-repeats"),
}


def main() -> int:
    """Run all; 1 if one did not run to its end."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT")
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("only", nargs="*", choices=[*SECTIONS, []], default=[])
    given = parser.parse_args()
    machine = f"{os.cpu_count()} cores, {memory()} GiB, {platform.system()}, Python {platform.python_version()}"
    checkouts = [ROOT] if given.against is None else [given.against.resolve(), ROOT]
    failed = []
    for script in given.only or SECTIONS:
        for checkout in checkouts * given.turns:
            print(f"\n== {script}  ({machine})", *([checkout] if given.against else []), flush=True)
            code, output = run(script, checkout)
            print(output, flush=True)
            if code:
                failed.append(script)
            elif given.write and given.against is None:
                write(SECTIONS[script], output.strip("\n"), machine)
    if failed:
        print(f"did not run to their end: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def run(script: str, checkout: Path) -> tuple[int, str]:
    """Run a benchmark of a checkout, with the code of that checkout; return its exit status and what it printed."""
    done = subprocess.run(
        [sys.executable, checkout / "tests" / "bench" / script],
        stdout=subprocess.PIPE,
        text=True,
        # The commands that it starts look for the toolkit in both places.
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout)},
    )
    return done.returncode, done.stdout


def write(sections: tuple[str, ...], output: str, machine: str) -> None:
    """Put the tables, one for each section, between the section's marks."""
    tables = output.split("\n\n")
    text = DOCUMENT.read_text()
    for name, table in zip(sections, tables, strict=True):
        figures = f"Measured on {time.strftime('%Y-%m-%d')}, {machine}:\n\n```text\n{table}\n```"
        mark = re.compile(rf"(<!-- figures: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        text, count = mark.subn(lambda found, new=figures: f"{found[1]}{new}\n{found[2]}", text)
        assert count == 1, f"docs/benchmarks.md has no section {name}"
    DOCUMENT.write_text(text)


def memory() -> int:
    """Return the machine's memory in GiB."""
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)


if __name__ == "__main__":
    sys.exit(main())
