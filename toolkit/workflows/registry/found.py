"""A revision as its source has it, and the words where it has that revision no more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from toolkit.domain.files.capabilities import ModelFacts
from toolkit.domain.files.snapshot import FileDigest
from toolkit.domain.registry.model import HubSource, Version
from toolkit.errors import SourceError
from toolkit.planning.release.file_choice import FileChoice


@dataclass(frozen=True, slots=True)
class Found:
    """The answer of a source: revision, licence if it names one, and the digests of a directory.

    `repo` is the repository's own name on the Hub, `facts` what the files of a directory say.
    """

    revision: str
    licence: str = ""
    gated: bool = False
    files: tuple[FileDigest, ...] = ()
    choice: FileChoice | None = None
    repo: str = ""
    notes: tuple[str, ...] = ()
    facts: ModelFacts | None = None


@contextmanager
def named_gone(version: Version, ref: str) -> Iterator[None]:
    """Raise an error about `ref`, where the source has it no more, that names another way than the same command."""
    try:
        yield
    except SourceError as error:
        if not error.gone:
            raise
        source, tracked = version.source, f"toolkit registry pin {version.model}"
        track = source.track if isinstance(source, HubSource) else ""
        gone = SourceError(
            f"{error.message}: it is gone upstream, or was never there",
            hint=f"name a branch, a tag or a commit that is there: {tracked} REF"
            if ref == track
            else f"pin what {track} is now: {tracked}",
        )
        gone.gone = gone.missing = True
        raise gone from error
