"""Write a pinned version into the registry's text, and leave the rest of the text as it is."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.config.registry.fields import NAME_PATTERN
from toolkit.config.registry.inheritance import REQUIRED
from toolkit.config.registry.lock_file import write_text
from toolkit.config.registry.reading import RegistryFile, parse_registry
from toolkit.config.text_file import in_turn
from toolkit.config.yaml_dump import dump_yaml
from toolkit.config.yaml_text import TextRange, Where, YamlText
from toolkit.domain.registry.model import Version
from toolkit.errors import InputError

_NAME = re.compile(NAME_PATTERN.removesuffix("$") + r"\Z")
_PLAIN = re.compile(r"[a-z][a-z0-9._-]*\Z")
_NOT_PLAIN = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}
_NO_REVISION = "0" * 40
_OF_REVISION = ("source", "revision", "candidate", "permission")


def with_version(
    file: RegistryFile,
    model: str,
    name: str,
    revision: str,
    repo: str = "",
    *,
    candidate: bool = False,
) -> RegistryFile:
    """Return the registry with a new last version of `model`, by inserted lines alone.

    `repo` is the version's own repository, where it is not its model's; the branch that is tracked stays. A candidate
    has what the newest version has of its own, except a permission: that is for files that a person has looked at.
    Raises InputError where the name is no name or taken, where the text has no place for lines, or where the settings
    need a permission.
    """
    _check_name(file, model, name)
    source = _source(file.document.data["models"][model], repo)
    own = _own_settings(file, model) if candidate else {}

    def lines(place: LinePlace) -> list[str]:
        inner = " " * (place.indent + place.step)
        return [
            f"{' ' * place.indent}{quoted(name)}:",
            *([f"{inner}source: {_braces(source)}"] if repo else []),
            f"{inner}revision: {revision}",
            *([f"{inner}candidate: true"] if candidate else []),
            *(f"{inner}{line}" for line in (dump_yaml(own).splitlines() if own else ())),
        ]

    spec = {
        **({"source": source} if repo else {}),
        "revision": revision,
        **({"candidate": True} if candidate else {}),
        **own,
    }
    hint = _hint(name, revision)
    try:
        return insert_version(file, model, name, spec, lines, hint)
    except InputError:
        if not (own and file.registry.model(model).newest.permission.options):
            raise
        title = file.registry.model(model).newest.title
        message = (
            f"{title} has a permission, which is for its revision alone, and settings that need it"
        )
        raise InputError(message, hint=hint) from None


def insert_version(
    file: RegistryFile,
    model: str,
    name: str,
    spec: Mapping[str, Any],
    lines: Callable[[LinePlace], list[str]],
    hint: str,
) -> RegistryFile:
    """Return the registry with `spec` as the last version of `model`; `lines` writes it at its place.

    Raises InputError where the text has no place for lines, and, with `hint`, where they would not say `spec`.
    """
    place = version_place(file.document, model)
    key = [f"{' ' * place.key_indent}versions:"] if place.needs_key else []
    expected = copy.deepcopy(file.document.data)
    versions = expected["models"][model].setdefault("versions", {})
    versions[name] = copy.deepcopy(spec)
    text = insert_lines(file.document.text, place.after_line, [*key, *lines(place)])
    return proved(file, text, expected, model, hint)


def with_revision(
    file: RegistryFile, model: str, name: str, revision: str, repo: str = ""
) -> RegistryFile:
    """Return the registry with the branch or tag of an unpinned version replaced by `revision`.

    `repo` becomes the version's own repository, where it is given.
    """
    where: Where = ("models", model, "versions", name)
    spans, text = file.document.spans, file.document.text
    expected = copy.deepcopy(file.document.data)
    version = expected["models"][model]["versions"][name]
    source = _source(version if "source" in version else file.document.data["models"][model], repo)
    span = spans[*where, "revision"]
    changes = [(span.offset, span.end_offset, revision)]
    if repo and "source" in version:
        own = spans[*where, "source", "repo"]
        changes.append((own.offset, own.end_offset, repo))
    elif repo and spans[where].flow:
        changes.append((span.end_offset, span.end_offset, f", source: {_braces(source)}"))
    elif repo:
        end = text.find("\n", span.end_offset) if "\n" in text[span.end_offset :] else len(text)
        line = f"\n{' ' * (span.key_column - 1)}source: {_braces(source)}"
        changes.append((end, end, line))
    for start, end, new in sorted(changes, reverse=True):
        text = text[:start] + new + text[end:]
    version["revision"] = revision
    if repo:
        version["source"] = source
    return proved(file, text, expected, model, _hint(name, revision))


def accepted(file: RegistryFile, model: str, name: str) -> RegistryFile:
    """Return the registry in which a version is no candidate: the line `candidate: true` is gone.

    Raises InputError where that line cannot be removed safely.
    """
    where: Where = ("models", model, "versions", name)
    document = file.document
    expected = copy.deepcopy(document.data)
    del expected["models"][model]["versions"][name]["candidate"]
    text = document.text
    if document.spans[where].flow:
        text = _without_entry(document, where, "candidate")
    else:
        lines = text.split("\n")
        del lines[document.spans[*where, "candidate"].key_line - 1]
        text = "\n".join(lines)
    hint = f"remove `candidate: true` of {model}@{name} yourself"
    return proved(file, text, expected, model, hint)


def _without_entry(document: YamlText, where: Where, key: str) -> str:
    """Return the text without an entry of a mapping in braces, and without the comma that it leaves behind."""
    text, value = document.text, document.spans[*where, key]
    before = text[: value.offset]
    start = before.rindex(key)
    rest = text[value.end_offset :]
    comma = re.match(r"\s*,\s*", rest)
    if comma:
        return text[:start] + rest[comma.end() :]
    return re.sub(r"\s*,\s*\Z", "", text[:start]) + rest


def draft_version(file: RegistryFile, model: str) -> Version:
    """Return the next new version of `model`, before its name and revision are known."""
    taken = {version.name for version in file.registry.model(model).versions}
    for field in REQUIRED:
        if field not in file.document.data["models"][model]:
            raise file.document.fault(
                ("models", model),
                f"{model!r} has no {field!r}, which a new version would take from it",
                hint=f"add `{field}:` to the model; see docs/registry.md",
                at_key=True,
            )
    name = next(f"new{number}" for number in range(len(taken) + 1) if f"new{number}" not in taken)
    return with_version(file, model, name, _NO_REVISION).registry.model(model).version(name)


def write_registry(path: Path, before: RegistryFile | None, after: RegistryFile) -> None:
    """Replace the registry's text, whole or not at all; `before` is None where there was no registry.

    Raises InputError where the file has changed since it was read.
    """
    with in_turn(path):
        data = _present(path)
        text = None if data is None else data.decode("utf-8-sig", "replace")
        if text != (before.document.text if before else None):
            raise InputError(f"{path} was changed meanwhile", hint="run the command again")
        mark = "\ufeff" if data and data.startswith(b"\xef\xbb\xbf") else ""
        write_text(path, mark + after.document.text)


def _present(path: Path) -> bytes | None:
    """Return the bytes of the file, None where there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", hint="try again") from None


