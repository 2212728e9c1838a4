"""Count the files and lines of the product that run in an in-memory deploy, upgrade and rollback.

    python scripts/footprint.py [--files]

The three commands run in full, with fakes for everything outside the process: hosts, playbooks, transfers and the
store. They run on a fleet of one host and on a fleet of three, each in a process of its own. A file counts if a
statement of one of its functions runs. Its lines are all statements that run, those at import time included. Fakes do
not count, because they stand for the world outside.
"""

from __future__ import annotations

import argparse
import ast
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import coverage

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "toolkit"
FLEETS = (1, 3)


def main() -> None:
    """Measure both fleets and print a row for each of them and one for both together."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--files", action="store_true", help="list the files with their lines")
    options.add_argument("--hosts", type=int, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.hosts:
        print(json.dumps(measure(chosen.hosts)))
        return
    found = {hosts: _in_a_process(hosts) for hosts in FLEETS}
    print(f"{'FLEET':<14}{'FILES':>6}{'LINES':>7}")
    for hosts, lines in found.items():
        _row(f"{hosts} host{'s' if hosts > 1 else ''}", lines)
    together = {
        name: sorted(set().union(*(lines.get(name, []) for lines in found.values())))
        for name in set().union(*found.values())
    }
    _row("both", together)
    if chosen.files:
        for name, lines in sorted(together.items()):
            print(f"{len(lines):>6}  {name}")


def _row(title: str, lines: dict[str, list[int]]) -> None:
    print(f"{title:<14}{len(lines):>6}{sum(map(len, lines.values())):>7}")


def _in_a_process(hosts: int) -> dict[str, list[int]]:
    command = [sys.executable, __file__, "--hosts", str(hosts)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    found: dict[str, list[int]] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(hosts: int) -> dict[str, list[int]]:
    """Run the commands on `hosts` hosts; return file -> executed lines, with paths relative to the repository."""
    tracer = coverage.Coverage(data_file=None, include=[f"{PACKAGE}/*"], config_file=False)
    tracer.start()
    sys.path.insert(0, str(ROOT))
    from tests.footprint import deploy_upgrade_rollback

    with tempfile.TemporaryDirectory() as directory:
        deploy_upgrade_rollback(Path(directory), hosts)
    tracer.stop()
    data = tracer.get_data()
    found = {}
    for name in data.measured_files():
        path = Path(name)
        if "fakes" in path.parts:
            continue
        statements = set(tracer.analysis2(name)[1])
        lines = sorted(statements & set(data.lines(name) or ()))
        if set(lines) & set(_inside_functions(path)):
            found[path.relative_to(ROOT).as_posix()] = lines
    return found


def _inside_functions(path: Path) -> Iterator[int]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef):
            body: Sequence[ast.stmt] = node.body
            yield from range(body[0].lineno, (node.end_lineno or node.lineno) + 1)


if __name__ == "__main__":
    main()
