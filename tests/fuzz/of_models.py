"""What the Hub and a model's files say: headers of weights, configurations, listings, headers of answers."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx2

from tests.fuzz.parser import A, B, packed
from tests.planning import fit_models
from toolkit.adapters.hub.transfer import _continues_at
from toolkit.adapters.hub.translate import retry_after
from toolkit.adapters.sources.model_files import _config
from toolkit.config.registry.lock_file import Lock, lock_text
from toolkit.domain.accelerator import Accelerator
from toolkit.domain.engines.fit import ModelFiles
from toolkit.domain.files.capabilities import ModelFacts
from toolkit.domain.files.snapshot import FileDigest, Snapshot
from toolkit.domain.files.tensors import PREFIX, header_length, parse_header
from toolkit.planning.engines.port import EngineOptions
from toolkit.planning.fit.predict import FitPlace, predict
from toolkit.planning.release.model_facts import read_facts
from toolkit.planning.upkeep.difference import compare, compared_files, file_changes

SHA1 = "c" * 40


def weights(data: bytes) -> Any:
    end = PREFIX + header_length(data)
    return [asdict(each) for each in parse_header(data[PREFIX:end], len(data))]


def safetensors(entries: dict[str, Any], size: int) -> bytes:
    header = packed(entries)
    return struct.pack("<Q", len(header)) + header + bytes(size)


LOCK = Path("x.lock.json")


def told(data: bytes) -> Any:
    """Read the same bytes as each small file of a model; a lock with what they say can be read again."""
    paths = ("config.json", "tokenizer_config.json", "modules.json", "chat_template.jinja")
    found = read_facts(paths, dict.fromkeys(paths, data))
    pinned = Snapshot("a/b", SHA1, (FileDigest("config.json", 1, A),), found)
    written = lock_text(Lock(LOCK, {}).plus(pinned))
    assert all(line.isprintable() for line in written.split("\n")), "a lock that no command reads"
    return ModelFacts.from_json(found.as_json()).as_json()


def differing(data: bytes) -> Any:
    """Read the same bytes as each settings file of a new version."""
    paths = ("config.json", "1_Pooling/config.json", "modules.json", "chat_template.jinja")
    before, after = (
        Snapshot("a/b", SHA1, tuple(FileDigest(path, size, digest) for path in paths))
        for size, digest in ((9, A), (len(data), B))
    )
    texts = (
        dict.fromkeys(paths, packed(TOKENIZER)),
        dict.fromkeys(compared_files(after, before), data),
    )
    found = compare(before, after, texts)
    assert all(line.isprintable() for line in found.lines), "a line that is two"
    return [found.as_json(), found.lines, [asdict(each) for each in file_changes(found)]]


def predicted(data: bytes) -> Any:
    files = ModelFiles(_config(data), ())
    place = FitPlace(Accelerator.CUDA, 80 * 10**9)
    for options in (EngineOptions(), EngineOptions(tensor_parallel=2, pipeline_parallel=2)):
        found = asdict(predict(files, options, place))
        for each in texts(found):
            assert each.isprintable(), f"words that order a terminal about: {each!r}"
    return found


def texts(value: Any) -> Iterator[str]:
    """Yield the texts in a value, at any depth."""
    if isinstance(value, str):
        yield value
    for each in (
        value.values()
        if isinstance(value, dict)
        else value
        if isinstance(value, list | tuple)
        else ()
    ):
        yield from texts(each)


HEADER = {
    "__metadata__": {"format": "pt"},
    "w": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]},
    "model.layers.0.a": {"dtype": "F32", "shape": [], "data_offsets": [12, 16]},
}
CONFIGS = tuple(
    packed(value)
    for name, value in sorted(vars(fit_models).items())
    if name.isupper() and isinstance(value, dict) and "model_type" in value
)
TEMPLATE = b"{% if tools %}<tool_call>{% endif %}{% if add_generation_prompt %}<think>{% endif %}"
TOKENIZER = {"chat_template": [{"name": "tool_use", "template": TEMPLATE.decode()}]}
MODULES = [{"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]
INFO = {
    "id": "acme/tiny", "sha": SHA1, "gated": "manual", "tags": ["license:mit", "x"],
    "cardData": {"license": ["other", "mit"], "license_name": "qwen"},
}  # fmt: skip
LISTING = [
    {"type": "directory", "path": "d", "size": 0, "oid": SHA1},
    {"type": "file", "path": "d/a.json", "size": 3, "oid": SHA1},
    {"type": "file", "path": "m.safetensors", "size": 9, "oid": SHA1, "lfs": {"oid": A, "size": 99}},
]  # fmt: skip
INDEX = {
    "metadata": {"total_size": 16},
    "weight_map": {"a": "m-1.safetensors", "b": "m-2.safetensors"},
}


def headers(data: bytes) -> Any:
    names = (b"Content-Range", b"Retry-After", b"RateLimit", b"RateLimit-Policy", b"Link")
    answer = httpx2.Response(206, headers=[(name, data) for name in names])
    return [
        retry_after(answer),
        _continues_at(answer, 100),
        answer.links.get("next", {}).get("url"),
    ]


COMMITS = [{"id": SHA1, "title": "x", "date": "2026-11-01T10:00:00.000Z"}]
HEADERS = (
    b"bytes 100-199/200", b"120", b'"api";r=0;t=55', b'"fixed window";"api";q=500;w=300',
    b'<https://hub.example/api/models/a/b/tree/main?cursor=2>; rel="next"',
)  # fmt: skip
