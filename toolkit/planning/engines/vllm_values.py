"""The values of vLLM's options: whether the engine takes one, and whether it needs a permission."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from toolkit.domain.bounds import WHOLE
from toolkit.domain.excerpt import excerpt, plain
from toolkit.domain.outside import parse_json, parse_mapping
from toolkit.planning.engines import vllm_allowed
from toolkit.planning.engines import vllm_permissions as permissions
from toolkit.planning.engines.vllm_allowed import RANGES
from toolkit.planning.engines.vllm_table import Option, Table

MAX_TEXT = 16_384
MAX_ITEMS = 256
# Faults of one JSON that are said.
MAX_SAID = 8
# Digits of ASCII alone: Python and YAML take others for numbers, the engine's own parsers do not agree.
_COUNT = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)([kKmMgGtT])")
_FACTORS = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12,
            "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}  # fmt: skip
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_NUMBER = re.compile(r"-?[0-9]{1,18}(?:\.[0-9]{1,18})?")


@dataclass(frozen=True, slots=True)
class OptionFault:
    """A fault of an option, and the words to write instead; `at_value` tells a wrong value from a wrong name."""

    message: str
    hint: str
    at_value: bool = False


class _WrongError(Exception):
    """Carries what a value should be and the hint."""

    def __init__(self, expected: str, hint: str = "") -> None:
        super().__init__(expected)
        self.hint = hint


def keyed_fault(
    table: Table, option: Option, name: str, path: str, value: Any
) -> OptionFault | None:
    """Return why the engine would not take `name: value`; `path` are the keys after the flag's dot, `a.b`."""
    try:
        if path and option.kind != "json":
            return OptionFault(f"{option.name!r} takes no keys", f"write `{option.name}: ...`")
        if not path:
            _check(option, value)
        elif isinstance(value, list | tuple):
            raise _WrongError("one value", "write the whole as JSON in quotes")
        elif isinstance(value, str) and len(value) > MAX_TEXT:
            raise _WrongError(f"at most {MAX_TEXT} characters")
    except _WrongError as error:
        return _wrong(name, error, value)
    return _json_fault(table, option.name, path, value) if option.kind == "json" else None


def _wrong(name: str, error: _WrongError, value: Any) -> OptionFault:
    shown = f"{name}: expected {error.args[0]}, not {_shown(value)}"
    return OptionFault(shown, error.hint, at_value=True)


def _json_fault(table: Table, flag: str, path: str, value: Any) -> OptionFault | None:
    """Return the faults of the values in a flag's JSON as one; `path` are the keys above it."""
    found: list[OptionFault] = []
    for place, each, listed in _places(flag, _nested(path, _read(value))):
        try:
            _check_key(table, flag, place, each, listed)
        except _WrongError as error:
            found.append(_wrong(excerpt(plain(place)), error, each))
    if not found:
        return None
    said = "; ".join(fault.message for fault in found[:MAX_SAID])
    return OptionFault(said, next((fault.hint for fault in found if fault.hint), ""), at_value=True)


def _places(place: str, data: Any) -> Iterator[tuple[str, Any, bool]]:
    """Yield each value below `data` with its path of keys, and whether it is in a list: then the path is the list's."""
    open_ = [(place, data)]
    while open_:
        place, data = open_.pop()
        items = data.items() if isinstance(data, dict) else (("", item) for item in data)
        for key, value in items:
            inner = f"{place}.{key.replace('-', '_')}" if key else place
            yield inner, value, isinstance(data, list)
            if isinstance(value, dict | list):
                open_.append((inner, value))


def _check_key(table: Table, flag: str, place: str, value: Any, listed: bool) -> None:
    option = table.keys.get(place) or _of_any_engine(flag, place)
    if value is None:
        return
    if not option.many or listed:
        _check(replace(option, many=False), value)
    elif not isinstance(value, list):
        raise _WrongError("a JSON list", f"write it in brackets: [{excerpt(str(value))}]")


def _of_any_engine(flag: str, place: str) -> Option:
    """Return what a key takes of which no engine's table says it: numbers, in the range that this toolkit gives it."""
    for name in (f"{flag}.{place.rpartition('.')[2]}", flag):
        if name in RANGES:
            return Option(place, "parts", low=RANGES[name][0], high=RANGES[name][1])
    return Option(place, "any", low=-WHOLE, high=WHOLE)


