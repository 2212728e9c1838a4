"""Read JSON, numbers and texts from outside within their bounds; anything else is a ValueError.

JSON from outside has finite numbers, texts that UTF-8 can encode, no key twice in one mapping, and bounded depth. So
what is read can be printed, stored and walked through without another check.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import Any, NoReturn

from toolkit.domain.bounds import JSON_DEPTH, TEXT, WHOLE

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def parse_json(text: bytes | str, most: int) -> Any:
    """Return the value of a JSON text of at most `most` bytes. Raises ValueError with the reason."""
    if len(text) > most:
        raise ValueError(f"larger than {most} bytes")
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    try:
        value = json.loads(
            text,
            object_pairs_hook=_mapping,
            parse_float=_finite,
            parse_constant=_no_number,
        )
    except RecursionError:
        raise ValueError(_too_deep()) from None
    _check_depth(value)
    if _SURROGATE.search(text):
        _check_texts(value)
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


def shown(value: Any) -> str:
    """Return how a message shows a value from outside: one short line that a terminal can print."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**30:
        return "a number of more than 30 digits"
    if isinstance(value, (dict, list, tuple)):
        return "a mapping" if isinstance(value, dict) else "a list"
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"{shown(twice)} stands twice")
    return found


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{shown(text)} is no finite number")
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


def _check_texts(value: Any) -> None:
    level = [value]
    while level:
        for each in level:
            texts = (each,) if isinstance(each, str) else each if isinstance(each, dict) else ()
            for text in texts:
                text.encode()
        level = [child for each in level for child in _children(each)]


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _has_children(value: Any) -> bool:
    return isinstance(value, (dict, list))


def _too_deep() -> str:
    return f"deeper than {JSON_DEPTH} levels"
