"""The files of a repository to pin, and why the others are left out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from toolkit.domain.bounds import KEPT
from toolkit.domain.files.snapshot import case_fault, path_fault
from toolkit.domain.files.weight_files import SAFETENSORS_INDEX, set_fault, weights_of
from toolkit.domain.outside import shown
from toolkit.domain.registry.model import Permission
from toolkit.errors import RefusedError, SourceError

WEIGHTS = "safetensors"
OTHER_FORMATS = ("bin", "pt", "pth", "ckpt", "pkl", "msgpack", "h5", "gguf", "onnx")
_CHECK = "check the repository and the revision"
_ANOTHER = "choose another revision: toolkit registry pin MODEL REVISION"
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
    """Return the choice of a repository's `paths` for a snapshot.

    Weights are safetensors; other formats and Python code need the version's permission, because
    loading them can run code. A second copy of the weights in a vendor's own layout is left out.
    """
    listed = sorted(set(paths))
    sharded = any(_is_engine_weights(path) for path in listed)
    reasons = {path: _reason(path, permission, sharded) for path in listed}
    kept = tuple(path for path in listed if not reasons[path])
    left_out = {path: reason for path, reason in reasons.items() if reason}
    if any(_is_read(path, permission) for path in kept):
        return FileChoice(kept, left_out)
    unread = next((path for path in kept if _format(path) == WEIGHTS), "")
    if unread:
        where = "weights lie at the top, and end with .safetensors"
        return FileChoice((), left_out, f"no engine reads {shown(unread)}: {where}", _CHECK)
    others = sorted({_format(path) for path in listed} & set(OTHER_FORMATS))
    if others:
        return FileChoice(
            (),
            left_out,
            f"it has no safetensors weights, only {', '.join(others)}",
            "choose a revision with safetensors, or, after a review, write under the version: "
            f"`permission: {{formats: [{', '.join(others)}], reason: ...}}`",
        )
    return FileChoice((), left_out, "it has no weights", _CHECK)


def settle(source: str, choice: FileChoice, index: bytes | None) -> FileChoice:
    """Return the final choice for a snapshot of `source`: `choice`, with exactly the weights of the index.

    `index` is the text of `index_of(choice.kept)`, if there is one. Raises RefusedError where nothing can be kept, and
    SourceError, by name, where a file cannot be stored or the weights are not whole.
    """
    if choice.refusal:
        raise RefusedError(f"{source} is refused: {choice.refusal}", hint=choice.hint)
    _check_paths(source, choice.kept)
    if fault := set_fault(choice.kept, index):
        raise unreliable(source, fault)
    if index is None:
        return choice
    right = set(weights_of(choice.kept, index))
    stray = [path for path in weights_of(choice.kept) if path not in right]
    return replace(
        choice,
        kept=tuple(path for path in choice.kept if path not in stray),
        left_out={
            **choice.left_out,
            **dict.fromkeys(stray, f"weights that {SAFETENSORS_INDEX} does not name"),
        },
    )


def unreliable(source: str, fault: str) -> SourceError:
    """Return the error of a source whose weights are not whole, contradict each other or are none."""
    return SourceError(f"{source} has no weights to rely on: {fault}", hint=_ANOTHER)


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


def is_text(path: str) -> bool:
    """Whether `path` is a licence, a notice or a card."""
    return _TEXTS.match(PurePosixPath(path).name) is not None


def _is_read(path: str, permission: Permission) -> bool:
    """Whether `path` is weights that an engine reads, in whatever layout."""
    right = path.endswith(f".{WEIGHTS}") or _format(path) in permission.formats
    return "/" not in path and right


def _is_engine_weights(path: str) -> bool:
    """Whether `path` is weights at the top level in the layout that engines load."""
    return "/" not in path and _format(path) == WEIGHTS and not _DUPLICATES.match(path)


def _format(path: str) -> str:
    suffix = PurePosixPath(path).suffix.removeprefix(".").lower()
    return _ALIASES.get(suffix, suffix)


def _check_paths(source: str, paths: Sequence[str]) -> None:
    if len(paths) > KEPT:
        raise SourceError(
            f"{source} has {len(paths)} files to keep; a snapshot has at most {KEPT}", hint=_ANOTHER
        )
    path, why = path_fault(paths)
    if path or why:
        raise SourceError(
            f"{source} names the file {shown(path)}, which no snapshot may hold: {why}",
            hint=_ANOTHER,
        )
    one, other = case_fault(paths)
    if one:
        raise SourceError(
            f"{source} names {shown(one)} and {shown(other)}, which are one name on some file systems",
            hint=_ANOTHER,
        )
