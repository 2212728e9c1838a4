"""rsync for test hosts, which do not have it: this machine's own, to be seen there."""

from __future__ import annotations

import subprocess
from pathlib import Path

RSYNC = "/usr/bin/rsync"


def rsync_files() -> dict[str, Path]:
    """Return rsync and its libraries: path on the host -> file of this machine, as `boot` shares them.

    Raises FileNotFoundError where this machine has none.
    """
    if not Path(RSYNC).exists():
        raise FileNotFoundError("no rsync here: apt-get install rsync")
    shown = subprocess.run(["ldd", RSYNC], capture_output=True, text=True, check=True).stdout
    libraries = [word for word in shown.split() if word.startswith("/lib/x86_64")]
    return {path: Path(path).resolve() for path in [RSYNC, *libraries] if "libc.so" not in path}
