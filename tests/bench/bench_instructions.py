"""What accounting costs the router in instructions, which no load of the machine changes.

    python tests/bench/bench_instructions.py [--requests 280]

The routers are those of `bench_accounting.py`, two with accounting and two without, each under valgrind, which counts
the instructions of its worker. Requests come one after another and are answered in one piece: of a stream a busy
router reads several events at once, so its count would follow the load. The count of a short run is taken from that
of a long one, so that start and end are in neither; checks of the engine are too rare to count. Two of a kind show
what the method makes of no difference. Exits with 1 where the target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench import bench_accounting
from tests.bench.bench_accounting import KEY, LINES, MOST_SHARE, Arm, turn
from tests.hostside.router_lab import Lab, free_port, lab, router_socket, until
from toolkit.domain.clients.keys import KeyRing
from toolkit.planning.routing.edits import with_model
from toolkit.planning.routing.keys import with_key
from toolkit.planning.routing.routes import Routes, Target

SHORT = 80
ARMS = ("with accounting", "with accounting, again", "without", "without, again")


def main() -> int:
    """Measure and print; return 1 where the target is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=int, default=280)
    given = parser.parse_args()
    if shutil.which("valgrind") is None:
        sys.exit("valgrind is not installed: apt install valgrind")
    bench_accounting.LANES = 1
    bench_accounting.REQUESTS[1] = bench_accounting.REQUESTS[0]
    with ExitStack() as stack:
        port = free_port()
        words = [sys.executable, bench_accounting.__file__, "--serve", str(port)]
        engine = subprocess.Popen(words)
        stack.callback(engine.wait)
        stack.callback(engine.kill)
        each = []
        for name in ARMS:
            counts = [counted(name, port, count) for count in (SHORT, given.requests)]
            each.append((counts[1] - counts[0]) / (given.requests - SHORT))
            print(f"{name:<24}{each[-1]:>12,.0f} instructions a request", flush=True)
    share = (each[0] + each[1]) / (each[2] + each[3]) - 1
    verdict = "met" if share <= MOST_SHARE else "missed"
    print(f"accounting: {share:+.2%}; target: at most {MOST_SHARE:.0%}: {verdict}")
    return 0 if verdict == "met" else 1


def counted(name: str, engine: int, requests: int) -> int:
    """Return the instructions of a router's worker from its start to its end, with so many requests between."""
    with lab(router_threads=1) as running:
        running.give(with_key(KeyRing(), "ann", KEY, now=1.0))
        running.apply(with_model(Routes(), "tiny", (Target("blue", engine, 100),), created=1))
        running.kill()
        config = Path(running.directory, "haproxy.cfg")
        lines = config.read_text().replace("inter 1s fastinter 200ms", "inter 1h fastinter 1h")
        if name.startswith("without"):
            kept = [
                each for each in lines.splitlines(True) if not any(one in each for one in LINES)
            ]
            lines = "".join(kept)
        config.write_text(lines)
        return under_valgrind(running, name, requests)


def under_valgrind(running: Lab, name: str, requests: int) -> int:
    counts = running.root / "counts"
    argv = [
        "valgrind",
        "--tool=callgrind",
        f"--callgrind-out-file={counts}.%p",
        "/usr/sbin/haproxy",
        "-W",
    ]
    (running.root / "control/master.sock").unlink()
    argv += ["-S", f"{running.root}/control/master.sock,mode,600"]
    for file in ("haproxy.cfg", "backends.cfg"):
        argv += ["-f", f"{running.directory}/{file}"]
    with running.log.open("ab") as log:
        running.process = subprocess.Popen(argv, stdout=log, stderr=log, process_group=0)
    until(lambda: running.observe()["running"], 120)
    (worker,) = router_socket.processes(running.directory)["current"]
    time.sleep(1)
    asyncio.run(turn(Arm(name, running.port, running.process.pid, 0), requests))
    running.process.terminate()
    running.process.wait(120)
    found = until(lambda: _total(Path(f"{counts}.{worker}")), 60)
    return int(found)


def _total(path: Path) -> int:
    """Return the sum of a file of callgrind; 0 while it is not whole."""
    text = path.read_text() if path.exists() else ""
    found = re.search(r"^(?:summary|totals): (\d+)", text, re.MULTILINE)
    return int(found[1]) if found else 0


if __name__ == "__main__":
    sys.exit(main())