def variable_fault(option: Option, value: str) -> OptionFault | None:
    """Return why the engine would not take the text `value` of a variable."""
    try:
        if option.kind == "switch" and value not in ("0", "1"):
            raise _WrongError('"1" or "0"')
        if option.kind in ("integer", "number"):
            pattern, word = (
                (_INTEGER, "a whole number") if option.kind == "integer" else (_NUMBER, "a number")
            )
            if not pattern.fullmatch(value):
                raise _WrongError(f"{word} in quotes")
            _check_range(option, float(value))
        if len(value) > MAX_TEXT:
            raise _WrongError(f"at most {MAX_TEXT} characters")
    except _WrongError as error:
        shown = f"{option.name}: expected {error.args[0]}, not {_shown(value)}"
        return OptionFault(shown, error.hint, at_value=True)
    return None


def permission_reason(option: Option, path: str, value: Any) -> str:
    """Return why this value of a flag needs a permission; empty where it needs none."""
    name = option.name
    if name not in vllm_allowed.FLAGS:
        return permissions.FLAGS.get(name, permissions.UNJUDGED)
    said = str(value).lower() if option.kind == "name of" else str(value)
    if name in permissions.VALUES and said not in permissions.VALUES[name]:
        return _none_of(name, permissions.VALUES[name], value)
    if name == "chat-template" and not ("{{" in str(value) or "{%" in str(value)):
        return permissions.TEMPLATE_REASON
    if option.kind == "json":
        return _json_reason(name, path, value)
    if str(value) in permissions.SUSPECT_WORDS:
        return f"{_shown(value)}: {permissions.KEY_REASON}"
    return ""


def variable_reason(name: str, value: str) -> str:
    """Return why this value of a variable needs a permission; empty where it needs none."""
    free = permissions.VARIABLE_VALUES.get(name, ())
    return _none_of(name, free, value) if free and value.upper() not in free else ""


def _none_of(name: str, free: tuple[str, ...], value: Any) -> str:
    reason = permissions.VALUE_REASONS.get(name, permissions.VALUE_REASON)
    return f"{_shown(value)} is none of {', '.join(free)}; {reason}"


def may_need_permission(option: Option) -> bool:
    """Whether some value of the flag needs a permission."""
    return (
        option.name not in vllm_allowed.FLAGS
        or option.name in permissions.VALUES
        or option.name in ("chat-template", "spec-method")
        or option.kind == "json"
    )


def _json_reason(name: str, path: str, value: Any) -> str:
    data = _nested(path, _read(value))
    known = permissions.KEYS.get(name, "").split()
    for key in data:
        if known and key.replace("-", "_") not in known:
            near = difflib.get_close_matches(key.replace("-", "_"), known, n=1, cutoff=0.85)
            meant = f"; did you mean {near[0]!r}?" if near else ""
            return f"key {_shown(key)}: {permissions.KEY_REASON}{meant}"
    for key, each in _entries(data):
        word = key.replace("-", "_").lower()
        if word in permissions.SUSPECT_KEYS or word.endswith(permissions.SUSPECT_ENDS):
            return f"key {_shown(key)}: {permissions.KEY_REASON}"
        if each in permissions.SUSPECT_WORDS:
            return f"{_shown(each)}: {permissions.KEY_REASON}"
    return ""


def _nested(path: str, data: Any) -> Any:
    """Return a value as the engine reads it under a path of keys, `a.b`."""
    for key in reversed(path.split(".") if path else []):
        data = {key: data}
    return data


def _read(value: Any) -> Any:
    """Return a value as the engine reads it: JSON where it is JSON, also after a path of keys."""
    try:
        return parse_json(value, MAX_TEXT) if isinstance(value, str) else value
    except ValueError:
        return value


def _entries(data: Any) -> Iterator[tuple[str, Any]]:
    """Yield every key and value of nested objects and lists; values of lists under an empty key."""
    open_ = [data]
    while open_:
        each = open_.pop()
        items = each.items() if isinstance(each, dict) else (("", item) for item in each)
        for key, value in items:
            if isinstance(value, dict | list):
                open_.append(value)
                yield key, None
            else:
                yield key, value


