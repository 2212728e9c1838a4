"""A directory on this machine as the source of a version: the files that a pin takes of it, hashed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from toolkit.adapters.sources.directory import directory_files, require_files, unreadable
from toolkit.adapters.sources.model_files import directory_fault
from toolkit.adapters.store.hashing import digest_file
from toolkit.domain.bounds import CONFIG, INDEX
from toolkit.domain.files.capabilities import ModelFacts
from toolkit.domain.files.snapshot import FileDigest
from toolkit.domain.files.weight_files import index_of
from toolkit.domain.registry.model import LocalSource, Version
from toolkit.errors import SourceError
from toolkit.planning.release.adapter_files import files_of
from toolkit.planning.release.file_choice import FileChoice, settle, unreliable
from toolkit.planning.release.model_facts import read_facts, telling_files


def hash_directory(
    version: Version, source: LocalSource, report: Callable[[str], None]
) -> tuple[FileChoice, tuple[FileDigest, ...], ModelFacts | None]:
    """Return the choice among the files of a directory, their digests, and what they say; None of an adapter.

    `report` gets the name of each file. Raises SourceError where they cannot be read or are no whole weights, and
    RefusedError where policy allows none.
    """
    root = Path(source.path)
    choice = files_of(version, directory_files(root))
    require_files(root, choice.kept)
    try:
        with _own_hint(root, version.model):
            index = index_of(choice.kept)
            text = start_of(root / index, INDEX) if index else None
            choice = settle(source.key, choice, text)
            if fault := directory_fault(root, choice.kept):
                raise unreliable(source.key, fault)
        files = []
        for path in choice.kept:
            report(f"hashing {path}")
            files.append(digest_file(root / path, path))
        texts = {path: start_of(root / path) for path in telling_files(choice.kept)}
    except OSError as error:
        raise unreadable(error) from None
    facts = None if version.adapter_of else read_facts(choice.kept, texts)
    return choice, tuple(files), facts


@contextmanager
def _own_hint(root: Path, model: str) -> Iterator[None]:
    """Give an error about the files a hint for a directory, which has no other revision."""
    try:
        yield
    except SourceError as error:
        error.hint = f"correct the files in {root}, then: toolkit registry pin {model}"
        raise


def start_of(path: Path, most: int = CONFIG) -> bytes:
    """Return the bytes of a file, at most one too many, so that a larger file is no JSON; raises OSError."""
    with path.open("rb") as file:
        return file.read(most + 1)
