"""Time `registry pin` and `pull` of a repository with many small files, from a Hub on loopback.

python tests/bench/bench_many_files.py [--files 20000] [--limit 120]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.adapters.hub_lab import safetensors
from tests.adapters.hub_server import PublishedFiles
from tests.on_thread import serve_on_thread
from toolkit.adapters.mirror.app import mirror_app

REPO = "bench/many"
REGISTRY = f"""\
policy: {{licences: {{allowed: [apache-2.0]}}}}
models:
  many:
    description: Many small files beside little weights.
    licence: apache-2.0
    openness: fully-open
    source: {{repo: {REPO}}}
    engine: {{name: vllm, version: 0.32.0}}
    resources: {{accelerators: [cpu], memory: 1GiB}}
"""


def main() -> None:
    """Measure and print the seconds of each command; exit with 1 where one takes longer than the limit."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--files", type=int, default=20_000, help="small files [20000]")
    parser.add_argument("--limit", type=float, default=120.0, help="seconds of a command [120]")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="toolkit-bench-", dir="/var/tmp") as place:
        times = measure(Path(place), given.files)
    for name, seconds in times.items():
        print(f"{name}: {seconds:.1f} s for {given.files} files")
    sys.exit(max(times.values()) > given.limit)


def measure(place: Path, count: int) -> dict[str, float]:
    """Return the seconds of each command, in the order in which they run."""
    small = {f"d/{number:05}.json": b'{"number": %d}' % number for number in range(count)}
    published = PublishedFiles(place / "hub")
    weights = safetensors({"w": ("BF16", [1000], 2000)})
    published.publish(REPO, {**small, "config.json": b"{}", "model.safetensors": weights})
    registry = place / "model_registry.yaml"
    registry.write_text(REGISTRY)
    times = {}
    with serve_on_thread(mirror_app(published)) as endpoint:
        environment = {
            **os.environ,
            "HF_ENDPOINT": endpoint,
            "TOOLKIT_HOME": str(place / "home"),
            "TOOLKIT_REGISTRY": str(registry),
        }
        for name, words in {
            "pin": ("registry", "pin", "many", "--as", "v1"),
            "pull": ("pull", "many@v1"),
            "pull again": ("pull", "many@v1"),
        }.items():
            began = time.monotonic()
            argv = [sys.executable, "-m", "toolkit.cli.main", *words]
            done = subprocess.run(argv, env=environment, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(f"{name} ended with {done.returncode}: {done.stderr[-2000:]}")
            times[name] = time.monotonic() - began
    return times


if __name__ == "__main__":
    main()
