"""The flags and variables that each version of vLLM has, read from the tables beside this module."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from toolkit.planning.engines import vllm_table_0_31, vllm_table_0_32, vllm_table_0_33
from toolkit.planning.engines.vllm_allowed import LIBRARY_VARIABLES, RANGES
from toolkit.planning.engines.vllm_names import minor, row_of

_TABLES = {(0, 31): vllm_table_0_31, (0, 32): vllm_table_0_32, (0, 33): vllm_table_0_33}
_LINE = re.compile(
    r"(?P<name>[a-z0-9-]+)(?P<other>( \([a-z0-9-]+\))*): (?P<kind>[^<>]*[^<> ])(?P<bounds>( [<>]=?\S+)*)"
)
# The lowest and highest number where neither engine nor toolkit says more.
_WIDEST = {"integer": (0, 2**31 - 1), "count": (0, 2**50), "number": (0, 2**31)}
# The distance from an open bound, `>0`.
_STEP = {"integer": 1, "count": 1, "number": 1e-9}


@dataclass(frozen=True, slots=True)
class Option:
    """A flag or variable of an engine.

    `kind` is `switch` (true or false), `mark` (there or not), `integer`, `count` (a whole number that takes `16k`),
    `number`, `json`, `text`, or `one of` with the words in `choices`. `low` and `high` bound numbers. With `many` the
    value is a list. `words` are names that stand for no number, such as `auto`.
    """

    name: str
    kind: str
    many: bool = False
    choices: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    low: float = 0
    high: float = 0


@dataclass(frozen=True, slots=True)
class Table:
    """Words of one minor version, such as `0.32`: flags, variables, short spelling -> flag, and names of parsers."""

    minor: str
    flags: Mapping[str, Option]
    variables: Mapping[str, Option]
    spellings: Mapping[str, str]
    tool_parsers: frozenset[str] = frozenset()
    reasoning_parsers: frozenset[str] = frozenset()


def table_of(version: str) -> Table:
    """Return the table of `version` (`0.32.0`): its own, or that of the newest version before it."""
    return _table(row_of(minor(version), _TABLES))


def newest_table() -> Table:
    """Return the table of the newest version that this toolkit knows."""
    return _table(max(_TABLES))


def is_mark(version: str, flag: str) -> bool:
    """Whether a flag of `version` can only be said, and has no `--no-` form."""
    option = table_of(version).flags.get(flag)
    return option is not None and option.kind == "mark"


@cache
def _table(row: tuple[int, int]) -> Table:
    module = _TABLES[row]
    flags, spellings = {}, {}
    for line in module.FLAGS.strip().splitlines():
        found = _LINE.fullmatch(line)
        assert found is not None, line
        flags[found["name"]] = _flag(found)
        for other in re.findall(r"\(([^)]+)\)", found["other"]):
            spellings[other] = found["name"]
    variables = {
        name: _option(name, kind)
        for kinds in (module.VARIABLES, LIBRARY_VARIABLES)
        for kind, names in kinds.items()
        for name in names.split()
    }
    return Table(
        f"{row[0]}.{row[1]}",
        flags,
        variables,
        spellings,
        frozenset(module.TOOL_PARSERS.split()),
        frozenset(module.REASONING_PARSERS.split()),
    )


def _flag(found: re.Match[str]) -> Option:
    kind, many = found["kind"], found["kind"].startswith("list ")
    kind = kind.removeprefix("list ")
    if kind.startswith("one of "):
        return Option(found["name"], "one of", many, tuple(kind.split()[2:]))
    kind, _, word = kind.partition(" or ")
    return _option(
        found["name"],
        kind,
        many,
        (word,) if word else (),
        re.findall(r"([<>]=?)(\S+)", found["bounds"]),
    )


def _option(
    name: str,
    kind: str,
    many: bool = False,
    words: tuple[str, ...] = (),
    bounds: list[tuple[str, str]] | None = None,
) -> Option:
    if kind not in _WIDEST:
        return Option(name, kind, many, words=words)
    low: float
    high: float
    low, high = _WIDEST[kind]
    for sign, text in bounds or ():
        bound = float(text) + (_STEP[kind] if sign == ">" else -_STEP[kind] if sign == "<" else 0)
        low, high = (max(low, bound), high) if sign[0] == ">" else (low, min(high, bound))
    low, high = RANGES.get(name, (low, high))
    if kind != "number":
        low, high = round(low), round(high)
    return Option(name, kind, many, (), words, low, high)
