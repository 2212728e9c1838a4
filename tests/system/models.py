"""The models of the whole-system tests, trained once for all of them and kept from one run to the next.

They are the variants of the demo's model, adapters for `v1` (`turn1`, `turn2`), and an embedding model (`vectors`).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
DEMO = HERE.parents[1] / "demo"
PROGRAMS = (
    DEMO / "make_model.py",
    DEMO / "teaching.py",
    DEMO / "make_adapter.py",
    HERE / "make_embedding.py",
)
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "toolkit-test"
VARIANTS = ("v1", "v2", "rubbish", "broken-weights")
TURNS = ("turn1", "turn2")
VECTORS = "vectors"


def made_models(engine: Path) -> Path:
    """Return the directory with a directory for each model, made now with this engine where it is new.

    Raises CalledProcessError where a program fails.
    """
    final = CACHE / f"models-{_key(engine)}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / ".lock-models").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not final.is_dir():
            _make(engine / "bin" / "python", final)
    return final


def exact_answers(models: Path, *versions: str) -> dict[str, dict[str, str]]:
    """Return prompt -> version -> its exact answer."""
    known = json.loads((models / "answers.json").read_text())
    return {prompt: {each: known[each][prompt] for each in versions} for prompt in known["v1"]}


def _make(python: Path, final: Path) -> None:
    making = Path(tempfile.mkdtemp(prefix=".making-models-", dir=CACHE))
    try:
        _run(python, DEMO / "make_model.py", making, "--variants", *VARIANTS)
        for turn in TURNS:
            base, out = making / "v1", making / turn
            number = turn.removeprefix("turn")
            _run(
                python,
                DEMO / "make_adapter.py",
                base,
                out,
                "--turn",
                number,
                "--repo",
                "local/tiny",
            )
        _run(python, HERE / "make_embedding.py", making / VECTORS)
        making.rename(final)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, stdout=sys.stderr, timeout=900)


def _key(engine: Path) -> str:
    """Return what decides the bytes: the programs, the engine's packages, and the processor."""
    processor = {
        line
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith(("model name", "flags"))
    }
    programs = [each.read_text() for each in PROGRAMS]
    decided = json.dumps([engine.name, sorted(processor), VARIANTS, programs])
    return hashlib.sha256(decided.encode()).hexdigest()[:16]
