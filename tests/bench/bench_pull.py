"""Time `toolkit pull`, verification included, against `hf download` of the same files without any.

Both fetch from one mirror on loopback, in turns, each time into an empty directory.

    python tests/bench/bench_pull.py [--size 1GiB] [--rounds 5] [--budget 240] [--json FILE]
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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from toolkit.adapters.store.copying import copy_file
from toolkit.adapters.store.hashing import digest_file
from toolkit.adapters.store.store import Store
from toolkit.config.registry.lock_file import Lock, lock_path, write_lock
from toolkit.domain.files.snapshot import FileDigest, Snapshot
from toolkit.domain.quantity import format_size, parse_size

REPO = "bench/shards"
REVISION = "b" * 40
TARGET = 1.15
LIMIT = 300.0
REGISTRY = f"""\
policy:
  licences:
    allowed: [mit]
models:
  bench:
    description: Random bytes in the shape of a model
    licence: mit
    openness: fully-open
    source: {{repo: {REPO}}}
    engine: {{name: vllm, version: 0.32.0}}
    resources: {{accelerators: [cpu], memory: 1GiB}}
    versions:
      "1":
        revision: {REVISION}
"""


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=parse_size, default=2**30, help="bytes in all [1GiB]")
    parser.add_argument("--shards", type=int, default=4, help="files they are spread over [4]")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each command [5]")
    parser.add_argument(
        "--budget", type=float, default=240, help="seconds after which no round starts [240]"
    )
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-pull-") as directory:
        place = Path(directory)
        registry = place / "model_registry.yaml"
        registry.write_text(REGISTRY)
        fill_store(place, registry, options.size, options.shards)
        with mirror(registry, place / "served") as endpoint:
            times = measure(place, registry, endpoint, options.rounds, options.budget)
    report(times, options)


def fill_store(place: Path, registry: Path, size: int, shards: int) -> None:
    """Make the files, pin them in the lock and put them into the store that the mirror serves."""
    origin = place / "origin"
    origin.mkdir()
    (origin / "config.json").write_text(json.dumps({"model_type": "bench"}))
    for number in range(shards):
        name = f"model-{number + 1:05d}-of-{shards:05d}.safetensors"
        with (origin / name).open("wb") as file:
            for _ in range(size // shards // 2**20):
                file.write(os.urandom(2**20))
    digests = [digest_file(path, path.name) for path in sorted(origin.iterdir())]
    files = tuple(
        FileDigest(file.path, file.size, file.sha256)
        if file.path.endswith(".safetensors")
        else file
        for file in digests
    )
    snapshot = Snapshot(REPO, REVISION, files)
    write_lock(Lock(lock_path(registry), {(REPO, REVISION): snapshot}))
    store = Store(place / "served" / "store")
    with store.stage(snapshot) as staging:
        for file in staging.link_present():
            with store.claim(file, lambda: None) as data:
                assert data is not None
                copy_file(origin / file.path, data, lambda _: None)
                staging.adopt(file, data)
        staging.commit("mit", time.time())
    shutil.rmtree(origin)


@contextmanager
def mirror(registry: Path, home: Path) -> Iterator[str]:
    """Run `toolkit mirror`; yields its address."""
    command = [sys.executable, "-m", "toolkit.cli.main", "mirror", "--bind", "127.0.0.1:0"]
    command += ["--registry", str(registry), "--home", str(home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if "HF_ENDPOINT=" in line:
                    yield line.strip().partition("HF_ENDPOINT=")[2]
                    return
            raise SystemExit("the mirror did not start")
        finally:
            process.terminate()
            process.wait(timeout=30)


def measure(
    place: Path, registry: Path, endpoint: str, rounds: int, budget: float
) -> dict[str, list[float]]:
    """Return the seconds of every run; one run of each goes first and is not counted."""
    target = place / "target"
    environment = {
        **os.environ,
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(target / "hf"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    }
    hf = Path(sys.executable).with_name("hf")
    places = ["--registry", str(registry), "--home", str(target)]
    commands = {
        "hf download": [str(hf), "download", REPO, "--revision", REVISION],
        "toolkit pull": [sys.executable, "-m", "toolkit.cli.main", "pull", "bench", *places],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    begun = time.monotonic()
    for turn in range(rounds + 1):
        if turn > 1 and time.monotonic() - begun > budget:
            break
        for name, command in commands.items():
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir()
            # What the run before wrote is not to be paid by this one.
            os.sync()
            started = time.monotonic()
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=LIMIT
            )
            seconds = time.monotonic() - started
            if done.returncode:
                raise SystemExit(f"{name} failed:\n{done.stdout}{done.stderr}")
            if turn:
                times[name].append(seconds)
    return times


def report(times: dict[str, list[float]], options: argparse.Namespace) -> None:
    """Print the table and write the figures."""
    medians = {name: statistics.median(runs) for name, runs in times.items()}
    base = medians["hf download"]
    print(
        f"{format_size(options.size)} in {options.shards} files, {options.rounds} rounds in turns"
    )
    print(f"{'command':14}{'median s':>10}{'min s':>8}{'max s':>8}{'MB/s':>8}{'ratio':>8}")
    for name, runs in times.items():
        print(
            f"{name:14}{medians[name]:10.2f}{min(runs):8.2f}{max(runs):8.2f}"
            f"{options.size / medians[name] / 1e6:8.0f}{medians[name] / base:8.2f}"
        )
    ratio = medians["toolkit pull"] / base
    met = "met" if ratio <= TARGET else "NOT met"
    print(f"target: at most {TARGET} with verification; {ratio:.2f}: {met}")
    if options.json:
        document = {"size": options.size, "seconds": times, "ratio": ratio, "target": TARGET}
        options.json.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