@dataclass(frozen=True, slots=True)
class LinePlace:
    """The line (from 1) after which new lines go, and their indentation."""

    after_line: int
    indent: int
    step: int
    needs_key: bool = False
    key_indent: int = 0


def version_place(document: YamlText, model: str) -> LinePlace:
    """Return where a new last version of `model` goes; raises InputError where no lines fit in."""
    where: Where = ("models", model)
    entry = document.spans[where]
    fields = list(document.data["models"][model])
    if entry.flow or document.spans[("models",)].flow or not fields:
        raise _by_hand(document, entry, f"{model!r} is")
    field_indent = document.spans[(*where, fields[0])].key_column - 1
    step = field_indent - (entry.key_column - 1)
    versions = document.spans.get((*where, "versions"))
    if versions is None:
        after = end_with_comments(document.text, entry.end_line, field_indent)
        return LinePlace(after, field_indent + step, step, needs_key=True, key_indent=field_indent)
    if versions.flow:
        raise _by_hand(document, versions, f"'versions' of {model!r} is")
    names = list(document.data["models"][model]["versions"])
    # A value that is not written has the place of its key.
    if not names and versions.column != versions.key_column:
        raise document.fault_at(
            versions.line,
            versions.column,
            f"'versions' of {model!r} is written as null, below which no lines can be inserted",
            hint="write `versions:` alone, then pin again",
        )
    if not names:
        return LinePlace(versions.key_line, field_indent + step, step)
    last_where: Where = (*where, "versions", names[-1])
    last = document.spans[last_where]
    indent = last.key_column - 1
    inner = list(document.data["models"][model]["versions"][names[-1]])
    if not last.flow and inner:
        step = document.spans[(*last_where, inner[0])].key_column - 1 - indent
    return LinePlace(end_with_comments(document.text, last.end_line, indent + 1), indent, step)


