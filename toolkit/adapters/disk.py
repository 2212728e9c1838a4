"""The room that a file system has left: bytes and files (inodes)."""

from __future__ import annotations

import errno
import getpass
import hashlib
import os
import re
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from toolkit.errors import ToolkitError

# A system's errors where a disk takes no more: no room, no quota, no write access.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
# A command writes a history, a lock and a log in less.
LEAST_BYTES = 2**20
LEAST_FILES = 16
# The path of a socket has at most 107 bytes. ssh adds "/", 40 hexadecimal digits, and 17 while it begins to listen.
_SOCKET_DIRECTORY = 107 - 1 - 40 - 17
_SPECIAL = re.compile(r"""[\s"'\\%$~#]""")


@dataclass(frozen=True, slots=True)
class DiskRoom:
    """The room that an ordinary user can still fill: `free` bytes and `files`, None where their number has no limit.

    A file system that is `read_only` takes neither: one that was mounted so, or that failed.
    """

    free: int
    files: int | None
    read_only: bool = False

    @property
    def full(self) -> bool:
        """Whether not even a command's own files have room."""
        few = self.files is not None and self.files < LEAST_FILES
        return self.read_only or self.free < LEAST_BYTES or few


def room(path: Path) -> DiskRoom:
    """Return the room of the file system that has `path`, or that would have it."""
    while not os.path.exists(path) and path != path.parent:  # noqa: PTH110
        path = path.parent
    found = os.statvfs(path)
    # Some file systems make inodes as they need them, and report none at all.
    return DiskRoom(
        free=found.f_bavail * found.f_frsize,
        files=found.f_favail if found.f_files else None,
        read_only=bool(found.f_flag & os.ST_RDONLY),
    )


def scratch_of(home: Path) -> Path:
    """Return the directory for sockets and files of one command: `run` in the home.

    Where the home takes no more, such as on a disk that is full or read-only, it is a private directory elsewhere, so
    that hosts can still be reached.
    """
    own, *elsewhere = scratch_places(home)
    if _takes_files(own):
        return own
    for place in elsewhere:
        if place.parent.is_dir() and not room(place.parent).full and is_private(place):
            return place
    return own


def modules_of(home: Path) -> Path | None:
    """Return the directory in the home for what Ansible builds and later runs use; None where the home takes none."""
    return home / "modules" if _takes_files(home / "modules") else None


def _takes_files(directory: Path) -> bool:
    """Whether this user can write to a directory or make it. An immutable one (`chattr +i`) has room and takes none."""
    # pathlib raises PermissionError for what lies in a directory of another user.
    places = (directory, *directory.parents)
    there = next(each for each in places if os.path.exists(each))  # noqa: PTH110
    return not room(directory).full and may(there, os.W_OK | os.X_OK)


def may(path: Path, mode: int) -> bool:
    """Whether this process may do at `path` what `mode` says, with os.R_OK, os.W_OK and os.X_OK."""
    return os.access(path, mode, effective_ids=True)


def scratch_places(home: Path) -> tuple[Path, ...]:
    """Return the directories that `scratch_of` chooses from; those outside the home need not exist."""
    return (home / "run", *_elsewhere(home))


def sockets_of(scratch: Path) -> Path:
    """Return the directory for ssh's sockets: `scratch`, or a private one elsewhere where ssh cannot take its name."""
    if _takes(scratch):
        return scratch
    for place in _elsewhere(scratch):
        if _takes(place) and place.parent.is_dir() and is_private(place):
            return place
    return scratch


def _takes(directory: Path) -> bool:
    """Whether ssh takes a socket there: it fits into the kernel's bytes, and ssh reads nothing else in its name."""
    name = str(directory)
    return len(os.fsencode(name)) <= _SOCKET_DIRECTORY and not _SPECIAL.search(name)


def _elsewhere(path: Path) -> tuple[Path, ...]:
    """Return directories outside the home that are private to this user and `path`; they need not exist."""
    user = os.getuid()
    name = f"toolkit-{user}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}"
    tops = (Path(f"/run/user/{user}"), Path("/dev/shm"), Path(tempfile.gettempdir()))  # noqa: S108 - see is_private
    return tuple(top / name for top in tops)


def is_private(directory: Path) -> bool:
    """Make the directory where it is absent; return whether it is this user's alone, and no link."""
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        seen = directory.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(seen.st_mode) and seen.st_uid == os.getuid() and not seen.st_mode & 0o077


def way_out(path: Path) -> str:
    """Return the hint for a disk at `path` that takes no more, or is mounted for reading alone."""
    if room(path).read_only:
        return (
            f"mount it for writing (findmnt -T {path}; dmesg says whether the disk failed), "
            "or keep the home on another disk: export TOOLKIT_HOME=DIR"
        )
    return (
        f"free space there (df -h {path}; df -i {path}), for example with: toolkit prune; "
        "or keep the store on another disk: export TOOLKIT_HOME=DIR"
    )


def way_in(home: Path) -> str:
    """Return the hint for a home of which something is closed to this user, as after `sudo toolkit`."""
    return f"make it yours: sudo chown -R {getpass.getuser()} {home}; chmod -R u+rwX {home}"


def fault_of(error: OSError) -> ToolkitError:
    """Return the error for a person where this machine's system refused something, such as room on a full disk."""
    name = os.fsdecode(error.filename) if error.filename else ""
    where, why = f" at {name}" if name else "", error.strerror or str(error)
    if error.errno in FULL:
        place = Path(name).parent if name else Path.cwd()
        return ToolkitError(f"the disk takes no more{where}: {why}", hint=way_out(place))
    return ToolkitError(
        f"the system of this machine refused something{where}: {why}",
        hint="toolkit doctor; then the same command again",
    )
