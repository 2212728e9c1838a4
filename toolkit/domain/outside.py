"""Read JSON, numbers and texts from outside within their bounds; anything else is a ValueError.

JSON from outside has finite numbers, texts that UTF-8 can encode, no key twice in one mapping, and bounded depth. So
what is read can be printed, stored and walked through without another check.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, NoReturn, TypeVar, get_args, get_origin, get_type_hints

from toolkit.domain.bounds import JSON_DEPTH, JSON_PARTS, TEXT, WHOLE
from toolkit.domain.excerpt import excerpt

T = TypeVar("T")
# Digits of which a whole number is larger than any that `float` takes.
_LONG = re.compile(r"[0-9]{309}")
# Of more, no whole number is read: Python takes long for them.
_DIGITS = 4000
_NO_NUMBER = re.compile(
    r"(?:could not convert string to float|invalid literal for int\(\) with base 10): (.*)"
)
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class TwiceError(ValueError):
    """A mapping has a key twice."""


class NotJsonError(ValueError):
    """A text is no JSON from a line and a column on, both from 1. `fault` is the decoder's own words for it."""

    def __init__(self, words: str, lineno: int = 1, colno: int = 1, fault: str = "") -> None:
        super().__init__(words)
        self.lineno, self.colno, self.fault = lineno, colno, fault or words


def plainly(error: Exception) -> str:
    """Return why a document is none of its kind, for a reader of messages: without Python's words for its types."""
    if isinstance(error, KeyError) and error.args:
        return f"it has no {shown(error.args[0])}"
    if isinstance(error, (LookupError, TypeError, AttributeError, RecursionError)):
        return "it has another form"
    if found := _NO_NUMBER.match(str(error)):
        return f"it has {excerpt(found[1])} where a number is due"
    return str(error)


def parse_unbounded(text: Any) -> Any:
    """Return the value of a JSON text that a program of this machine wrote, for which `parse_json` has too many bounds.

    Raises ValueError, TypeError or RecursionError where there is none that can be shown.
    """
    value = _loaded(text)
    if "\\u" in text:
        # Half of a surrogate pair can be read, and then neither written nor shown.
        _encoded(json.dumps(value, ensure_ascii=False))
    return value


def parse_json(text: bytes | str, most: int, *, repair: bool = False) -> Any:
    """Return the value of a JSON text of at most `most` bytes. Raises ValueError with the reason.

    With `repair`, a question mark replaces what UTF-8 cannot encode, such as the bytes of an odd file name.
    """
    if len(text) > most:
        raise ValueError(f"larger than {most} bytes")
    if isinstance(text, bytes):
        text = _decoded(text)
    if text.count("[") + text.count("{") + text.count(",") > JSON_PARTS:
        raise ValueError(f"more than {JSON_PARTS} parts")
    try:
        value = _loaded(
            text,
            object_pairs_hook=_mapping,
            parse_float=_finite,
            # A function for each number of a large text takes long, and such a number stands in hardly any.
            parse_int=_small if _LONG.search(text) else None,
            parse_constant=_no_number,
        )
    except RecursionError:
        raise ValueError(_too_deep()) from None
    _check_depth(value)
    if _SURROGATE.search(text):
        whole_text = json.dumps(value, ensure_ascii=False)
        value = json.loads(whole_text.encode(errors="replace") if repair else _encoded(whole_text))
    return value


def parse_mapping(text: bytes | str, most: int) -> dict[str, Any]:
    """Return the mapping of a JSON text; see `parse_json`. Raises ValueError where it is another value."""
    value = parse_json(text, most)
    if not isinstance(value, dict):
        raise ValueError("not a mapping")
    return value


