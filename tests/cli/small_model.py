"""A model that is small enough to be written by a test, and whose need of memory is known."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toolkit.adapters.store.hashing import digest_file
from toolkit.config.registry.lock_file import Lock, lock_path, write_lock
from toolkit.domain.files.snapshot import Snapshot, content_revision

CONFIG = {
    "model_type": "qwen3", "hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4,
    "num_hidden_layers": 2, "num_key_value_heads": 2, "head_dim": 32, "vocab_size": 384,
    "max_position_embeddings": 1024, "dtype": "bfloat16",
}  # fmt: skip


def write_model(directory: Path, config: Mapping[str, Any] = CONFIG) -> Snapshot:
    """Write the model into a directory and return its pinned files, for a model `tiny` of the registry."""
    directory.mkdir()
    (directory / "config.json").write_text(json.dumps(config))
    entry = {"w": {"dtype": "BF16", "shape": [1000], "data_offsets": [0, 2000]}}
    header = json.dumps(entry).encode()
    weights = struct.pack("<Q", len(header)) + header + bytes(2000)
    (directory / "model.safetensors").write_bytes(weights)
    files = tuple(digest_file(each, each.name) for each in sorted(directory.iterdir()))
    return Snapshot("local/tiny", content_revision(files), files)


def write_registry(path: Path, text: str, pinned: Snapshot) -> None:
    """Write a registry that names `{revision}`, and its lock."""
    path.write_text(text.format(revision=pinned.revision))
    write_lock(Lock(lock_path(path), {(pinned.source, pinned.revision): pinned}))