def end_with_comments(text: str, line: int, indent: int) -> int:
    """Return the last comment line below `line` that belongs to the entry that ends there."""
    lines = text.split("\n")
    while line < len(lines):
        following = lines[line]
        spaces = len(following) - len(following.lstrip(" "))
        if not following.lstrip(" ").startswith("#") or spaces < indent:
            break
        line += 1
    return line


def insert_lines(text: str, after_line: int, lines: list[str]) -> str:
    """Return `text` with `lines` after its line `after_line` (from 1), with its own line ends."""
    end = "\r\n" if "\r\n" in text else "\n"
    parts = text.split("\n")
    head, tail = "\n".join(parts[:after_line]), "\n".join(parts[after_line:])
    if after_line >= len(parts):
        # The last line of the file has no line end. It gets one, and the new last line gets none.
        return head + end + end.join(lines)
    return head + "\n" + end.join(lines) + end + tail


def proved(file: RegistryFile, text: str, expected: Any, model: str, hint: str) -> RegistryFile:
    """Return the registry of `text`, read again; raises InputError with `hint` where it does not say `expected`."""
    changed = parse_registry(file.document.path, text, unpinned=True)
    found = changed.document.data
    in_order = list(expected["models"][model]["versions"])
    if found != expected or list(found["models"][model]["versions"]) != in_order:
        raise InputError(f"{file.document.path}: {model} cannot be changed safely", hint=hint)
    return changed


def _hint(name: str, revision: str) -> str:
    return f"write it yourself, as the last version: {quoted(name)}: {{revision: {revision}}}"


def _check_name(file: RegistryFile, model: str, name: str) -> None:
    if not _NAME.match(name):
        raise InputError(
            f"{name!r} is not a name for a version",
            hint="up to 63 of a-z 0-9 . _ - with a letter or digit first; give it with --as",
        )
    if name in {version.name for version in file.registry.model(model).versions}:
        raise InputError(f"{model}@{name} exists", hint="give another name with --as")


def _by_hand(document: YamlText, span: TextRange, what: str) -> InputError:
    return document.fault_at(
        span.key_line,
        span.key_column,
        f"{what} written in braces, where no lines can be inserted",
        hint="write it as indented lines, then pin again",
    )


def _source(entry: Mapping[str, Any], repo: str) -> dict[str, str]:
    """Return a source at `repo` that tracks the same branch as the source of a model or version."""
    written = entry.get("source") or {}
    return {"repo": repo} | ({"track": written["track"]} if "track" in written else {})


def _own_settings(file: RegistryFile, model: str) -> dict[str, Any]:
    """Return the newest version's own block without what belongs to its revision; empty where there is no more."""
    found = file.registry.model(model)
    if not found.versions:
        return {}
    block = file.document.data["models"][model]["versions"][found.newest.name]
    return copy.deepcopy({key: block[key] for key in block if key not in _OF_REVISION})


def _braces(source: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{key}: {_scalar(value)}" for key, value in source.items()) + "}"


def _scalar(text: str) -> str:
    """Return a repository or a branch as a value that YAML reads as text."""
    return text if "/" in text else quoted(text)


def quoted(name: str) -> str:
    """Return the name as a YAML key that no reader takes for a number or a truth value."""
    return name if _PLAIN.match(name) and name not in _NOT_PLAIN else f'"{name}"'