def whole(value: Any, name: str, *, least: int = 0, most: int = WHOLE) -> int:
    """Return `value` where it is a whole number from `least` to `most`, else raise ValueError that names it."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{name} is {shown(value)}, not a whole number from {least} to {most}")
    return value


def text_of(value: Any, name: str, most: int = TEXT) -> str:
    """Return `value` where it is a text of at most `most` characters, else raise ValueError that names it."""
    if not isinstance(value, str) or len(value) > most:
        raise ValueError(f"{name} is {shown(value)}, not a text of at most {most} characters")
    return value


def texts_of(value: Any, name: str) -> tuple[str, ...]:
    """Return `value` where it is a list of texts, else raise ValueError that names it; see `text_of`."""
    if not isinstance(value, list):
        raise ValueError(f"{name} is {shown(value)}, not a list of texts")
    return tuple(text_of(each, name) for each in value)


def checked(value: T, longest: int | None = None) -> T:
    """Return a dataclass as it is, where every field, at every depth, has a value of its declared type.

    Numbers are finite and at most `WHOLE`; texts have at most `longest` characters, where that is given. Raises
    ValueError that names the first field that has another value.
    """
    kind_of_value: type = type(value)
    for name, kind in _kinds(kind_of_value).items():
        each = getattr(value, name)
        # A history has thousands of records, and nearly all of their fields are such.
        if type(each) is not kind or not _is_small(each, longest):
            _check(each, kind, name, longest)
    return value


def _is_small(value: Any, longest: int | None) -> bool:
    if isinstance(value, str):
        return longest is None or len(value) <= longest
    return isinstance(value, (int, float)) and -WHOLE <= value <= WHOLE


@lru_cache(maxsize=64)
def _kinds(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _check(value: Any, kind: Any, name: str, longest: int | None) -> None:
    if is_dataclass(kind) and isinstance(value, kind):  # type: ignore[arg-type]
        checked(value, longest)
    elif get_origin(kind) is tuple and isinstance(value, tuple):
        for each in value:
            _check(each, get_args(kind)[0], name, longest)
    elif get_origin(kind) is Mapping and isinstance(value, Mapping):
        for key, each in value.items():
            _check(key, get_args(kind)[0], name, longest)
            _check(each, get_args(kind)[1], name, longest)
    elif kind is Any:
        require_short(value, name, longest)
    elif not _is_plain(value, kind, longest):
        raise ValueError(f"{name} is {shown(value)}")
    elif kind is str:
        require_short(value, name, longest)


def require_short(value: Any, name: str, longest: int | None) -> None:
    """Raise ValueError that names the value where a text in it, at any depth, has more than `longest` characters."""
    if longest is None:
        return
    if isinstance(value, str) and len(value) > longest:
        raise ValueError(f"{name} has more than {longest} characters")
    for each in (*value, *_children(value)) if isinstance(value, dict) else _children(value):
        require_short(each, name, longest)


def _is_plain(value: Any, kind: Any, longest: int | None) -> bool:
    if isinstance(kind, UnionType):
        return any(_fits(value, each, longest) for each in get_args(kind))
    if kind in (int, float):
        number = isinstance(value, (int, float) if kind is float else int)
        return number and not isinstance(value, bool) and -WHOLE <= value <= WHOLE
    plain = kind in (str, bool, NoneType) or (isinstance(kind, type) and issubclass(kind, Enum))
    return plain and isinstance(value, kind)


def _fits(value: Any, kind: Any, longest: int | None) -> bool:
    try:
        _check(value, kind, "", longest)
    except ValueError:
        return False
    return True


def shown(value: Any) -> str:
    """Return how a message shows a value from outside: one short line that a terminal can print."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**30:
        return "a number of more than 30 digits"
    if isinstance(value, (dict, list, tuple)):
        return "a mapping" if isinstance(value, dict) else "a list"
    return excerpt(ascii(value))


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise TwiceError(f"{shown(twice)} stands twice")
    return found


def _loaded(text: Any, **hooks: Any) -> Any:
    try:
        return json.loads(text, **hooks)
    except json.JSONDecodeError as error:
        place = f"no JSON from line {error.lineno}, column {error.colno} on"
        begin = error.doc.lstrip()[:1]
        words = "a web page, no JSON" if begin == "<" else place if begin else "empty, no JSON"
        raise NotJsonError(words, error.lineno, error.colno, error.msg) from None


def _decoded(text: bytes) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"no text in UTF-8: byte {error.start + 1} is none of it") from None


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ValueError("half of a surrogate pair, which no text may have") from None


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{shown(text)} is no finite number")
    return value


def _small(text: str) -> int:
    if len(text) > _DIGITS:
        raise ValueError(f"a number of more than {_DIGITS} digits")
    value = int(text)
    if not math.isfinite(float(text)):
        raise ValueError(f"{shown(value)} is no finite number")
    return value


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no finite number")


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(JSON_DEPTH):
        level = [child for each in level for child in _children(each) if _has_children(child)]
        if not level:
            return
    raise ValueError(_too_deep())


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _has_children(value: Any) -> bool:
    return isinstance(value, (dict, list))


def _too_deep() -> str:
    return f"deeper than {JSON_DEPTH} levels"
