"""Read the parts of a repository that a pin needs: its small files, and the headers of its weights."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from toolkit.adapters.hub.port import Hub, HubFile
from toolkit.adapters.sources.model_files import CONFIG, weights_fault
from toolkit.domain.bounds import CONFIG as CONFIG_BYTES
from toolkit.domain.files.snapshot import FileDigest
from toolkit.domain.files.tensors import Tensor, is_pointer, may_be_pointer
from toolkit.domain.files.weight_files import PICKLE_INDEX, SAFETENSORS_INDEX
from toolkit.domain.outside import parse_mapping
from toolkit.errors import IntegrityError, SourceError
from toolkit.planning.release.file_choice import unreliable

# Nearly all the time of a small file goes into waiting, so many are asked for at once.
_READERS = 16
# Files that a pin reads more than once.
_READ_AGAIN = (CONFIG, SAFETENSORS_INDEX, PICKLE_INDEX)


class RepositoryReading:
    """Reads files of one commit, each compared with the digest that the listing has of it.

    `listed` maps the paths of the commit to their entries. `report` gets the name of each file that is read.
    """

    def __init__(
        self,
        hub: Hub,
        repo: str,
        revision: str,
        listed: Mapping[str, HubFile],
        report: Callable[[str], None],
    ) -> None:
        self._hub, self._repo, self._revision = hub, repo, revision
        self._listed, self._report = listed, report
        self._kept: dict[str, bytes] = {}

    def digests(self, paths: Sequence[str]) -> tuple[FileDigest, ...]:
        """Return size and digests of files; small ones are fetched, since the Hub names no sha256 for them.

        Raises IntegrityError where a file is not the commit's, SourceError for a pointer of Git LFS.
        """
        threads = ThreadPoolExecutor(max_workers=_READERS)
        try:
            return tuple(threads.map(self._digest, paths))
        finally:
            threads.shutdown(cancel_futures=True)

    def read(self, path: str) -> bytes:
        """Return a file's bytes; raises IntegrityError where they are not the commit's."""
        if path in self._kept:
            return self._kept[path]
        self._report(f"reading {path}")
        file = self._listed[path]
        with self._given(path):
            data = self._hub.read_small(self._repo, self._revision, path)
        if len(data) != file.size:
            raise self._other_file(path, f"{len(data)} bytes, expected {file.size}")
        kind, expected = ("sha256", file.sha256) if file.sha256 else ("git blob", file.git_sha1)
        found = hashlib.sha256(data).hexdigest() if file.sha256 else _blob(data)
        if found != expected:
            raise self._other_file(path, f"{kind} {found[:12]}, expected {expected[:12]}")
        if path in _READ_AGAIN:
            self._kept[path] = data
        return data

    def weights_fault(self, paths: Sequence[str]) -> str:
        """Return, in words, the weights among `paths` that are missing or contradict each other; empty without any."""

        def sized(path: str) -> int:
            return self._listed[path].size

        def tensors(path: str) -> tuple[Tensor, ...]:
            with self._given(path):
                return self._hub.tensors(self._repo, self._revision, path, sized(path))

        return weights_fault(paths, self.read, tensors)

    @contextmanager
    def _given(self, path: str) -> Iterator[None]:
        """Raise SourceError where the server lists a file and does not give it: to pin again leads here again."""
        try:
            yield
        except SourceError as error:
            if not error.gone:
                raise
            raise SourceError(
                f"{self._repo} lists {path} at {self._revision[:12]}, and the server does not give it",
                hint="the server contradicts itself: name another one: export HF_ENDPOINT=URL; "
                "or choose another revision: toolkit registry pin MODEL REVISION",
            ) from error

    def _other_file(self, path: str, found: str) -> IntegrityError:
        return IntegrityError(
            f"{path} of {self._repo} is not the file that its commit {self._revision[:12]} names ({found})",
            hint="try again; where it stays so, the mirror is damaged",
        )

    def _digest(self, path: str) -> FileDigest:
        file = self._listed[path]
        if file.sha256 and not may_be_pointer(file.size):
            return FileDigest(path, file.size, file.sha256, file.git_sha1)
        data = self.read(path)
        if is_pointer(data):
            raise unreliable(self._repo, f"{path} is a pointer of Git LFS, not the file itself")
        git_sha1 = "" if file.sha256 else _blob(data)
        return FileDigest(path, len(data), hashlib.sha256(data).hexdigest(), git_sha1)


def _blob(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def code_note(config: bytes) -> list[str]:
    """Return the remark about a `config.json` that names code of its repository, or is no JSON."""
    try:
        names_code = "auto_map" in parse_mapping(config, CONFIG_BYTES)
    except ValueError:
        return ["config.json is no JSON; the engine will not load it"]
    if not names_code:
        return []
    return ["config.json names code of the repository; without permission the engine uses its own"]
