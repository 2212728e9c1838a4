"""Read `config.json` and the headers of a model's files from a directory or a Hub, without the weights."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from toolkit.adapters.hub.port import Hub
from toolkit.adapters.store.files import size_of
from toolkit.domain.bounds import CONFIG as CONFIG_BYTES
from toolkit.domain.bounds import INDEX, MODEL_TENSORS, POINTER
from toolkit.domain.engines.fit import ModelFiles
from toolkit.domain.files.snapshot import Snapshot
from toolkit.domain.files.tensors import (
    PREFIX,
    Tensor,
    Unlike,
    header_length,
    is_pointer,
    may_be_pointer,
    parse_header,
)
from toolkit.domain.files.weight_files import index_of, set_fault, tensor_fault, weights_of
from toolkit.domain.outside import parse_json
from toolkit.errors import IntegrityError, SourceError

CONFIG = "config.json"
# A header is small: nearly all the time goes into waiting for the server.
_THREADS = 8


def read_directory(directory: Path, snapshot: Snapshot, *, hint: str = "") -> ModelFiles:
    """Return the model whose files lie in `directory`.

    Raises SourceError, with `hint`, where they are missing or damaged.
    """
    try:
        return _model(
            lambda path: _start(directory / path, INDEX + 1),
            snapshot,
            lambda path, _: read_tensors(directory / path),
        )
    except OSError as error:
        raise SourceError(
            f"{error.filename} cannot be read: {error.strerror}", hint=hint
        ) from error
    except ValueError as error:
        raise SourceError(
            f"{directory} holds no model that can be read: {error}", hint=hint
        ) from error


def read_tensors(path: Path) -> tuple[Tensor, ...]:
    """Return the tensors of the safetensors file at `path`; raises OSError, or ValueError with the file's name."""
    with path.open("rb") as file:
        try:
            size = os.fstat(file.fileno()).st_size
            return parse_header(file.read(header_length(file.read(PREFIX), size)), size)
        except ValueError as error:
            raise ValueError(f"{path.name} is no safetensors file: {error}") from error


def read_hub(hub: Hub, repo: str, snapshot: Snapshot) -> ModelFiles:
    """Return the model of `repo` at the snapshot's revision; fetches its `config.json` and headers alone.

    Raises SourceError as `Hub` does, and where `config.json` cannot be read; IntegrityError where a file that is read
    whole is not the pinned one: its plan would be that of another model.
    """
    revision = snapshot.revision
    pinned = {file.path: file.sha256 for file in snapshot.files}

    def read(path: str) -> bytes:
        data = hub.read_small(repo, revision, path)
        if pinned[path] and hashlib.sha256(data).hexdigest() != pinned[path]:
            raise IntegrityError(
                f"{path} of {repo} is not the file that was pinned at {revision[:12]}",
                hint="a commit never changes: the server or its mirror is not to be trusted; "
                "name another one: export HF_ENDPOINT=URL",
            )
        return data

    try:
        return _model(
            read,
            snapshot,
            lambda path, size: hub.tensors(repo, revision, path, size),
        )
    except ValueError as error:
        raise SourceError(
            f"{repo} holds no model that can be read: {error}",
            hint="choose another revision: toolkit registry pin MODEL",
        ) from error


def directory_fault(root: Path, paths: Sequence[str]) -> str:
    """Return why the files `paths` below `root` hold no weights to rely on; empty where they do.

    A pointer of Git LFS in place of a file, a missing part, a tensor in two files. Raises OSError.
    """
    if fault := parts_fault(root, paths):
        return fault
    try:
        return weights_fault(
            paths,
            lambda path: _start(root / path, INDEX + 1),
            lambda path: read_tensors(root / path),
        )
    except ValueError as error:
        return str(error)


def parts_fault(root: Path, paths: Sequence[str]) -> str:
    """Return, in words, the weights that the index and the small files below `root` miss; empty where all are there.

    The large files need not be there yet. Raises OSError.
    """
    for path in paths:
        if may_be_pointer(size_of(root / path)) and is_pointer(_start(root / path, POINTER)):
            return f"{path} is a pointer of Git LFS, not the file itself"
    index = index_of(paths)
    return set_fault(paths, _start(root / index, INDEX + 1) if index else None)


def weights_fault(
    paths: Sequence[str], read: Callable[[str], bytes], tensors: Callable[[str], tuple[Tensor, ...]]
) -> str:
    """Return, in words, the weights among `paths` that are missing or contradict each other; empty without any.

    `read` returns a file's bytes, `tensors` the tensors of a safetensors file; raises what they raise. Of a single file
    of weights without an index the engine tells itself that it does not begin like one of safetensors.
    """
    index = index_of(paths)
    text = read(index) if index else None
    if fault := set_fault(paths, text):
        return fault
    files = weights_of(paths, text)
    if len(files) == 1 and text is None:
        return _single_fault(files[0], tensors)
    return tensor_fault(_all_tensors(files, tensors), text)


def _single_fault(path: str, tensors: Callable[[str], tuple[Tensor, ...]]) -> str:
    try:
        found = tensors(path)
    except (ValueError, SourceError) as error:
        if not isinstance(error.__cause__, ValueError):
            raise
        return "" if isinstance(error.__cause__, Unlike) else f"{path}: {error.__cause__}"
    return tensor_fault({path: found})


def _model(
    read: Callable[[str], bytes],
    snapshot: Snapshot,
    tensors: Callable[[str, int], tuple[Tensor, ...]],
) -> ModelFiles:
    """Return the model; raises ValueError where its files hold none, or contradict each other.

    Raises SourceError where it has no configuration, as repositories in Mistral's own form.
    """
    if all(file.path != CONFIG for file in snapshot.files):
        raise SourceError(
            f"{snapshot.source} has no {CONFIG}, from which weights and cache are computed",
            hint="toolkit deploy MODEL --dry-run plans without them",
        )
    config = _config(read(CONFIG))
    sizes = {file.path: file.size for file in snapshot.files}
    index = index_of(sizes)
    text = read(index) if index else None
    if fault := set_fault(sizes, text):
        raise ValueError(fault)
    files = weights_of(sizes, text)
    found = _all_tensors(files, lambda path: tensors(path, sizes[path]))
    if fault := tensor_fault(found, text):
        raise ValueError(fault)
    named = [tensor for each in found.values() for tensor in each]
    return ModelFiles(config, tuple(named if files else _other_formats(snapshot)))


def _all_tensors(
    files: Sequence[str], tensors: Callable[[str], tuple[Tensor, ...]]
) -> dict[str, tuple[Tensor, ...]]:
    """Return the tensors of each file; raises ValueError where they are more than a model has."""
    threads, found, total = ThreadPoolExecutor(max_workers=_THREADS), {}, 0
    try:
        for file, each in zip(files, threads.map(tensors, files), strict=True):
            found[file], total = each, total + len(each)
            if total > MODEL_TENSORS:
                raise ValueError(f"its files have more than {MODEL_TENSORS} tensors")
        return found
    finally:
        threads.shutdown(cancel_futures=True)


def _other_formats(snapshot: Snapshot) -> Iterator[Tensor]:
    """Yield a tensor of the file's size for each file of weights in another format."""
    for file in snapshot.files:
        if "/" not in file.path and file.path.endswith((".bin", ".pt", ".gguf")):
            yield Tensor(file.path, "", (file.size,), file.size)


def _start(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        return file.read(size)


def _config(text: bytes) -> Mapping[str, Any]:
    try:
        found = parse_json(text, CONFIG_BYTES)
    except ValueError as error:
        raise ValueError(f"{CONFIG}: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{CONFIG} is no mapping")
    return found
