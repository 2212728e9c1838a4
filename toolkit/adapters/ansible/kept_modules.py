"""The directory of built modules: one for each state of the sources, so that no stale module is used."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import time
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from toolkit.adapters.ansible import bytecode
from toolkit.adapters.disk import is_private

# A running playbook of another version of the toolkit may use its directory.
OTHERS_STAY_SECONDS = 86400.0
_SOURCES = ("library", "module_utils")


def kept_modules(top: Path, playbooks: Path) -> Path:
    """Return the directory below `top` for the modules of `playbooks` and Ansible as they are now; make it if absent.

    Directories of other states are removed after a day without use. Raises OSError where `top` cannot be written
    and where it is not this user's alone.
    """
    place = top / _digest(playbooks)
    # Ansible unpickles these files, and unpickling runs code: whoever can write there would run theirs as this user.
    if not is_private(top):
        raise PermissionError(f"{top} is open to others")
    place.mkdir(mode=0o700, exist_ok=True)
    # `touch` would make a file where another command has removed the directory at this moment.
    os.utime(place)
    for other in top.iterdir():
        with suppress(OSError):
            if other.stat().st_mtime < time.time() - OTHERS_STAY_SECONDS:
                shutil.rmtree(other)
    return place


def _digest(playbooks: Path) -> str:
    said = f"{version('ansible-core')} {sys.version}\0"
    # The archives have bytecode beside the modules, and this module makes it.
    summary = hashlib.sha256(said.encode() + Path(bytecode.__file__).read_bytes())
    for file in sorted(playbooks.rglob("*.py")):
        if not {*file.relative_to(playbooks).parts}.isdisjoint(_SOURCES):
            summary.update(f"{file.relative_to(playbooks)}\0".encode() + file.read_bytes())
    return summary.hexdigest()[:32]
