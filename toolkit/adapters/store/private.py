"""Keep the ops machine's home to its user: it holds the history, locks, certificates and sockets of connections."""

from __future__ import annotations

import stat
from contextlib import suppress
from pathlib import Path

_OTHERS = 0o077
# The names that the toolkit gives: a directory without them may be somebody's whole home.
_OURS = ("history.db", "store", "run", "engines", "wheelhouse")


def make_private(home: Path) -> tuple[str, ...]:
    """Close `home` and the files in it to other users, making it if it is absent; return the paths that were open.

    A directory of another user, or one that the toolkit has never used, stays as it is. Where the disk refuses, the
    command that needs the home says so.
    """
    names: list[Path] = []
    with suppress(OSError):
        home.mkdir(parents=True, mode=0o700, exist_ok=True)
        names = sorted(home.iterdir())
    if not home.is_dir():
        # A mistyped home may be a device or a file that others need.
        return ()
    if names and not any((home / name).exists() for name in _OURS):
        return ()
    files = [path for path in names if path.is_file() and not path.is_symlink()]
    return tuple(str(path) for path in (home, *files) if _close(path))


def _close(path: Path) -> bool:
    """Take the permissions of others from a directory or a file; return whether there were any."""
    try:
        seen = path.stat()
    except OSError:
        return False
    # All users share a sticky directory.
    if seen.st_mode & stat.S_ISVTX or not seen.st_mode & _OTHERS:
        return False
    with suppress(OSError):
        path.chmod(stat.S_IMODE(seen.st_mode) & ~_OTHERS)
        return True
    return False
