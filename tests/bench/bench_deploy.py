"""`toolkit deploy` with everything cached against vLLM started by hand with the same arguments.

Both run on the same host, in turns; by hand with directories of its own. By hand is timed to the first 200 of /health,
the deployment to the end of the command: a completion came back and the router leads to it.

    python tests/bench/bench_deploy.py [--rounds 4] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.system.served import Served, lab_with_engine, lab_with_versions

ROLE_FILES = Path(__file__).parents[2] / "playbooks/roles/replica/files"
TARGET, LIMIT = 0.9, 120.0
# What the slot's command has before vLLM's own: an interpreter, `-m toolkit_starter`, its counts.
STARTER = re.compile(
    r"set -- \S*bin/python\S* \\\n *'?-m'? \\\n *'?toolkit_starter'? \\\n *'?[\d,]+'? \\\n *"
)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as directory,
        lab_with_engine(Path(directory) / "lab") as lab,
        lab_with_versions(lab) as served,
    ):
        served.serve("v1")
        command = as_typed(lab.root, Path(directory) / "by-hand")
        slot = json.loads((lab.root / "slots" / "tiny-blue" / "manifest.json").read_text())
        times: dict[str, list[float]] = {"vllm by hand": [], "toolkit deploy": []}
        lab.toolkit("stop", "tiny", "--yes")
        for number in range(given.rounds):
            # Whoever comes second finds the page cache warmer, so they take turns in coming first.
            arms = [("vllm by hand", by_hand), ("toolkit deploy", by_toolkit)]
            for name, arm in arms if number % 2 == 0 else reversed(arms):
                times[name].append(arm(served, command, slot["port"]))
                print(f"{name}: {times[name][-1]:.1f} s", file=sys.stderr, flush=True)
    tell(times)
    if given.json:
        given.json.write_text(json.dumps(times))


def as_typed(root: Path, place: Path) -> str:
    """Return the slot's command as somebody types it who has vLLM alone; what a slot gives it is in `place`."""
    text = (root / "slots" / "tiny-blue" / "run").read_text()
    plain, count = STARTER.subn("set -- ", text)
    assert count == 1, "the slot's command has no starter"
    for here, there in (
        (root / "slots" / "tiny-blue" / "python", ROLE_FILES),
        (root / "caches" / "tiny-blue", place / "home"),
        (root / "compiling" / "tiny-blue", place / "compiling"),
    ):
        there.mkdir(parents=True, exist_ok=True)
        plain = plain.replace(str(here), str(there))
    # The command ends with whoever holds the other end of descriptor 6.
    return f"exec 6<&0\n{plain}"


def by_hand(served: Served, command: str, port: int) -> float:
    """Start the command; return the seconds until it is ready."""
    began = time.monotonic()
    process = subprocess.Popen(
        ["sh", "-c", command],
        stdin=subprocess.PIPE,
        # The command ends its whole process group when it ends.
        start_new_session=True,
    )
    try:
        while time.monotonic() - began < LIMIT:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).close()
                return time.monotonic() - began
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        raise TimeoutError(f"not ready within {LIMIT} s")
    finally:
        process.terminate()
        process.wait(timeout=60)


def by_toolkit(served: Served, command: str, port: int) -> float:
    """Deploy; return the seconds the command took, its own start included. Stops the model again."""
    began = time.monotonic()
    served.lab.toolkit("deploy", "tiny@v1", "--yes")
    took = time.monotonic() - began
    served.lab.toolkit("stop", "tiny", "--yes")
    return took


def tell(times: dict[str, list[float]]) -> None:
    """Print the table with medians and their ratio."""
    base = statistics.median(times["vllm by hand"])
    print(f"{'':16}{'median s':>9}{'min s':>8}{'max s':>8}{'ratio':>7}")
    for name, each in times.items():
        middle = statistics.median(each)
        print(f"{name:16}{middle:>9.2f}{min(each):>8.2f}{max(each):>8.2f}{middle / base:>7.2f}")
    ratio = statistics.median(times["toolkit deploy"]) / base
    print(f"target: at most {TARGET}; {ratio:.2f}: {'met' if ratio <= TARGET else 'missed'}")


if __name__ == "__main__":
    main()
