"""Read YAML as plain data with the place of each value.

The reader takes a stream of events and composes no nodes, so that it limits depth and number of values
before anything is built. It refuses anchors, aliases, tags and duplicate keys, and the characters that
nothing can take over from a file: an escape can stand for them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError, YAMLStreamError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.scanner import Scanner

from toolkit.domain.excerpt import brief, excerpt
from toolkit.errors import InputError

Where = tuple[str | int, ...]

MAX_DEPTH = 16
MAX_VALUES = 20_000
MAX_LINE = 20_000
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)\Z")
_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?\Z")
_COMMIT = re.compile(r"[0-9a-f]{40}\Z")
# No path and no argument of a program can have the first, and UTF-8 none of the others, halves of surrogate pairs.
_NOWHERE = re.compile(r"[\x00\ud800-\udfff]")
_CONSTANTS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


@dataclass(slots=True)
class TextRange:
    """The place of a value; lines and columns count from 1, `end_line` is its last line.

    The key of an entry of a mapping stands at `key_line`, `key_column`. `offset` and `end_offset`
    delimit the value's characters in the text.
    """

    key_line: int
    key_column: int
    line: int
    column: int
    end_line: int
    offset: int
    end_offset: int
    flow: bool = False


@dataclass(frozen=True, slots=True)
class TextFault:
    """A fault at a place of a file; lines and columns count from 1, 0 stands for the whole file."""

    line: int
    column: int
    message: str
    hint: str = ""

    def place(self, path: Path) -> str:
        """Return `file:line:column` in the file at `path`."""
        return f"{path}:{self.line}:{self.column}" if self.line else f"{path}"

    def error(self, path: Path) -> InputError:
        """Return the error about this fault of the file at `path`."""
        # It may repeat a name or a value of the file, which is as long as a line may be.
        return InputError(f"{self.place(path)}: {brief(self.message, 2000)}", hint=self.hint)


@dataclass(slots=True)
class YamlText:
    """A YAML file: its text, its data and the place of every value by its path of keys."""

    path: Path
    text: str
    data: Any = None
    spans: dict[Where, TextRange] = field(default_factory=dict)

    def fault(
        self, where: Where, message: str, *, hint: str = "", at_key: bool = False
    ) -> InputError:
        """Return the error for the value at `where`, or its nearest parent in the file."""
        return self.found(where, message, hint=hint, at_key=at_key).error(self.path)

    def fault_at(self, line: int, column: int, message: str, *, hint: str = "") -> InputError:
        """Return the error at a place of the text."""
        return TextFault(line, column, message, hint).error(self.path)

    def found(
        self, where: Where, message: str, *, hint: str = "", at_key: bool = False
    ) -> TextFault:
        """Return the fault of the value at `where`, or of its nearest parent in the file."""
        found = where
        while found not in self.spans and found:
            found = found[:-1]
        span = self.spans.get(found)
        if span is None:
            return TextFault(0, 0, message, hint)
        use_key = at_key or found != where
        line, column = (span.key_line, span.key_column) if use_key else (span.line, span.column)
        return TextFault(line, column, message, hint)


def parse_yaml(path: Path, text: str) -> YamlText:
    """Return the data of `text`, which was read from `path`.

    Raises InputError with file, line and column where it is no YAML, is nested deeper than
    MAX_DEPTH, has more than MAX_VALUES values, or uses anchors, aliases, tags, equal keys, NUL or
    halves of surrogate pairs.
    """
    document, faults = read_yaml(path, text)
    if faults:
        raise faults[0].error(path)
    return document


def read_yaml(path: Path, text: str) -> tuple[YamlText, tuple[TextFault, ...]]:
    """Return the data of `text` and all its faults; see `parse_yaml`.

    Where the rest of the text has no meaning after a fault, that fault is the last one and the data is None.
    """
    document = YamlText(path, text)
    for number, line in enumerate(text.split("\n"), start=1):
        if len(line) > MAX_LINE:
            return document, (
                TextFault(number, 1, f"a line of {len(line)} characters", "break it"),
            )
    builder, reader = _Builder(document), YAML(typ="safe", pure=True)
    reader.Scanner = _BoundedScanner
    try:
        builder.build(reader.parse(text))
    except _EndError as error:
        last = error.fault
    except MarkedYAMLError as error:
        last = _syntax_fault(error)
    except (YAMLError, YAMLStreamError, ValueError, OverflowError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        last = TextFault(0, 0, f"not YAML: {first}", "check the file")
    else:
        return document, tuple(builder.faults)
    document.data = None
    return document, (*builder.faults, last)


class _EndError(Exception):
    """Carries the fault after which the rest of a text has no meaning."""

    def __init__(self, fault: TextFault) -> None:
        super().__init__(fault.message)
        self.fault = fault


class _BoundedScanner(Scanner):
    """Ends at brackets that are nested too deep: it reads a thousand of them ahead of their events.

    For each it looks at all that are open, so these would take it half a second.
    """

    def fetch_flow_collection_start(self, *kind: Any, **more: Any) -> None:
        if len(self.indents) + self.flow_level >= MAX_DEPTH:
            raise _EndError(_too_deep(self.reader.get_mark()))
        super().fetch_flow_collection_start(*kind, **more)


def _too_deep(mark: Any) -> TextFault:
    words = f"nested deeper than {MAX_DEPTH} levels"
    return TextFault(mark.line + 1, mark.column + 1, words, "no entry needs that depth")


@dataclass(slots=True)
class _Open:
    """A mapping or sequence that has begun and not yet ended."""

    where: Where
    value: Any
    key: str | None = None
    key_mark: Any = None


class _Builder:
    """Turns events into data and spans without recursion; `faults` are those after which it can go on."""

    def __init__(self, document: YamlText) -> None:
        self.document = document
        self.faults: list[TextFault] = []
        self.stack: list[_Open] = []
        self.values = 0
        self.documents = 0

    def build(self, events: Iterator[Event]) -> None:
        for event in events:
            if isinstance(event, DocumentStartEvent):
                self.documents += 1
                if self.documents > 1:
                    raise self._end_at(
                        event, "a second YAML document", "keep one document per file"
                    )
            elif isinstance(event, AliasEvent):
                self._alias(event)
            elif isinstance(event, MappingStartEvent | SequenceStartEvent):
                self._begin(event)
            elif isinstance(event, MappingEndEvent | SequenceEndEvent):
                self._end(event)
            elif isinstance(event, ScalarEvent):
                self._scalar(event)

    def _alias(self, event: Any) -> None:
        self._note(event, "a YAML alias", "write the value out; aliases are not read")
        parent = self.stack[-1] if self.stack else None
        if parent is not None and isinstance(parent.value, dict) and parent.key is None:
            parent.key, parent.key_mark = f"*{event.anchor}", event.start_mark
            return
        self._put(event, f"*{event.anchor}")

    def _begin(self, event: Any) -> None:
        self._check(event)
        value: Any = {} if isinstance(event, MappingStartEvent) else []
        if len(self.stack) >= MAX_DEPTH:
            raise _EndError(_too_deep(event.start_mark))
        where = self._place(event, value, flow=bool(event.flow_style))
        self.stack.append(_Open(where, value))

    def _end(self, event: Any) -> None:
        closed = self.stack.pop()
        span = self.document.spans[closed.where]
        if span.flow:
            span.end_line, span.end_offset = event.end_mark.line + 1, event.end_mark.index
        if self.stack:
            parent = self.document.spans[self.stack[-1].where]
            parent.end_line = max(parent.end_line, span.end_line)

    def _scalar(self, event: Any) -> None:
        self._check(event)
        if found := _NOWHERE.search(event.value):
            words = f"a text with the control character {found[0]!r}"
            self._note(event, words, "write it without")
            # Errors about other faults may quote it.
            event.value = _NOWHERE.sub("?", event.value)
        parent = self.stack[-1] if self.stack else None
        if parent is not None and isinstance(parent.value, dict) and parent.key is None:
            if event.value in parent.value:
                first = self.document.spans[(*parent.where, event.value)].key_line
                self._note(
                    event,
                    f"{excerpt(event.value)!r} stands here twice",
                    f"line {first} has it already",
                )
            parent.key, parent.key_mark = event.value, event.start_mark
            return
        self._put(event, _resolve(event))

    def _put(self, event: Any, value: Any) -> None:
        where = self._place(event, value)
        if self.stack:
            span, outer = self.document.spans[where], self.document.spans[self.stack[-1].where]
            outer.end_line = max(outer.end_line, span.end_line)

    def _place(self, event: Any, value: Any, *, flow: bool = False) -> Where:
        """Put `value` into the open mapping or sequence and note its place; return its path of keys."""
        start, key_mark = event.start_mark, event.start_mark
        if not self.stack:
            where: Where = ()
            self.document.data = value
        else:
            parent = self.stack[-1]
            if isinstance(parent.value, dict):
                if parent.key is None:
                    raise self._end_at(event, "a key that is no single word", "write `key: value`")
                where, key_mark = (*parent.where, parent.key), parent.key_mark
                parent.value[parent.key] = value
                parent.key = None
            else:
                where = (*parent.where, len(parent.value))
                parent.value.append(value)
        if value is None and isinstance(event, ScalarEvent):
            # The parser sees an empty value only at the next token, lines below. Its place is that of its key.
            start = key_mark if event.value == "" else start
        self.document.spans[where] = TextRange(
            key_line=key_mark.line + 1,
            key_column=key_mark.column + 1,
            line=start.line + 1,
            column=start.column + 1,
            end_line=start.line + 1 if value is None else self._last_line(event),
            offset=start.index,
            end_offset=event.end_mark.index,
            flow=flow,
        )
        return where

    def _last_line(self, event: Any) -> int:
        """Return the last line of the value itself; the parser ends block scalars on the line below."""
        start, end = event.start_mark, event.end_mark
        body = self.document.text[start.index : end.index].rstrip()
        return int(start.line) + 1 + body.count("\n")

    def _check(self, event: Any) -> None:
        self.values += 1
        if self.values > MAX_VALUES:
            raise self._end_at(event, f"more than {MAX_VALUES} values", "leave some out")
        if event.anchor:
            self._note(event, f"a YAML anchor &{excerpt(event.anchor)}", "write the value out")
        if event.tag:
            tag = excerpt(str(event.tag))
            self._note(event, f"a YAML tag {tag}", "remove it; values need no tags")

    def _note(self, event: Event, message: str, hint: str) -> None:
        mark = event.start_mark
        self.faults.append(TextFault(mark.line + 1, mark.column + 1, message, hint))

    def _end_at(self, event: Event, message: str, hint: str) -> _EndError:
        mark = event.start_mark
        return _EndError(TextFault(mark.line + 1, mark.column + 1, message, hint))


def _resolve(event: Any) -> Any:
    """Return the value of a scalar: YAML 1.2's core types for plain ones, text for the others."""
    text: str = event.value
    # All-digit commits, and those that look like 12e34, are text whatever YAML says.
    if event.style or _COMMIT.match(text):
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.match(text) and len(text) < 20:
        return int(text)
    if _FLOAT.match(text) and len(text) < 40 and math.isfinite(float(text)):
        return float(text)
    return text


def _syntax_fault(error: MarkedYAMLError) -> TextFault:
    """Return ruamel's complaint with the place where it was seen."""
    problem = (error.problem or error.context or "not YAML").strip().splitlines()[0]
    mark = error.problem_mark or error.context_mark
    hint = "check the indentation and the quotes around this line"
    if "\\t" in problem:
        problem, hint = "a tab where YAML allows only spaces", "indent with spaces"
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
    return TextFault(line, column, f"not YAML: {problem}", hint)
