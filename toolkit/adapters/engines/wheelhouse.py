"""pip: downloads exactly the files of an engine lock into a directory of the ops machine."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

from toolkit.adapters.engines import packages as engine_packages
from toolkit.adapters.interruption import Interruption
from toolkit.adapters.store.copying import copy_file
from toolkit.adapters.store.files import size_of
from toolkit.domain.bounds import INDEX
from toolkit.domain.engines.engine import EngineLock
from toolkit.domain.engines.requirements import (
    LockedPackage,
    format_requirements,
    parse_requirements,
)
from toolkit.domain.files.snapshot import FileDigest, is_safe_path
from toolkit.domain.outside import parse_mapping, text_of, whole
from toolkit.errors import IntegrityError, SourceError
from toolkit.regular import read_regular

# Files done, files in all, bytes done.
Progress = Callable[[int, int, int], None]

_STAMP = ".complete.json"
# pip takes about half a second to start, and an interruption loses one slice of each worker.
_SLICE = 12
_GLIBC_MINORS = (31, 28, 27, 24, 17, 12, 5)
_PLATFORMS = (
    *(f"manylinux_2_{minor}_x86_64" for minor in _GLIBC_MINORS),
    *(f"manylinux{year}_x86_64" for year in ("2014", "2010", "1")),
    "linux_x86_64",
)


class Wheelhouse:
    """The wheels of each lock in their own directory under `home`; equal files are hard links."""

    def __init__(
        self, home: Path, *, workers: int = 3, interruption: Interruption | None = None
    ) -> None:
        self._root = home / "wheelhouse"
        self._workers, self._interruption = workers, interruption or Interruption()

    def directory(self, lock: EngineLock) -> Path:
        """Return where the lock's wheels lie or will lie."""
        return self._root / lock.id

    def complete(self, lock: EngineLock) -> bool:
        """Whether every file of the lock is there: compares sizes, reads no contents, no network."""
        directory = self.directory(lock)
        files = read_stamp(directory / _STAMP)
        return bool(files) and all(
            size_of(directory / name) == size for name, (_, size) in files.items()
        )

    def packages(self, lock: EngineLock) -> tuple[FileDigest, ...]:
        """Return all files that an installation reads: the lock's wheels, which must be complete, and the lock."""
        text = (self.directory(lock) / "requirements.lock").read_bytes()
        wheels = self.files(lock).items()
        return (
            *(FileDigest(name, size, digest) for name, (digest, size) in wheels),
            FileDigest("requirements.lock", len(text), hashlib.sha256(text).hexdigest()),
        )

    def fill(self, lock: EngineLock, progress: Progress = lambda *_: None) -> Path:
        """Download what is missing, check every digest and return the directory.

        The lock itself lies beside the wheels, as `requirements.lock`.

        Files of an interrupted call stay if their digests match. Raises SourceError if a file is not available, and
        IntegrityError if it is not the locked one.
        """
        directory = self.directory(lock)
        if self.complete(lock):
            return directory
        directory.mkdir(parents=True, exist_ok=True)
        with _alone(self._root / f".{lock.id}.lock"):
            packages = parse_requirements(Path(lock.path).read_text())
            self._link_known_files(packages, directory)
            present = _keep_locked_files(packages, directory)
            missing = [p for p in packages if not set(p.sha256) & present.keys()]
            self._download(lock, missing, directory, packages, progress)
            (directory / "requirements.lock").write_bytes(Path(lock.path).read_bytes())
            _write_stamp(directory, _keep_locked_files(packages, directory), packages)
        return directory

    def recheck(self, lock: EngineLock) -> tuple[str, ...]:
        """Hash the lock's wheels where a reader of them met other bytes; return the names of those that are wrong.

        These are removed, so that the next `fill` fetches them, and `complete` is false until then. Both trust sizes
        otherwise: hashing gigabytes before each installation takes longer than all the rest of it.
        """
        directory = self.directory(lock)
        if not directory.is_dir():
            return ()
        with _alone(self._root / f".{lock.id}.lock"):
            wrong = [
                name
                for name, (digest, _) in read_stamp(directory / _STAMP).items()
                if _digest_of(directory / name) != digest
            ]
            for name in wrong:
                (directory / name).unlink(missing_ok=True)
        return tuple(wrong)

    def files(self, lock: EngineLock) -> dict[str, tuple[str, int]]:
        """Return the lock's wheels, which must be complete: file name -> sha256 and size."""
        return read_stamp(self.directory(lock) / _STAMP)

    def take_in(
        self, lock: EngineLock, wheels: Iterable[Path], advance: Callable[[int], None]
    ) -> Path:
        """Copy the lock's wheels from elsewhere instead of downloading them, without any network.

        `advance` gets the bytes copied. Raises IntegrityError if they are not those of the lock.
        """
        directory = self.directory(lock)
        directory.mkdir(parents=True, exist_ok=True)
        with _alone(self._root / f".{lock.id}.lock"):
            for cut_short in directory.glob(".*.part"):
                cut_short.unlink()
            for wheel in wheels:
                fresh = directory / f".{wheel.name}.part"
                copy_file(wheel, fresh, advance)
                fresh.chmod(0o644)
                fresh.replace(directory / wheel.name)
            packages = parse_requirements(Path(lock.path).read_text())
            (directory / "requirements.lock").write_bytes(Path(lock.path).read_bytes())
            _write_stamp(directory, _keep_locked_files(packages, directory), packages)
        return directory

    def _download(
        self,
        lock: EngineLock,
        missing: Sequence[LockedPackage],
        directory: Path,
        packages: Sequence[LockedPackage],
        progress: Progress,
    ) -> None:
        done = len(packages) - len(missing)
        progress(done, len(packages), _bytes_in(directory))
        pool = ThreadPoolExecutor(self._workers)
        try:
            running = {
                pool.submit(_download_slice, lock, part, directory, self._interruption): part
                for part in _slices(missing, lock.name)
            }
            for finished in as_completed(running):
                finished.result()
                done += len(running[finished])
                progress(done, len(packages), _bytes_in(directory))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _link_known_files(self, packages: Sequence[LockedPackage], directory: Path) -> None:
        wanted = {digest for package in packages for digest in package.sha256}
        for stamp in self._root.glob(f"*/{_STAMP}"):
            for name, (digest, _) in read_stamp(stamp).items():
                target = directory / name
                if digest in wanted and not target.exists() and (stamp.parent / name).exists():
                    os.link(stamp.parent / name, target)


