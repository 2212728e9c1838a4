"""Plan a download: the files to fetch, and the room that the disk lacks for them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from toolkit.domain.files.snapshot import FileDigest, Snapshot, path_fault
from toolkit.errors import InputError

# Room for manifests, and for other processes that write on the disk meanwhile.
RESERVE = 64 * 2**20
RESERVED_FILES = 32


@dataclass(frozen=True, slots=True)
class DownloadPlan:
    """`missing` lists each content once, the largest first; `needed` is in bytes."""

    missing: tuple[FileDigest, ...]
    resumed: int
    needed: int

    @property
    def size(self) -> int:
        """Bytes of the missing files, including the parts that an earlier pull left."""
        return self.needed + self.resumed


def plan_download(
    snapshot: Snapshot, present: Collection[str], partial: Mapping[str, int]
) -> DownloadPlan:
    """Return the missing files of `snapshot`.

    `present` holds the sha256 of whole files in the store, `partial` the bytes that the store has of
    others. Raises InputError where a path of the snapshot would lead out of its directory.
    """
    _check_paths(snapshot)
    contents = {file.sha256: file for file in snapshot.files if file.sha256 not in present}
    missing = sorted(contents.values(), key=lambda file: (-file.size, file.path))
    resumed = sum(min(partial.get(file.sha256, 0), file.size) for file in missing)
    needed = sum(file.size for file in missing) - resumed
    return DownloadPlan(tuple(missing), resumed, needed)


def lacking_files(download: DownloadPlan, free: int | None) -> int:
    """Return how many files (inodes) the disk lacks; `free` of them are left, None for no limit."""
    if not download.missing or free is None:
        return 0
    # Each file has a directory and a file while it comes; the snapshot has directories, a manifest and temporary files.
    return max(2 * len(download.missing) + RESERVED_FILES - free, 0)


def shortfall(download: DownloadPlan, free: int) -> int:
    """Return how many bytes the disk lacks; 0 where it all fits. `free` is in bytes."""
    if not download.needed:
        return 0
    return max(download.needed + RESERVE - free, 0)


def _check_paths(snapshot: Snapshot) -> None:
    path, why = path_fault([file.path for file in snapshot.files])
    if path or why:
        raise _bad_path(snapshot, path, why)


def _bad_path(snapshot: Snapshot, path: str, why: str) -> InputError:
    return InputError(
        f"the lock of {snapshot.source} names the file {path!r}: {why}",
        hint="pin it again: toolkit registry pin MODEL",
    )
