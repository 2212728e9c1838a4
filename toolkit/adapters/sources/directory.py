"""A directory on this machine as the source of a model made in house."""

from __future__ import annotations

import os
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path

from toolkit.adapters.regular import open_regular
from toolkit.adapters.store.copying import copy_file
from toolkit.domain.files.snapshot import FileDigest
from toolkit.errors import SourceError


def directory_files(root: Path) -> tuple[str, ...]:
    """Return the files below `root`, without hidden ones, as ordered POSIX paths relative to it.

    Links to files count as files. Links to directories and special files are left out.
    Raises SourceError where the directory is missing or cannot be read.
    """
    if not root.is_dir():
        raise SourceError(
            f"{root} is no directory", hint="correct `source: {path: ...}` in the registry"
        )
    found: list[str] = []
    try:
        for folder, folders, names in os.walk(root, onerror=_raise):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in names:
                path = Path(folder) / name
                if not name.startswith(".") and path.is_file():
                    found.append(path.relative_to(root).as_posix())
    except OSError as error:
        raise SourceError(
            f"{error.filename} cannot be read: {error.strerror}", hint="check its permissions"
        ) from None
    return tuple(sorted(found))


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


def _raise(error: OSError) -> None:
    raise error