def read_stamp(path: Path) -> dict[str, tuple[str, int]]:
    """Return file name -> sha256 and size as the stamp at `path` says; nothing without one or with a damaged one."""
    try:
        entries = parse_mapping(read_regular(path), INDEX)
        return {
            name: (text_of(digest, "a digest"), whole(size, "a size"))
            for name, (digest, size) in entries.items()
            if is_safe_path(name)
        }
    except (OSError, ValueError, TypeError):
        return {}


def _slices(packages: Sequence[LockedPackage], engine: str) -> Iterator[list[LockedPackage]]:
    """Yield the work of one pip each. The largest packages come first and alone, because they take longest."""
    largest = (engine, "torch", "triton", "nvidia-")
    large = [p for p in packages if p.name.startswith(largest)]
    rest = [p for p in packages if p not in large]
    yield from ([package] for package in large)
    yield from (rest[start : start + _SLICE] for start in range(0, len(rest), _SLICE))


def _download_slice(
    lock: EngineLock,
    packages: Sequence[LockedPackage],
    directory: Path,
    interruption: Interruption,
) -> None:
    # Three equal signs: `==2.13.0` would also accept a local build `2.13.0+cpu` that lies nearer.
    text = format_requirements(packages).replace("==", "===")
    problem = _run_pip(lock, text, directory, interruption)
    if not problem:
        return
    if len(packages) > 1:
        for package in packages:
            _download_slice(lock, [package], directory, interruption)
        return
    # An index that only uv knows by name: let uv say where the file is.
    package = packages[0]
    try:
        places = engine_packages.locate(package.pin, lock.accelerator, lock.python)
    except SourceError:
        places = ()
    for place in places:
        hashes = " ".join(f"--hash=sha256:{digest}" for digest in package.sha256)
        line = f"{package.name} @ {place} {hashes}\n"
        if not _run_pip(lock, line, directory, interruption):
            return
    kind = IntegrityError if "DO NOT MATCH" in problem else SourceError
    raise kind(
        f"pip could not download {package.pin}: {_last_error(problem)}",
        hint="run the command again; what was downloaded is kept",
    )


def _run_pip(
    lock: EngineLock, requirements: str, directory: Path, interruption: Interruption
) -> str:
    """Run one `pip download`; return its complaint, empty on success."""
    # fmt: off
    command = [
        *engine_packages.memory_bound(),
        sys.executable, "-P", "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
        "--no-cache-dir", "--no-deps", "--require-hashes", "--only-binary", ":all:",
        "--implementation", "cp", "--python-version", lock.python,
        *(word for platform in _PLATFORMS for word in ("--platform", platform)),
        # Not a file, which a killed command would leave behind.
        "--dest", str(directory), "--requirement", "/dev/stdin",
    ]
    # fmt: on
    pip = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with pip, _killed_at_last(pip), interruption.ending(pip.kill):
        _, words = pip.communicate(requirements)
    interruption.check()
    return "" if pip.returncode == 0 else (words or f"pip ended with {pip.returncode}")


@contextmanager
def _killed_at_last(process: subprocess.Popen[str]) -> Iterator[None]:
    try:
        yield
    finally:
        process.kill()


def _last_error(output: str) -> str:
    errors = [line for line in output.splitlines() if line.startswith("ERROR: ")]
    return (errors or output.strip().splitlines() or ["no reason given"])[-1].removeprefix(
        "ERROR: "
    )


def _keep_locked_files(packages: Sequence[LockedPackage], directory: Path) -> dict[str, Path]:
    """Return digest -> file for the locked files in `directory`; others there are removed."""
    wanted = {digest for package in packages for digest in package.sha256}
    present: dict[str, Path] = {}
    for path in sorted(directory.glob("*.whl")):
        digest = _digest_of(path)
        if digest in wanted:
            present[digest] = path
        else:
            path.unlink()
    return present


def _digest_of(path: Path) -> str:
    """Return the file's sha256; empty where no disk gives it."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _write_stamp(
    directory: Path, present: dict[str, Path], packages: Sequence[LockedPackage]
) -> None:
    lacking = [p.pin for p in packages if not set(p.sha256) & present.keys()]
    if lacking:
        raise IntegrityError(
            f"after the download these are not what the lock names: {', '.join(lacking)}",
            hint="run the command again",
        )
    stamp = {path.name: (digest, path.stat().st_size) for digest, path in present.items()}
    fresh = directory / f"{_STAMP}.new"
    fresh.write_text(json.dumps(stamp, indent=1, sort_keys=True))
    fresh.replace(directory / _STAMP)


def _bytes_in(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.glob("*.whl"))


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold `path` as a lock: a second call waits and then finds the work done."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
