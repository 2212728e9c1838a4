"""A directory by descriptor: how root reads and changes files in a directory that another user may be able to write.

Such a user can replace each name in it by a link, a pipe or another file, at any moment. So no name is followed: a
file is opened relative to the directory's descriptor and without links, what is found must be a regular file with one
name, and new text goes to a random new name, gets its owner and permissions by descriptor, and is renamed.
`require_own` is for the other directories, those of root alone, in which names are safe.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import stat
import time
from collections.abc import Iterator

# The toolkit's own files are small; a larger one is not read.
_MOST_BYTES = 64 * 2**20
_PIECE = 2**16
# See `Directory.write`.
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{16}")
# Permissions of a directory that every user may read.
READABLE = 0o755
# The file is there, and its disk or file system does not give it back.
_BROKEN = (errno.EIO, errno.EUCLEAN, errno.EBADMSG)
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
# Whether this process may use the room that is kept for commands, see `reserve`.
_reserve_is_for_us = True
_TAKE_OVER = "take the host's files into the toolkit's hands again: toolkit provision"


class NotSafe(Exception):
    """A directory or a file on this host is not as root may use it."""


class Directory:
    """The directory at `path`, whose last name must be no link. Raises FileNotFoundError or NotSafe."""

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self._handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except NotADirectoryError:
            raise NotSafe(f"{path} is no directory; {_TAKE_OVER}") from None
        seen = os.fstat(self._handle)
        self.owner, self.group = seen.st_uid, seen.st_gid

    def __enter__(self) -> Directory:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._handle)

    def read(self, name: str) -> str | None:
        """Return the text of a file; None where there is none, or anything else than a regular file with one name.

        Raises OSError where its disk does not give it back: it is not absent, and must not be begun anew.
        """
        return _text(_opened(name, self._handle), one_name=True)

    def write(
        self, name: str, text: str | bytes, mode: int = 0o644, *, durable: bool = True
    ) -> None:
        """Replace a file, whole or not at all, if `durable` even where power fails; `sync` makes its name last too.

        Root keeps the file and gives it to the directory's group, whoever owns the directory. Raises NotSafe where a
        directory has the name. On a full disk a file of the reserve takes the text.
        """
        data = text.encode() if isinstance(text, str) else text
        try:
            self._place(name, data, mode, durable, reserved=False)
        except OSError as error:
            if error.errno not in _NO_ROOM or not _reserve_is_for_us:
                raise
            self._place(name, data, mode, durable, reserved=True)

    def _place(self, name: str, data: bytes, mode: int, durable: bool, *, reserved: bool) -> None:
        temporary = f".{name}.{os.urandom(8).hex()}"
        handle = self._made(temporary, len(data), reserved)
        try:
            with open(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.ftruncate(handle, len(data))
                if os.geteuid() == 0:
                    os.fchown(handle, 0, self.group)
                os.fchmod(handle, mode)
                if durable:
                    os.fsync(handle)
            try:
                os.replace(temporary, name, src_dir_fd=self._handle, dst_dir_fd=self._handle)
            except IsADirectoryError:
                words = "is a directory, where a file of the toolkit belongs; move it away"
                raise NotSafe(f"{self.path}/{name} {words}") from None
        except BaseException:
            os.unlink(temporary, dir_fd=self._handle)
            raise

    def _made(self, temporary: str, size: int, reserved: bool) -> int:
        """Return a descriptor of a new file; a `reserved` one has room for so many bytes already."""
        flags = os.O_WRONLY | os.O_NOFOLLOW
        if reserved:
            # Here: most writes find room.
            import reserve

            if not reserve.take(self.path, size, temporary):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        else:
            flags |= os.O_CREAT | os.O_EXCL
        return os.open(temporary, flags, 0o600, dir_fd=self._handle)

    def names(self) -> list[str]:
        """Return the names in the directory."""
        return os.listdir(self._handle)

    def remove(self, name: str) -> None:
        """Remove a file, or whatever else than a directory has the name; nothing where there is none."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._handle)

    def sweep(self) -> None:
        """Remove what writers left that were killed before they renamed it. The caller holds the directory's lock."""
        for name in os.listdir(self._handle):
            if _TEMPORARY.fullmatch(name):
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=self._handle)

    def sync(self) -> None:
        """Write the names of the directory to the disk."""
        os.fsync(self._handle)

    @contextlib.contextmanager
    def locked(self, name: str, seconds: float) -> Iterator[None]:
        """Hold a lock on the file `name`, which the kernel releases when its holder dies.

        Raises TimeoutError where another process holds it for so many seconds.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            handle = os.open(name, flags, 0o600, dir_fd=self._handle)
        except OSError as error:
            if is_broken(error) or error.errno in (*_NO_ROOM, errno.EROFS):
                # Nobody has put anything there: its disk takes no file.
                raise
            raise NotSafe(f"{self.path}/{name}: {error.strerror}; {_TAKE_OVER}") from None
        try:
            if not _is_plain(handle, one_name=True):
                raise NotSafe(f"{self.path}/{name} is no file of its own; {_TAKE_OVER}")
            if not take_lock(handle, seconds):
                raise TimeoutError(f"{self.path}/{name} is held")
            yield
        finally:
            os.close(handle)


def leave_reserve() -> None:
    """Leave the room that is kept on a full disk to other processes: this one writes all the time."""
    global _reserve_is_for_us
    _reserve_is_for_us = False


def lock_file(path: str) -> int:
    """Return a descriptor of the file `path`, in a directory of root alone, for locks of root alone.

    Whoever can open a file or a directory can lock it, and keep root waiting; so others cannot open this one.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    # A former toolkit made it for every user.
    if os.fstat(handle).st_mode & 0o077:
        os.fchmod(handle, 0o600)
    return handle


