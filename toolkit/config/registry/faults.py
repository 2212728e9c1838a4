"""Word the faults that the schema finds, for the person who wrote the file."""

from __future__ import annotations

import difflib
import json
import types
import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError

from toolkit.config.registry.fields import short
from toolkit.config.registry.schema import RegistrySpec
from toolkit.config.yaml_text import TextFault, Where, YamlText

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping (`key: value` lines)",
    "model_type": "a mapping (`key: value` lines)",
    "model_attributes_type": "a mapping (`key: value` lines)",
}


def empty_value_faults(document: YamlText) -> Iterator[TextFault]:
    """Yield a fault for each key that has no value."""
    for where, span in document.spans.items():
        if where and value_at(document.data, where, default=0) is None:
            yield TextFault(
                span.key_line,
                span.key_column,
                f"{_named(where)} has no value",
                _versions_hint(where) or "write one, or remove the line",
            )


def schema_faults(
    document: YamlText, error: ValidationError, schema: Any = RegistrySpec
) -> list[TextFault]:
    """Return the faults that the schema found; `schema` is the type of the whole document."""
    wording = _Wording(document, schema)
    found = error.errors(include_url=False)
    return [wording.fault(each) for each in found if not _is_empty(document, each)]


def _is_empty(document: YamlText, item: Any) -> bool:
    """Whether a finding is of a key without a value, which `empty_value_faults` names."""
    return item["input"] is None and item["type"] in _EXPECTED and item["loc"] in document.spans


def value_at(data: Any, where: Where, default: Any = None) -> Any:
    """Return the value under a path of keys, or `default` where the data has other keys."""
    for key in where:
        if isinstance(data, dict):
            data = data.get(str(key), default)
        elif isinstance(data, list) and isinstance(key, int) and key < len(data):
            data = data[key]
        else:
            return default
    return data


