"""Read `config.json` and the headers of a model's files from a directory or a Hub, without the weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from toolkit.adapters.hub.port import Hub
from toolkit.domain.fit import ModelFiles
from toolkit.domain.snapshot import FileDigest, Snapshot
from toolkit.domain.tensors import Tensor, header_length, parse_header
from toolkit.errors import SourceError

CONFIG = "config.json"
# A header is small: nearly all the time goes into waiting for the server.
_THREADS = 8


def read_directory(directory: Path, snapshot: Snapshot) -> ModelFiles:
    """Return the model whose files lie in `directory`; raises SourceError where they are missing or damaged."""

    def tensors(path: str) -> tuple[Tensor, ...]:
        with (directory / path).open("rb") as file:
            return parse_header(file.read(header_length(file.read(8))))

    try:
        config = (directory / CONFIG).read_bytes()
        return _model(config, snapshot, tensors)
    except OSError as error:
        raise SourceError(
            f"{error.filename} cannot be read: {error.strerror}", hint="toolkit pull MODEL"
        ) from error
    except ValueError as error:
        raise SourceError(
            f"{directory} holds no model that can be read: {error}", hint="toolkit verify"
        ) from error


def read_hub(hub: Hub, repo: str, snapshot: Snapshot) -> ModelFiles:
    """Return the model of `repo` at the snapshot's revision; fetches its `config.json` and headers alone.

    Raises SourceError as `Hub` does, and where `config.json` cannot be read.
    """
    revision = snapshot.revision
    config = hub.read_small(repo, revision, CONFIG)
    try:
        return _model(config, snapshot, lambda path: hub.tensors(repo, revision, path))
    except ValueError as error:
        raise SourceError(
            f"{CONFIG} of {repo} cannot be read: {error}",
            hint="choose another revision: toolkit registry pin MODEL",
        ) from error


def _model(
    config: bytes, snapshot: Snapshot, tensors: Callable[[str], tuple[Tensor, ...]]
) -> ModelFiles:
    files = _weights(snapshot)
    with ThreadPoolExecutor(max_workers=_THREADS) as threads:
        found = list(threads.map(lambda file: _tensors(file, tensors), files))
    # An engine loads a tensor once, even if two files have it.
    named = {tensor.name: tensor for each in found for tensor in each}
    return ModelFiles(_mapping(config), tuple(named.values()))


def _weights(snapshot: Snapshot) -> Sequence[FileDigest]:
    """Return the weights that engines load: the safetensors files at the top, else those of other formats."""
    top = [file for file in snapshot.files if "/" not in file.path]
    headed = [file for file in top if file.path.endswith(".safetensors")]
    return headed or [file for file in top if file.path.endswith((".bin", ".pt", ".gguf"))]


def _tensors(file: FileDigest, read: Callable[[str], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    if file.path.endswith(".safetensors"):
        return read(file.path)
    return (Tensor(file.path, "", (file.size,), file.size),)


def _mapping(text: bytes) -> Mapping[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError(f"{CONFIG} is no mapping")
    return found