def take_lock(handle: int, seconds: float) -> bool:
    """Lock an open file, or return False where other processes have it locked for so many seconds.

    A look (`is_locked`) takes the lock for an instant, so even a caller that does not wait for a holder gives it a few
    hundredths of a second.
    """
    until = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > until:
                return False
            time.sleep(0.01)


def is_locked(handle: int) -> bool:
    """Whether a process has a lock on an open file; looking takes the lock for an instant, until `handle` is closed."""
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    return False


def read_text(path: str) -> str | None:
    """Return the text of a file; None where there is none, or anything else than a regular file.

    It is empty where the disk does not give it back: no document is, so such a file counts as damaged.
    """
    try:
        return _text(_opened(path), one_name=False)
    except OSError as error:
        if is_broken(error):
            return ""
        raise


def is_broken(error: Exception) -> bool:
    """Whether an error says that a file is there, and that its disk does not give it back."""
    return isinstance(error, OSError) and error.errno in _BROKEN


def mark_of(path: str) -> tuple[int, int, int] | None:
    """Return a mark that changes with a file; None where there is none. Raises OSError where it cannot be read."""
    try:
        seen = os.lstat(path)
    except FileNotFoundError:
        return None
    return (seen.st_ino, seen.st_mtime_ns, seen.st_size)


def open_plain(path: str) -> int:
    """Return a descriptor for reading a regular file. A link is not followed, and a pipe not waited for.

    Raises OSError, which a link, a directory, a device and a pipe do too.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except ValueError as error:
        raise OSError(f"{path!r}: {error}") from None
    if not _is_plain(handle, one_name=False):
        os.close(handle)
        raise OSError(f"{path} is no regular file")
    return handle


def connectable(path: str, owners: tuple[int, ...]) -> int:
    """Return a descriptor (O_PATH) of the socket at `path`, for a connection to /proc/self/fd.

    Its directory may belong to another user, who could put a link to another program's socket there. Raises OSError
    where there is no socket, or one of a user that is not among `owners`.
    """
    handle = os.open(path, os.O_PATH | os.O_NOFOLLOW)
    seen = os.fstat(handle)
    if not stat.S_ISSOCK(seen.st_mode) or seen.st_uid not in owners:
        os.close(handle)
        raise FileNotFoundError(f"{path} is not the router's socket")
    return handle


def make_own(root: str, *names: str) -> str:
    """Make the directories `names`, one in the other below `root`, and check them; return the last one's path.

    Their permissions are set, whatever the umask. Raises NotSafe, see `require_own`.
    """
    path = root
    for name in names:
        path = os.path.join(path, name)
        with contextlib.suppress(FileExistsError):
            os.makedirs(root, exist_ok=True)
            os.mkdir(path)
            os.chmod(path, READABLE)
        require_own(path)
    return path


def permit(top: str) -> None:
    """Let every user read the tree, and only its owner write to it, whatever the umask of its makers."""
    for folder, _, names in os.walk(top):
        for path in (folder, *(os.path.join(folder, name) for name in names)):
            seen = os.lstat(path)
            if stat.S_ISLNK(seen.st_mode):
                continue
            wanted = (seen.st_mode | (0o555 if stat.S_ISDIR(seen.st_mode) else 0o444)) & ~0o022
            # Even a change to the same permissions renews the time that shows changes of a file.
            if wanted != seen.st_mode:
                os.chmod(path, stat.S_IMODE(wanted))


def remove_tree(path: str) -> None:
    """Remove a directory, whose own name is in a directory of root's, with all that another user has put into it.

    Links are removed and not followed. A file that cannot be removed stays.
    """
    # Here: most programs remove nothing, and must start within milliseconds.
    import shutil
    import subprocess

    # Python's own removal nests its calls and opens as many directories as the tree is deep.
    with contextlib.suppress(RecursionError):
        shutil.rmtree(path, ignore_errors=True)
    if os.path.lexists(path):
        subprocess.run(["rm", "-rf", "--", path], stdin=subprocess.DEVNULL, capture_output=True)


def require_own(path: str) -> None:
    """Raise NotSafe unless the directory is root's (or this process's) and no other user can write to it."""
    seen = os.lstat(path)
    if not stat.S_ISDIR(seen.st_mode):
        raise NotSafe(f"{path} is no directory; {_TAKE_OVER}")
    if seen.st_uid not in (0, os.geteuid()) or seen.st_mode & 0o022:
        raise NotSafe(f"other users can write to {path}; {_TAKE_OVER}")


def _opened(name: str, at: int | None = None) -> int | None:
    try:
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=at)
    except (OSError, ValueError) as error:
        if is_broken(error):
            raise
        # A name from a damaged document may be none that a file can have.
        return None


def _text(handle: int | None, *, one_name: bool) -> str | None:
    if handle is None:
        return None
    if not _is_plain(handle, one_name=one_name):
        os.close(handle)
        return None
    pieces, left = [], _MOST_BYTES
    try:
        # In pieces: to make room for the most that a file may have takes as long as to read a small one.
        while left and (piece := os.read(handle, min(left, _PIECE))):
            pieces.append(piece)
            left -= len(piece)
    finally:
        os.close(handle)
    return b"".join(pieces).decode("utf-8", "replace")


def _is_plain(handle: int, *, one_name: bool) -> bool:
    seen = os.fstat(handle)
    return stat.S_ISREG(seen.st_mode) and (seen.st_nlink == 1 or not one_name)
