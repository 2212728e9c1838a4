"""Bundles on disk. A bundle is filled in a directory beside its target and appears by one rename."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from toolkit.adapters.store.copying import copy_file
from toolkit.adapters.store.files import entries, locked, size_of, sync_directory
from toolkit.adapters.store.hashing import difference, digest_file
from toolkit.domain.bounds import BUNDLE
from toolkit.domain.files.bundle import MANIFEST, SUMS, BundleFile
from toolkit.domain.files.snapshot import FileDigest
from toolkit.errors import BusyError, InputError, IntegrityError, SourceError
from toolkit.regular import open_regular


def workplace(target: Path) -> Path:
    """Return the directory in which the bundle `target` is filled: a dot-directory beside it."""
    return target.with_name(f".{target.name}.incomplete")


@contextmanager
def building(target: Path) -> Iterator[Path]:
    """Hold the right to make `target`; yields the directory to fill, which may hold files of an interrupted run.

    Raises BusyError while another process makes the same bundle, SourceError where the directory cannot be written.
    """
    directory = workplace(target)
    try:
        with locked(directory) as mine:
            if not mine:
                raise BusyError(f"another process makes {target}", hint="wait for it to end")
            try:
                yield directory
            finally:
                with suppress(OSError):
                    directory.rmdir()
    except OSError as error:
        raise SourceError(
            f"{error.filename or directory} cannot be written: {error.strerror or error}",
            hint=f"check that disk and its permissions: df -h {target.parent}",
        ) from error


@dataclass(frozen=True, slots=True)
class FileOrigin:
    """A file of the bundle, and the path from which its bytes come."""

    file: BundleFile
    origin: Path


def put(
    root: Path, wanted: FileOrigin, advance: Callable[[int], None], *, link: bool = True
) -> None:
    """Put a file into the bundle under `root`: as a hard link where possible and allowed by `link`, else as a copy.

    A right file stays. `advance` gets the number of bytes read. Raises IntegrityError where the origin has other bytes
    than the bundle's file.
    """
    file, target = wanted.file, root / wanted.file.path
    pinned = FileDigest(file.path, file.size, file.sha256)
    if size_of(target) == file.size:
        seen = 0

        def count(size: int) -> None:
            nonlocal seen
            seen += size
            advance(size)

        if not difference(pinned, digest_file(target, file.path, count)):
            return
        advance(-seen)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    if link and _linked(wanted.origin, target):
        found = digest_file(target, file.path, advance)
    else:
        fresh = target.with_name(f"{target.name}.part")
        sha256 = copy_file(wanted.origin, fresh, advance)
        found = FileDigest(file.path, size_of(fresh), sha256)
        sync_directory(fresh)
        # The file system of a USB stick may have no modes.
        with suppress(OSError):
            fresh.chmod(wanted.origin.stat().st_mode & 0o777)
        fresh.replace(target)
    wrong = difference(pinned, found)
    if wrong:
        target.unlink()
        raise IntegrityError(
            f"{wanted.origin} is damaged: {wrong}", hint="toolkit verify --repair, then try again"
        )


def can_link(origin: Path, into: Path) -> bool:
    """Whether files of the directory `origin` can be hard-linked into the directory `into`; both must exist."""
    probe, other = origin / f".link-{os.getpid()}", into / f".link-{os.getpid()}"
    try:
        probe.touch()
        other.hardlink_to(probe)
    except OSError:
        return False
    finally:
        probe.unlink(missing_ok=True)
        other.unlink(missing_ok=True)
    return True


def write_text(root: Path, path: str, text: str) -> BundleFile:
    """Write a text file into the bundle under `root`; return its entry in the manifest."""
    data = text.encode()
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    target.write_bytes(data)
    sync_directory(target)
    return BundleFile(path, len(data), hashlib.sha256(data).hexdigest())


def finish(root: Path, target: Path, keep: set[str]) -> None:
    """Remove the files that are not in `keep` from the directory `root`, then rename it to `target`.

    Raises InputError where `target` exists by now.
    """
    for path in sorted(root.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            with suppress(OSError):
                path.rmdir()
        elif path.relative_to(root).as_posix() not in keep:
            path.unlink()
    try:
        root.rename(target)
    except OSError as error:
        raise InputError(
            f"{target} cannot be put in place: {error.strerror}", hint="name another directory"
        ) from error
    # Some file systems of USB sticks cannot sync a directory. Its files are on the disk by now.
    with suppress(OSError):
        sync_directory(target.parent)


def room_below(path: Path) -> tuple[int, int]:
    """Return the device number of `path`, or of its nearest existing parent, and the free bytes there."""
    while not path.exists():
        path = path.parent
    return path.stat().st_dev, shutil.disk_usage(path).free


def is_occupied(target: Path) -> bool:
    """Whether `target` exists and is not an empty directory."""
    return target.is_symlink() or (bool(entries(target)) if target.is_dir() else target.exists())


def read_bundle_text(root: Path, path: str) -> str:
    """Return a text file of a bundle; raises IntegrityError where it is missing, too large or not text."""
    try:
        with open(root / path, "rb", opener=open_regular) as file:
            data = file.read(BUNDLE + 1)
        if len(data) > BUNDLE:
            raise IntegrityError(f"{path} is too large for what it is", hint=_AGAIN)
        return data.decode("utf-8")
    except OSError as error:
        raise IntegrityError(f"{path}: {error.strerror}", hint=_AGAIN) from None
    except UnicodeDecodeError:
        raise IntegrityError(f"{path} is no text", hint=_AGAIN) from None


def require_bundle(root: Path) -> None:
    """Raise InputError where `root` is no bundle or an unfinished one, IntegrityError where its manifest is lost."""
    if root.name.endswith(".incomplete") or not (root / MANIFEST).is_file():
        unfinished = root if root.name.endswith(".incomplete") else workplace(root)
        if unfinished.is_dir():
            raise InputError(
                f"{unfinished} is incomplete: its `toolkit bundle create` was interrupted",
                hint="run the same `toolkit bundle create` again; it goes on from there",
            )
        if (root / SUMS).exists() or (root / "weights").is_dir():
            raise IntegrityError(f"{root} has lost its {MANIFEST}", hint=_AGAIN)
        raise InputError(
            f"{root} is no bundle: it has no {MANIFEST}",
            hint="toolkit bundle create MODEL --to DIR makes one",
        )


def check(root: Path, file: BundleFile, advance: Callable[[int], None]) -> str:
    """Hash a file of the bundle; return its fault as a sentence, empty for a right file."""
    path = root / file.path
    if size_of(path) != file.size:
        # A file of another size need not be read, but progress counts its bytes.
        advance(file.size)
        there = "missing" if size_of(path) < 0 else f"{size_of(path)} bytes, not {file.size}"
        return f"{file.path}: {there}"
    try:
        found = digest_file(path, file.path, advance)
    except OSError as error:
        return f"{file.path}: {error.strerror}"
    if found.sha256 != file.sha256:
        return f"{file.path}: sha256 {found.sha256}, not {file.sha256}"
    return ""


def strays(root: Path, known: set[str]) -> tuple[str, ...]:
    """Return the files below `root` that are not in `known`. They are never read."""
    return tuple(
        sorted(
            name
            for path in root.rglob("*")
            if path.is_file() and (name := path.relative_to(root).as_posix()) not in known
        )
    )


def _linked(origin: Path, target: Path) -> bool:
    try:
        target.hardlink_to(origin.resolve())
    except OSError:
        return False
    return True


_AGAIN = "bring the bundle over again; to see what differs: sha256sum --quiet -c SHA256SUMS"
