"""The files of a repository to pin, and why the others are left out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from toolkit.domain.model import Permission

WEIGHTS = "safetensors"
OTHER_FORMATS = ("bin", "pt", "pth", "ckpt", "pkl", "msgpack", "h5", "gguf", "onnx")
_ALIASES = {"pickle": "pkl", "onnx_data": "onnx"}
_DATA = (
    "json",
    "txt",
    "model",
    "jinja",
    "tiktoken",
    "jsonl",
    "yaml",
    "yml",
    "spm",
    "vocab",
    "merges",
)
_TEXTS = re.compile(
    r"(LICEN[CS]E|NOTICE|README|USE_POLICY|COPYING|AUTHORS)([._-].*)?\Z", re.IGNORECASE
)
# Llama's and Mistral's own formats, beside the same weights in the format that engines load.
_DUPLICATES = re.compile(
    r"(original/.*|consolidated([.-].*)?\.safetensors|consolidated.*\.index\.json)\Z"
)


@dataclass(frozen=True, slots=True)
class FileChoice:
    """Paths that are kept, paths left out with their reason, and why nothing can be kept at all."""

    kept: tuple[str, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    refusal: str = ""
    hint: str = ""


def choose_files(paths: Iterable[str], permission: Permission) -> FileChoice:
    """Return which of a repository's `paths` a snapshot holds.

    Weights are safetensors; other formats and Python code need the version's permission, because
    loading them can run code. A second copy of the weights in a vendor's own layout is left out.
    """
    listed = sorted(set(paths))
    sharded = any(_is_engine_weights(path) for path in listed)
    reasons = {path: _reason(path, permission, sharded) for path in listed}
    kept = tuple(path for path in listed if not reasons[path])
    left_out = {path: reason for path, reason in reasons.items() if reason}
    if any(_format(path) == WEIGHTS or _format(path) in permission.formats for path in kept):
        return FileChoice(kept, left_out)
    others = sorted({_format(path) for path in listed} & set(OTHER_FORMATS))
    if others:
        return FileChoice(
            (),
            left_out,
            f"it has no safetensors weights, only {', '.join(others)}",
            "choose a revision with safetensors, or, after a review, write under the version: "
            f"`permission: {{formats: [{', '.join(others)}], reason: ...}}`",
        )
    return FileChoice((), left_out, "it has no weights", "check the repository and the revision")


def forbidden_reason(path: str, permission: Permission) -> str:
    """Return why policy denies a version the file `path`, or nothing where it does not."""
    kind = _format(path)
    if kind in OTHER_FORMATS and kind not in permission.formats:
        return f"format {kind} is not permitted: loading it can run code"
    if kind == "py" and not permission.trust_remote_code:
        return "code is not permitted"
    return ""


def _reason(path: str, permission: Permission, sharded: bool) -> str:
    """Return why `path` is left out, or nothing where it is kept."""
    name = PurePosixPath(path).name
    kind = _format(path)
    if any(part.startswith(".") for part in PurePosixPath(path).parts):
        return "hidden file"
    if sharded and _DUPLICATES.match(path):
        return "second copy of the weights in the vendor's own layout"
    if kind == WEIGHTS or kind in permission.formats or _TEXTS.match(name):
        return ""
    forbidden = forbidden_reason(path, permission)
    if forbidden or kind == "py":
        return forbidden
    if kind in _DATA or name.startswith("tokenizer.model."):
        index = next((other for other in permission.formats if f".{other}.index." in name), "")
        foreign = next((other for other in OTHER_FORMATS if f".{other}.index." in name), "")
        return (
            f"index of weights in format {foreign}, which are left out"
            if foreign and not index
            else ""
        )
    return "not needed to serve"


def _is_engine_weights(path: str) -> bool:
    """Whether `path` is weights at the top level in the layout that engines load."""
    return "/" not in path and _format(path) == WEIGHTS and not _DUPLICATES.match(path)


def _format(path: str) -> str:
    suffix = PurePosixPath(path).suffix.removeprefix(".").lower()
    return _ALIASES.get(suffix, suffix)
