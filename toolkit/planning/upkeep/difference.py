"""The difference between two pinned versions of a model: files, fields of its settings, template, size, memory."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from toolkit.domain.bounds import CONFIG
from toolkit.domain.deployment.change import Change
from toolkit.domain.excerpt import excerpt, excerpts, plain
from toolkit.domain.files.snapshot import FileDigest, Snapshot
from toolkit.domain.outside import parse_json
from toolkit.domain.quantity import format_size

# Small files that decide how a model answers: a change of one is a change of its behaviour. Their fields are compared.
_SETTINGS = (
    "config.json",
    "generation_config.json",
    "tokenizer_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "video_preprocessor_config.json",
    "params.json",
    "modules.json",
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
)
# The parts that `modules.json` names have a configuration each: `1_Pooling/config.json`.
_MODULE = re.compile(r"[0-9]+_[A-Za-z0-9]+/config\.json\Z")
_TEMPLATE = re.compile(r"chat_template\.(jinja|json)\Z|additional_chat_templates/[^/]+\.jinja\Z")
_TOKENIZER = re.compile(
    r"(tokenizer\.json|tokenizer\.model(\..*)?|vocab\.(json|txt)|merges\.txt|special_tokens_map\.json|"
    r"added_tokens\.json|tekken\.json|spiece\.model|sentencepiece\.bpe\.model|[^/]+\.tiktoken)\Z"
)
# The template within `tokenizer_config.json`.
_TEMPLATE_FIELD = "chat_template"
_MOST_FIELDS, _NAME = 200, 200
_NAMED_FILES = 2
_SIDES = ("before", "after")


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file that differs; sizes in bytes, None on the side that lacks it."""

    path: str
    before: int | None
    after: int | None


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field of a settings file; values as short JSON, empty on the side that lacks it."""

    file: str
    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Difference:
    """The differences between two versions, `before` and `after`.

    `behaviour` names the files whose change alters answers, the template's home among them; `template` whether the chat
    template differs. Sizes are bytes of all files. `memory` is the least memory of one device for one longest request,
    in bytes, None where it is not known. `unread` names settings files of which one text is gone, or is none.
    """

    files: tuple[FileChange, ...]
    fields: tuple[FieldChange, ...]
    behaviour: tuple[str, ...]
    template: bool
    size: tuple[int, int]
    memory: tuple[int | None, int | None] = (None, None)
    unread: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """The difference in words, one line for each remark."""
        return tuple(_lines(self))

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "files": [asdict(each) for each in self.files],
            "fields": [asdict(each) for each in self.fields],
            "behaviour": list(self.behaviour),
            "template": self.template,
            "size_before": self.size[0],
            "size_after": self.size[1],
            "memory_before": self.memory[0],
            "memory_after": self.memory[1],
            "unread": list(self.unread),
        }


def compare(
    before: Snapshot,
    after: Snapshot,
    texts: tuple[Mapping[str, bytes], Mapping[str, bytes]] = ({}, {}),
    memory: tuple[int | None, int | None] = (None, None),
) -> Difference:
    """Return the difference of two snapshots; `texts` are the contents of their `compared_files`, by path."""
    files = tuple(_file_changes(before, after))
    changed = [each.path for each in files]
    fields, unread = [], []
    for path in filter(_is_setting, changed):
        try:
            fields += list(_field_changes(path, *(_flat(text.get(path)) for text in texts)))
        except ValueError:
            unread.append(path)
    inner = any(each.name.split(".")[0] == _TEMPLATE_FIELD for each in fields)
    return Difference(
        files,
        tuple(fields),
        tuple(filter(_alters_answers, changed)),
        inner or any(map(_TEMPLATE.match, changed)),
        (before.size, after.size),
        memory,
        tuple(unread),
    )


def compared_files(snapshot: Snapshot, other: Snapshot) -> tuple[str, ...]:
    """Return the small files of `snapshot` whose contents `compare` needs: `other` lacks them, or has other bytes."""
    theirs = {file.path: file.sha256 for file in other.files}
    return tuple(
        file.path
        for file in snapshot.files
        if (_is_setting(file.path) or _TEMPLATE.match(file.path))
        and theirs.get(file.path) != file.sha256
        and file.size <= CONFIG
    )


def _is_setting(path: str) -> bool:
    return path in _SETTINGS or _MODULE.match(path) is not None


def _alters_answers(path: str) -> bool:
    return _is_setting(path) or bool(_TEMPLATE.match(path) or _TOKENIZER.match(path))


def file_changes(found: Difference) -> tuple[Change, ...]:
    """Return the difference of two snapshots as lines of a plan: fields, small files, and the rest as one line."""
    return tuple(_changes(found))


def _changes(found: Difference) -> Iterator[Change]:
    for field in found.fields:
        yield Change(f"{field.file}: {field.name}", field.before, field.after)
    told = {field.file for field in found.fields}
    changed = {each.path: each for each in found.files}
    for path in (each for each in found.behaviour if each not in told):
        before, after = changed[path].before, changed[path].after
        other = ", other bytes" if before == after else ""
        yield Change(path, _size_words(before), _size_words(after) + other)
    rest = [each for each in found.files if each.path not in found.behaviour]
    if rest:
        names = ", ".join(each.path for each in rest[:_NAMED_FILES])
        more = f" and {len(rest) - _NAMED_FILES} more" if len(rest) > _NAMED_FILES else ""
        sizes = [_size_words(sum(getattr(each, side) or 0 for each in rest)) for side in _SIDES]
        yield Change("weights and other files", sizes[0], f"{sizes[1]} ({names}{more})")


def _size_words(size: int | None) -> str:
    return "" if size is None else format_size(size)


def _file_changes(before: Snapshot, after: Snapshot) -> Iterator[FileChange]:
    old = {file.path: file for file in before.files}
    new = {file.path: file for file in after.files}
    for path in sorted(old.keys() | new.keys()):
        if _digest(old.get(path)) != _digest(new.get(path)):
            yield FileChange(path, _size(old.get(path)), _size(new.get(path)))


def _digest(file: FileDigest | None) -> str:
    return file.sha256 if file else ""


def _size(file: FileDigest | None) -> int | None:
    return file.size if file else None


def _flat(text: bytes | None) -> dict[str, str]:
    """Return a settings file as dotted names -> short JSON; raises ValueError where it is no mapping."""
    if text is None:
        return {}
    data = parse_json(text, CONFIG)
    if isinstance(data, list):
        # `modules.json` lists the parts of a model.
        data = {str(place): each for place, each in enumerate(data)}
    if not isinstance(data, dict):
        raise ValueError("no mapping")
    return dict(_flattened(data, ""))


def _flattened(data: Mapping[str, Any], head: str) -> Iterator[tuple[str, str]]:
    for name, value in data.items():
        if isinstance(value, dict) and value:
            yield from _flattened(value, f"{head}{name}.")
        else:
            yield f"{head}{name}", json.dumps(value, ensure_ascii=False)


def _field_changes(
    file: str, before: Mapping[str, str], after: Mapping[str, str]
) -> Iterator[FieldChange]:
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    for name in names[:_MOST_FIELDS]:
        sides = excerpts(before.get(name, ""), after.get(name, ""))
        yield FieldChange(file, excerpt(plain(name), _NAME), *map(plain, sides))


def _lines(found: Difference) -> Iterator[str]:
    old, new = found.size
    if not found.files:
        yield "the files are the same"
        return
    sizes = dict.fromkeys([format_size(old), format_size(new)])
    count = len(found.files)
    yield f"{count} file{'s differ' if count != 1 else ' differs'}; size {' -> '.join(sizes)}"
    for each in found.files:
        yield f"  {each.path}: {_words(each)}"
    for field in found.fields:
        yield f"  {field.file}: {field.name}: {field.before or 'absent'} -> {field.after or 'absent'}"
    for path in found.unread:
        yield f"  {path}: its fields are not compared: one of both texts is gone, or no JSON mapping"
    if found.template:
        yield "the chat template differs: the model sees another prompt"
    if found.behaviour:
        yield f"alters answers: {', '.join(found.behaviour)}"
    least = [format_size(each or 0) for each in found.memory]
    if None not in found.memory and least[0] != least[1]:
        yield f"least memory {least[0]} -> {least[1]}"


def _words(change: FileChange) -> str:
    if change.before is None:
        return f"new, {format_size(change.after or 0)}"
    if change.after is None:
        return f"gone, {format_size(change.before)}"
    if change.before == change.after:
        return f"other bytes, {format_size(change.after)}"
    return f"{format_size(change.before)} -> {format_size(change.after)}"
