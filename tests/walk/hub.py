"""A Hub with the repositories that the shipped registry names, at the commits that it pins; the weights are tiny.

The files say to the stub of an engine what it answers.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ruamel.yaml import YAML

from tests.walk.blocks import ROOT
from toolkit.adapters.fakes.hub import LARGE_SUFFIXES, commit_id
from toolkit.adapters.store.hashing import digest_file
from toolkit.adapters.store.manifest import StoredSnapshot
from toolkit.domain.files.snapshot import FileDigest, Snapshot

# The checks of the shipped registry want both.
ANSWER = "Paris, and 10."
CONFIG = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32768,
    "vocab_size": 64,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
}


class ShippedHub:
    """A `MirrorSource`; `push` adds a commit to a repository, as its owner does."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._commits: dict[str, list[StoredSnapshot]] = {}
        models = YAML(typ="safe").load(ROOT / "model_registry.yaml")["models"]
        for model in models.values():
            for version in model["versions"].values():
                entry = {**model, **version}
                self.push(entry["source"]["repo"], ANSWER, entry["licence"], entry["revision"])

    def push(
        self,
        repo: str,
        answer: str,
        licence: str = "apache-2.0",
        revision: str = "",
        behaviour: str = "good",
    ) -> str:
        """Make a commit the newest of `main`; a model of it does as `behaviour` says, and answers `answer`."""
        files = model_files(answer, behaviour)
        revision = revision or commit_id(repo, files)
        place = self._directory / repo / revision
        place.mkdir(parents=True)
        for name, content in files.items():
            (place / name).write_bytes(content)
        digests = tuple(_digest(place, name) for name in sorted(files))
        snapshot = StoredSnapshot(Snapshot(repo, revision, digests), licence, 1e9, place)
        self._commits.setdefault(repo, []).append(snapshot)
        return revision

    def revisions(self, repo: str) -> Sequence[StoredSnapshot]:
        return tuple(self._commits.get(repo, ()))

    def repositories(self) -> Sequence[str]:
        return tuple(self._commits)


def _digest(place: Path, name: str) -> FileDigest:
    found = digest_file(place / name, name)
    # A Hub knows large files by their sha256 alone.
    return replace(found, git_sha1="") if name.endswith(LARGE_SUFFIXES) else found


def model_files(answer: str, behaviour: str = "good") -> dict[str, bytes]:
    """Return the small files and the weights of a model whose stub does as `behaviour` says."""
    # With a mark of calls of tools, for which the engine has a parser: golden prompts of the documents have tools.
    template = "{% if tools %}<tool_call>{% endif %}{% for message in messages %}{{ message.content }}{% endfor %}"
    return {
        "config.json": json.dumps(CONFIG).encode(),
        "generation_config.json": b"{}",
        "tokenizer_config.json": json.dumps({"chat_template": template}).encode(),
        "tokenizer.json": b"{}",
        "behaviour.txt": f"{behaviour}\n{answer}\n".encode(),
        "model.safetensors": _weights(),
    }


def _weights() -> bytes:
    """Return one tensor in the format of safetensors: a whole file, and next to nothing to compute with."""
    size = 64 * 64 * 2
    tensor = {"dtype": "BF16", "shape": [64, 64], "data_offsets": [0, size]}
    header = json.dumps({"model.embed_tokens.weight": tensor}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(size)
