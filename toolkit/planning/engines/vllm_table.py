"""The flags and variables that each version of vLLM has, read from the tables beside this module.

The oldest table is whole. Each later one states in which words that version differs from the version before it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cache
from operator import itemgetter
from types import ModuleType

from toolkit.planning.engines import vllm_table_0_31, vllm_table_0_32, vllm_table_0_33
from toolkit.planning.engines.vllm_allowed import LIBRARY_VARIABLES, RANGES, SAME_WORDS
from toolkit.planning.engines.vllm_names import minor, row_of

_TABLES: Mapping[tuple[int, int], ModuleType] = {
    (0, 31): vllm_table_0_31,
    (0, 32): vllm_table_0_32,
    (0, 33): vllm_table_0_33,
}
_LINE = re.compile(
    r"(?P<name>[A-Za-z0-9_.-]+)(?P<other>( \([a-z0-9-]+\))*): (?P<kind>[^<>]*[^<> ])(?P<bounds>( [<>]=?\S+)*)"
)
# The lowest and highest number where neither engine nor toolkit says more.
_WIDEST = {"integer": (0, 2**31 - 1), "count": (0, 2**50), "number": (0, 2**31)}
# The same of the keys of a flag's JSON, of which the engine says where the least is 0.
_WIDEST_KEY = {"integer": (-(2**31), 2**31 - 1), "number": (-(2**31), 2**31)}
# The distance from an open bound, `>0`.
_STEP = {"integer": 1, "count": 1, "number": 1e-9}


@dataclass(frozen=True, slots=True)
class Option:
    """A flag or variable of an engine.

    `kind` is `switch` (true or false), `mark` (there or not), `integer`, `count` (a whole number that takes `16k`),
    `number`, `json`, `text`, or `one of` with the words in `choices`; `name of` is the same in capitals or small
    letters. `low` and `high` bound numbers. With `many` the
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
class Words:
    """Words of one version as its table has them: names of parsers and architectures, and more of the others.

    A flag has a line, such as `api-server-count (asc): integer`: its name, its short spellings, its kind and what
    bounds it. So has a key of a flag's JSON, such as `eplb-config.window_size`. A variable has its kind.
    `flashinfer` has the architectures that compute with FlashInfer on CUDA, whatever is set.
    """

    flags: Mapping[str, str]
    keys: Mapping[str, str]
    variables: Mapping[str, str]
    tool_parsers: frozenset[str]
    reasoning_parsers: frozenset[str]
    flashinfer: frozenset[str]


@dataclass(frozen=True, slots=True)
class Table:
    """Words of one minor version, such as `0.32`: flags, keys of their JSON, variables, short spelling -> flag."""

    minor: str
    flags: Mapping[str, Option]
    keys: Mapping[str, Option]
    variables: Mapping[str, Option]
    spellings: Mapping[str, str]
    tool_parsers: frozenset[str] = frozenset()
    reasoning_parsers: frozenset[str] = frozenset()
    flashinfer: frozenset[str] = frozenset()


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


NO_WORDS = Words({}, {}, {}, frozenset(), frozenset(), frozenset())


def words_of(row: tuple[int, int]) -> Words:
    """Return the words of a minor version, `(0, 32)`, or of the newest one before it; NO_WORDS before the oldest."""
    found = NO_WORDS
    for known, module in sorted(_TABLES.items()):
        if known <= row:
            found = _changed(found, module)
    return found


def _changed(before: Words, table: ModuleType) -> Words:
    """Return the words of the version of `table`, which has those of the version before it unless `table` says so."""
    variables = {name: kind for kind, names in table.VARIABLES.items() for name in names.split()}
    gone = {kind: names.split() for kind, names in getattr(table, "GONE", {}).items()}
    return Words(
        _joined(before.flags, _lines(table.FLAGS), gone.get("flags", ())),
        _joined(before.keys, _lines(table.KEYS), gone.get("keys", ())),
        _joined(before.variables, variables, gone.get("variables", ())),
        before.tool_parsers.difference(gone.get("tool parsers", ())).union(
            table.TOOL_PARSERS.split()
        ),
        before.reasoning_parsers.difference(gone.get("reasoning parsers", ())).union(
            table.REASONING_PARSERS.split()
        ),
        before.flashinfer.difference(gone.get("flashinfer", ())).union(table.FLASHINFER.split()),
    )


def _lines(by_kind: Mapping[str, str]) -> dict[str, str]:
    return {
        word.split("(")[0]: f"{word.replace('(', ' (')}: {kind}"
        for kind, words in by_kind.items()
        for word in words.split()
    }


def _joined(
    before: Mapping[str, str], new: Mapping[str, str], gone: Collection[str]
) -> dict[str, str]:
    kept = {name: said for name, said in before.items() if name not in gone}
    # Hints name the first word that begins as the one given, so the order is the same in every version.
    return dict(sorted({**kept, **new}.items(), key=itemgetter(1, 0)))


@cache
def _table(row: tuple[int, int]) -> Table:
    words = words_of(row)
    flags, spellings = {}, {}
    for found in map(_parsed, words.flags.values()):
        flags[found["name"]] = _flag(found, _WIDEST)
        for other in re.findall(r"\(([^)]+)\)", found["other"]):
            spellings[other] = found["name"]
    for flag, names_ in (
        ("tool-call-parser", words.tool_parsers),
        ("reasoning-parser", words.reasoning_parsers),
    ):
        flags[flag] = Option(flag, "one of", choices=tuple(sorted(names_)))
    keys = {found["name"]: _flag(found, _WIDEST_KEY) for found in map(_parsed, words.keys.values())}
    keys |= {key: replace(flags[flag], name=key) for key, flag in SAME_WORDS.items()}
    variables = {name: _option(name, kind) for name, kind in words.variables.items()}
    for kind, names in LIBRARY_VARIABLES.items():
        variables |= {name: _option(name, kind) for name in names.split()}
    return Table(
        f"{row[0]}.{row[1]}",
        flags,
        keys,
        variables,
        spellings,
        words.tool_parsers,
        words.reasoning_parsers,
        words.flashinfer,
    )


def _parsed(line: str) -> re.Match[str]:
    found = _LINE.fullmatch(line)
    assert found is not None, line
    return found


def _flag(found: re.Match[str], widest: Mapping[str, tuple[int, int]]) -> Option:
    kind, many = found["kind"], found["kind"].startswith("list ")
    kind = kind.removeprefix("list ")
    if kind.startswith(("one of ", "name of ")):
        words = kind.split()
        return Option(found["name"], " ".join(words[:2]), many, tuple(words[2:]))
    kind, _, word = kind.partition(" or ")
    return _option(
        found["name"],
        kind,
        many,
        (word,) if word else (),
        re.findall(r"([<>]=?)(\S+)", found["bounds"]),
        widest,
    )


def _option(
    name: str,
    kind: str,
    many: bool = False,
    words: tuple[str, ...] = (),
    bounds: list[tuple[str, str]] | None = None,
    widest: Mapping[str, tuple[int, int]] = _WIDEST,
) -> Option:
    if kind not in widest:
        return Option(name, kind, many, words=words)
    low: float
    high: float
    low, high = widest[kind]
    for sign, text in bounds or ():
        bound = float(text) + (_STEP[kind] if sign == ">" else -_STEP[kind] if sign == "<" else 0)
        low, high = (max(low, bound), high) if sign[0] == ">" else (low, min(high, bound))
    low, high = RANGES.get(name, (low, high))
    if kind != "number":
        low, high = round(low), round(high)
    return Option(name, kind, many, (), words, low, high)
