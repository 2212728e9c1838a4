"""The environment of `lm-eval` on the ops machine: made once for each lock, from hash-locked packages."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from toolkit.adapters.engines.packages import pip_settings, uv_binary
from toolkit.adapters.interruption import Interruption
from toolkit.errors import SourceError

# `uv pip compile --universal --python-version 3.11 --generate-hashes lm-eval.in -o lm-eval.lock` writes it.
LOCK = Path(__file__).parents[2] / "benchmarks" / "lm-eval.lock"
_COMPLETE = "complete"


def environment(home: Path, interruption: Interruption, say: Callable[[str], None]) -> Path:
    """Return the Python of the environment with `lm-eval`, which is installed below `home` where it is missing.

    Raises SourceError where its packages cannot be had.
    """
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]
    place = home / "benchmarks" / f"lm-eval-{digest}"
    python = place / "bin" / "python"
    if (place / _COMPLETE).exists():
        return python
    place.parent.mkdir(parents=True, exist_ok=True)
    # Each host of a fleet has a thread, and other commands may run.
    with (place.parent / "installing").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / _COMPLETE).exists():
            say("  benchmarks: installing lm-eval, once (600 MB)")
            shutil.rmtree(place, ignore_errors=True)
            install(place, LOCK, interruption)
            (place / _COMPLETE).write_text("")
    return python


def install(place: Path, lock: Path, interruption: Interruption) -> None:
    """Make a virtual environment of the locked packages; raises SourceError with uv's own words."""
    uv, settings = str(uv_binary()), {**os.environ, **pip_settings()}
    into = ["--python", str(place / "bin" / "python")]
    for command in (
        [uv, "venv", "--quiet", "--python", sys.executable, str(place)],
        [uv, "pip", "install", "--quiet", *into, "--require-hashes", "-r", str(lock)],
    ):
        code, words = finished(command, interruption, env=settings)
        if code:
            raise SourceError(
                f"lm-eval cannot be installed: {words.strip()[-500:]}",
                hint="run this where the package index can be reached, or take `benchmarks` out of the guard",
            )


def finished(
    command: Sequence[str],
    interruption: Interruption,
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    timeout: float | None = None,
) -> tuple[int, str]:
    """Run a command to its end; return its exit status and what it wrote.

    Raises HostError where an interruption ends it, TimeoutExpired after `timeout` seconds.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=dict(env),
        cwd=cwd,
    )
    with process, interruption.ending(process.kill):
        try:
            words, _ = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    interruption.check()
    return process.returncode, words
