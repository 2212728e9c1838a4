"""The built wheel, and the interpreters into which it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
VERSIONS = ("3.11", "3.12", "3.13")
# uv stands beside the interpreter of the tests, whose directory need not be in PATH.
UV = Path(sys.executable).with_name("uv")


def build_wheel(out: Path) -> Path:
    """Build the wheel of this checkout into `out`; return its path."""
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out)]
    subprocess.run([*command, str(ROOT)], check=True, capture_output=True, timeout=120)
    return next(out.glob("*.whl"))


def interpreter(version: str) -> Path:
    """Return an interpreter of Python `version`, `3.12` say: one that is on the PATH, one of pyenv, or one of uv.

    Raises AssertionError where this machine has none.
    """
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [
        *(Path(found) for found in (shutil.which(f"python{version}"),) if found),
        *sorted(pyenv.glob(f"{version}.*/bin/python{version}")),
    ]
    for candidate in candidates:
        if _is_a(candidate, version):
            return candidate
    found = subprocess.run(
        [UV, "python", "find", "--no-python-downloads", version],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert found.returncode == 0, f"install Python {version}, with uv or pyenv: {found.stderr}"
    return Path(found.stdout.strip())


def _is_a(candidate: Path, version: str) -> bool:
    """Whether the program runs and is that version: a shim of pyenv stands for versions that are not installed."""
    asked = "import sys; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([candidate, "-c", asked], capture_output=True, text=True, timeout=60)
    return done.stdout.strip() == version
