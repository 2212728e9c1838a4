"""A directory on this machine as the source of a model made in house."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable
from operator import attrgetter
from pathlib import Path

from toolkit.adapters.store.copying import copy_file
from toolkit.domain.files.snapshot import FileDigest
from toolkit.errors import SourceError
from toolkit.regular import open_regular


def directory_files(root: Path) -> tuple[str, ...]:
    """Return what lies below `root`, without hidden names, as ordered POSIX paths relative to it.

    Links are followed. A pipe or a link to nothing is among the paths too, because this function does not know whether
    the model needs it.
    Raises SourceError where the directory is missing or cannot be read.
    """
    if not root.is_dir():
        raise SourceError(
            f"{root} is no directory", hint="correct `source: {path: ...}` in the registry"
        )
    found: list[str] = []
    try:
        for folder, folders, names in os.walk(root, onerror=_raise, followlinks=True):
            folders[:] = sorted(name for name in folders if _goes_on(Path(folder), name))
            paths = (Path(folder) / name for name in names if not name.startswith("."))
            found.extend(path.relative_to(root).as_posix() for path in paths)
    except OSError as error:
        raise unreadable(error) from None
    return tuple(sorted(found))


def require_files(root: Path, paths: Iterable[str]) -> None:
    """Raise SourceError, by name, where one of `paths` below `root` is no file that can be read."""
    for path in paths:
        try:
            with open(root / path, "rb", opener=open_regular):
                pass
        except OSError as error:
            raise unreadable(error) from None


def unreadable(error: OSError) -> SourceError:
    """Return the error of a file or directory of a model that cannot be read."""
    path, reason = Path(str(error.filename)), str(error.strerror)
    if path.is_symlink():
        reason = f"a link to {path.readlink()}: {reason}"
    parent = shlex.quote(str(path.parent))
    return SourceError(f"{path} cannot be read: {reason}", hint=f"ls -lL {parent}")


class LocalFiles:
    """The files of a directory, as a source for a pull. `path_of` returns a file's path below `root`."""

    def __init__(
        self, root: Path, path_of: Callable[[FileDigest], str] = attrgetter("path")
    ) -> None:
        self._root, self._path_of = root, path_of

    def download(
        self,
        repo: str,
        revision: str,
        file: FileDigest,
        into: Path,
        progress: Callable[[int], None],
    ) -> str:
        """Copy the file to `into` and return its sha256 hex; raises SourceError where it cannot be read."""
        origin = self._root / self._path_of(file)
        try:
            with open(origin, "rb", opener=open_regular):
                pass
        except OSError as error:
            raise SourceError(
                f"{origin}: {error.strerror}", hint=f"check the directory: ls -l {origin.parent}"
            ) from error
        return copy_file(origin, into, progress)


def _goes_on(folder: Path, name: str) -> bool:
    """Whether the files below the directory `name` count: a link back to a directory above it has no others."""
    if name.startswith("."):
        return False
    path = folder / name
    above = (os.path.realpath(each) for each in (folder, *folder.parents))
    return not path.is_symlink() or os.path.realpath(path) not in above


def _raise(error: OSError) -> None:
    raise error