class _Wording:
    """Words for what a schema finds in a document."""

    def __init__(self, document: YamlText, schema: Any) -> None:
        self._document, self._schema = document, schema
        page = "registry" if schema is RegistrySpec else "upgrades"
        self._see = f"see docs/{page}.md"

    def fault(self, item: Any) -> TextFault:
        loc: Where = tuple(item["loc"])
        at_key = bool(loc) and loc[-1] == "[key]"
        where = loc[:-1] if at_key else loc
        while where not in self._document.spans:
            where = where[:-1]
        missing = item["type"] == "missing"
        at_key = at_key or item["type"] == "extra_forbidden" or missing
        message, hint = self._words(item, loc, where)
        return self._document.found(where, message, hint=hint, at_key=at_key)

    def _words(self, item: Any, loc: Where, where: Where) -> tuple[str, str]:
        """Return message and hint for one finding of pydantic."""
        kind, value, name = item["type"], item["input"], str(loc[-1]) if loc else ""
        context = item.get("ctx", {})
        if kind == "refused":
            return context["message"], context["hint"]
        if kind == "extra_forbidden":
            known = self._fields_at(where[:-1])
            near = difflib.get_close_matches(name.replace("-", "_").lower(), known, n=1, cutoff=0.6)
            hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
            return f"unknown field {short(name)}", hint
        if kind == "missing":
            return (
                f"{_named(where)} has no {name!r}",
                f"add `{name}:` with {self._example(where, name)}",
            )
        if kind in _EXPECTED:
            hint = self._shape(where)
            if kind == "string_type" and str(loc[-1]) == "memory":
                hint = "write it like 16GiB or 500MB"
            elif kind == "string_type" and isinstance(value, bool | int | float) and where == loc:
                span = self._document.spans[where]
                written = self._document.text[span.offset : span.end_offset] or json.dumps(value)
                hint = f'write it in quotes: "{written}"'
            elif (
                kind == "list_type"
                and isinstance(value, str | int | float)
                and value not in ("", True, False)
            ):
                # A list of mappings has no entry that stands on one line.
                entries = self._model_at((*where, 0))
                hint = hint if entries else f"write it in brackets: [{value}]"
            entry = f"{_named(where)}: " if where and isinstance(where[-1], int) else _field(where)
            return f"{entry}expected {_EXPECTED[kind]}, not {_kind(value)}", hint
        if kind == "literal_error":
            known = [
                word.strip("'") for word in context["expected"].replace(" or ", ", ").split(", ")
            ]
            near = difflib.get_close_matches(str(value), known, n=1, cutoff=0.6)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            return f"{_field(where)}{short(str(value))} is not known", hint
        words, hint = _length(item) or (
            f"{item['msg'][0].lower()}{item['msg'][1:]}",
            "",
        )
        return f"{_field(where)}{words}", hint or self._shape(where)

    def _example(self, where: Where, name: str) -> str:
        """Return an example of the field `name` of the part at `where`."""
        model = self._model_at(where)
        field = model.model_fields.get(name) if model else None
        if field is None or not field.examples:
            return "a value"
        return f"a value such as {json.dumps(field.examples[0])}"

    def _shape(self, where: Where) -> str:
        """Return an example of what may stand at `where`."""
        # Entries of a list have their example in that of the list.
        number = len(where) - 1 if where and isinstance(where[-1], int) else len(where)
        parent = self._model_at(where[: number - 1]) if number else None
        field = parent.model_fields.get(str(where[number - 1])) if parent else None
        example = field.examples[0] if field is not None and field.examples else None
        if number < len(where):
            example = example[0] if isinstance(example, list) else None
        if example is not None:
            return f"for example {json.dumps(example)}"
        model = self._model_at(where)
        return f"known here: {', '.join(sorted(model.model_fields))}" if model else self._see

    def _fields_at(self, where: Where) -> list[str]:
        model = self._model_at(where)
        return sorted(model.model_fields) if model else []

    def _model_at(self, where: Where) -> type[BaseModel] | None:
        """Return the part of the schema that describes the mapping at `where`."""
        model = self._schema
        for key in where:
            if isinstance(model, type) and issubclass(model, BaseModel):
                field = model.model_fields.get(str(key))
                model = _strip(field.annotation) if field else None
            else:
                arguments = typing.get_args(model)
                model = _strip(arguments[-1]) if arguments else None
            if model is None:
                return None
        return model if isinstance(model, type) and issubclass(model, BaseModel) else None


def _named(where: Where) -> str:
    """Return the name of the part at `where`; entries of a list have none, and are counted from 1."""
    if not where:
        return "the file"
    *owner, last = where
    if isinstance(last, str):
        return short(last)
    names = [part for part in owner if isinstance(part, str)]
    return f"entry {last + 1} of {short(names[-1]) if names else 'the file'}"


def _field(where: Where) -> str:
    names = [str(part) for part in where if isinstance(part, str)]
    return f"{names[-1]}: " if names else ""


def _length(item: Any) -> tuple[str, str] | None:
    """Return what is wrong with the length of a text or a list, and what to do; None where nothing is."""
    kind, value = item["type"], item["input"]
    if not kind.endswith(("too_short", "too_long")) or not isinstance(value, str | list):
        return None
    what, parts = ("text", "characters") if isinstance(value, str) else ("list", "entries")
    most = item["ctx"].get("max_length")
    if most is None:
        return f"an empty {what}", ""
    return f"more than {most} {parts}", "leave some of it out"


def _kind(value: Any) -> str:
    """Return the word for the type of `value`."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the text {short(value)}"
    return "a list" if isinstance(value, list) else "a mapping"


def _strip(annotation: Any) -> Any:
    """Return an annotation without `| None` and `Annotated`."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _strip(typing.get_args(annotation)[0])
    if origin in (types.UnionType, typing.Union):
        return _strip(next(arg for arg in typing.get_args(annotation) if arg is not type(None)))
    return annotation


def _versions_hint(where: Where) -> str:
    if len(where) == 3 and where[0] == "models" and where[2] == "versions":
        return f"toolkit registry pin {where[1]}"
    return ""
