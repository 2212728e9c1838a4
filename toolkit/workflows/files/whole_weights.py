"""Refuse a snapshot whose weights are not whole, before and after its large files arrive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from toolkit.adapters.sources.model_files import directory_fault, parts_fault
from toolkit.domain.files.snapshot import FileDigest, Snapshot
from toolkit.domain.files.tensors import may_be_pointer
from toolkit.domain.files.weight_files import PICKLE_INDEX, SAFETENSORS_INDEX
from toolkit.domain.registry.model import Version
from toolkit.errors import SourceError
from toolkit.planning.release.file_choice import unreliable


def tells_of_weights(file: FileDigest) -> bool:
    """Whether `file` tells, before the large files are fetched, that some of them are not there."""
    return may_be_pointer(file.size) or file.path in (SAFETENSORS_INDEX, PICKLE_INDEX)


def require_parts(version: Version, snapshot: Snapshot, directory: Path) -> None:
    """Raise SourceError where the small files in `directory` say that weights are not there; see `parts_fault`."""
    _require(version, snapshot, directory, parts_fault)


def require_weights(version: Version, snapshot: Snapshot, directory: Path) -> None:
    """Raise SourceError where the snapshot's files in `directory` hold no weights to rely on."""
    _require(version, snapshot, directory, directory_fault)


def _require(
    version: Version,
    snapshot: Snapshot,
    directory: Path,
    look: Callable[[Path, Sequence[str]], str],
) -> None:
    try:
        fault = look(directory, [file.path for file in snapshot.files])
    except OSError as error:
        raise SourceError(
            f"{error.filename} cannot be read: {error.strerror}",
            hint="toolkit verify --repair, then the same command again",
        ) from error
    if fault:
        raise unreliable(version.title, fault)
