"""The packages that a walk installs, downloaded once: test hosts have no way out to an index."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from tests.fleet.base import CACHE
from tests.walk.blocks import ROOT

LOCK = ROOT / "requirements.lock"
# Test hosts have the Python of their Debian.
PLATFORMS = ("manylinux_2_28", "manylinux_2_17", "manylinux2014", "linux")
TARGET = (
    "--only-binary=:all:",
    "--python-version=3.11",
    *(f"--platform={each}_x86_64" for each in PLATFORMS),
)


def wheelhouse() -> Path:
    """Return the directory of the packages in the lock and of those that build the toolkit, made now where it is new.

    Raises CalledProcessError where the index does not give them.
    """
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    name = hashlib.sha256(LOCK.read_bytes() + repr((build, TARGET)).encode()).hexdigest()[:16]
    final = CACHE / f"wheels-{name}"
    if final.is_dir():
        return final
    CACHE.mkdir(parents=True, exist_ok=True, mode=0o755)
    with (CACHE / ".lock-wheels").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not final.is_dir():
            _download(final, build)
    return final


def _download(final: Path, build: list[str]) -> None:
    making = Path(tempfile.mkdtemp(prefix=".making-wheels-", dir=CACHE))
    try:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(making), *TARGET]
        for wanted in (["--no-deps", "--require-hashes", "-r", str(LOCK)], build):
            subprocess.run([*pip, *wanted], check=True, timeout=600)
        making.chmod(0o755)
        making.rename(final)
    finally:
        shutil.rmtree(making, ignore_errors=True)


if __name__ == "__main__" and os.geteuid() == 0:
    wheelhouse()