def _check(option: Option, value: Any) -> None:
    if isinstance(value, list | tuple) and option.kind not in ("any", "parts"):
        if not option.many:
            raise _WrongError("one value", f"write `{option.name}: VALUE`")
        if not 0 < len(value) <= MAX_ITEMS:
            raise _WrongError(f"1 to {MAX_ITEMS} values", "write them, or remove the line")
        for each in value:
            _check_one(option, each)
    else:
        _check_one(option, value)


def _check_one(option: Option, value: Any) -> None:
    if isinstance(value, str) and len(value) > MAX_TEXT:
        raise _WrongError(f"at most {MAX_TEXT} characters")
    if option.kind in ("switch", "mark"):
        if not isinstance(value, bool):
            raise _WrongError("true or false", "write it without quotes")
    elif isinstance(value, bool) and option.kind != "any":
        raise _WrongError(_WORDS[option.kind])
    elif value in option.words:
        return
    else:
        _CHECKS[option.kind](option, value)


def _check_count(option: Option, value: Any) -> None:
    found = _COUNT.fullmatch(value) if isinstance(value, str) else None
    if found and not ("." in found[1] and found[2].isupper()):
        _check_range(option, float(found[1]) * _FACTORS[found[2]])
    else:
        _check_integer(option, value)


def _check_integer(option: Option, value: Any) -> None:
    if not isinstance(value, int):
        hint = "write it without quotes" if _is_number(value) else ""
        raise _WrongError(_WORDS[option.kind], hint)
    _check_range(option, value)


def _check_number(option: Option, value: Any) -> None:
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise _WrongError("a number", "write it without quotes" if _is_number(value) else "")
    _check_range(option, value)


def _check_range(option: Option, value: float) -> None:
    if not option.low <= value <= option.high:
        hint = f"or one of: {', '.join(option.words)}" if option.words else ""
        raise _WrongError(f"{_figure(option.low)} to {_figure(option.high)}", hint)


def _check_choice(option: Option, value: Any) -> None:
    text, small = str(value), {each.lower(): each for each in option.choices}
    if text not in option.choices and not (option.kind == "name of" and text.lower() in small):
        begun = [each for each in option.choices if value and each.startswith(text)]
        near = begun or difflib.get_close_matches(text.lower(), small, n=1, cutoff=0.6)
        hint = f"did you mean {small.get(near[0], near[0])!r}?" if near else ""
        raise _WrongError(
            "one of the engine's words", hint or f"known: {', '.join(option.choices)}"
        )


def _check_text(_option: Option, value: Any) -> None:
    if not str(value).strip():
        raise _WrongError("text", "write it, or remove the line")


def _check_json(_option: Option, value: Any) -> None:
    if not isinstance(value, str):
        raise _WrongError("a JSON object in quotes", "write it in quotes: '{\"key\": 1}'")
    try:
        parse_mapping(value, MAX_TEXT)
    except ValueError as error:
        raise _WrongError("a JSON object", f"it cannot be read: {error}") from None


def _check_any(option: Option, value: Any) -> None:
    if isinstance(value, int | float):
        _check_range(option, value)


def _check_parts(option: Option, value: Any) -> None:
    if not isinstance(value, dict | list):
        _check_number(option, value)


def _is_number(value: Any) -> bool:
    return isinstance(value, str) and _NUMBER.fullmatch(value) is not None


def _figure(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:g}"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    text = excerpt(str(value))
    return repr(text) if isinstance(value, str) else text


_WORDS = {
    "integer": "a whole number",
    "count": "a whole number, or one such as 16k",
    "number": "a number",
    "one of": "one of the engine's words",
    "name of": "one of the engine's words",
    "text": "text",
    "json": "a JSON object in quotes",
    "parts": "a number",
}
_CHECKS = {
    "integer": _check_integer,
    "count": _check_count,
    "number": _check_number,
    "one of": _check_choice,
    "name of": _check_choice,
    "text": _check_text,
    "json": _check_json,
    "any": _check_any,
    "parts": _check_parts,
}
