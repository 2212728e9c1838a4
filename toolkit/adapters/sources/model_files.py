"""Read `config.json` and the headers of a model's files from a directory or a Hub, without the weights."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from toolkit.adapters.hub.port import Hub
from toolkit.domain.bounds import CONFIG as CONFIG_BYTES
from toolkit.domain.fit import ModelFiles
from toolkit.domain.outside import parse_json
from toolkit.domain.snapshot import FileDigest, Snapshot
from toolkit.domain.tensors import PREFIX, Tensor, header_length, parse_header
from toolkit.errors import SourceError

CONFIG = "config.json"
# A header is small: nearly all the time goes into waiting for the server.
_THREADS = 8


def read_directory(directory: Path, snapshot: Snapshot) -> ModelFiles:
    """Return the model whose files lie in `directory`; raises SourceError where they are missing or damaged."""

    def tensors(file: FileDigest) -> tuple[Tensor, ...]:
        return read_tensors(directory / file.path)

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


def read_tensors(path: Path) -> tuple[Tensor, ...]:
    """Return the tensors of the safetensors file at `path`; raises OSError, or ValueError with the file's name."""
    with path.open("rb") as file:
        try:
            size = os.fstat(file.fileno()).st_size
            return parse_header(file.read(header_length(file.read(PREFIX))), size)
        except ValueError as error:
            raise ValueError(f"{path.name} is no safetensors file: {error}") from error


def read_hub(hub: Hub, repo: str, snapshot: Snapshot) -> ModelFiles:
    """Return the model of `repo` at the snapshot's revision; fetches its `config.json` and headers alone.

    Raises SourceError as `Hub` does, and where `config.json` cannot be read.
    """
    revision = snapshot.revision
    config = hub.read_small(repo, revision, CONFIG)
    try:
        return _model(
            config, snapshot, lambda file: hub.tensors(repo, revision, file.path, file.size)
        )
    except ValueError as error:
        raise SourceError(
            f"{CONFIG} of {repo} cannot be read: {error}",
            hint="choose another revision: toolkit registry pin MODEL",
        ) from error


def _model(
    config: bytes, snapshot: Snapshot, tensors: Callable[[FileDigest], tuple[Tensor, ...]]
) -> ModelFiles:
    files = _weights(snapshot)
    with ThreadPoolExecutor(max_workers=_THREADS) as threads:
        found = list(threads.map(lambda file: _tensors(file, tensors), files))
    # An engine loads a tensor once, even if two files have it.
    named = {tensor.name: tensor for each in found for tensor in each}
    return ModelFiles(_config(config), tuple(named.values()))


def _weights(snapshot: Snapshot) -> Sequence[FileDigest]:
    """Return the weights that engines load: the safetensors files at the top, else those of other formats."""
    top = [file for file in snapshot.files if "/" not in file.path]
    headed = [file for file in top if file.path.endswith(".safetensors")]
    return headed or [file for file in top if file.path.endswith((".bin", ".pt", ".gguf"))]


def _tensors(
    file: FileDigest, read: Callable[[FileDigest], tuple[Tensor, ...]]
) -> tuple[Tensor, ...]:
    if file.path.endswith(".safetensors"):
        return read(file)
    return (Tensor(file.path, "", (file.size,), file.size),)


def _config(text: bytes) -> Mapping[str, Any]:
    try:
        found = parse_json(text, CONFIG_BYTES)
    except ValueError as error:
        raise ValueError(f"{CONFIG}: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{CONFIG} is no mapping")
    return found
