"""Golden prompts: requests with what their answers must be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from toolkit.domain.gates.kind import Kind

# Characters of one token; no vocabulary in use has a longer one.
TOKEN = 256


@dataclass(frozen=True, slots=True)
class Range:
    """Bounds of a number, both included; None where there is none."""

    least: float | None = None
    most: float | None = None

    def holds(self, number: float) -> bool:
        """Return whether the number lies within the bounds."""
        low = self.least is None or number >= self.least
        return low and (self.most is None or number <= self.most)

    def __str__(self) -> str:
        if self.least is None:
            return f"at most {self.most:g}"
        if self.most is None:
            return f"at least {self.least:g}"
        return f"{self.least:g} to {self.most:g}"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The call of a tool, by its name, with at least these arguments."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Expectation:
    """The expectations of an answer; all that are set must hold.

    Of a text: `exact` and `choice` without spaces around it, `contains` and `lacks` texts in it, `regex` a pattern that
    it has somewhere, `json_schema` a schema of the JSON that it is, `refusal` whether it declines, `length` its
    characters, `tokens` its tokens by the engine's count. Of an embedding: `dimensions`, `norm`, and `similarity`, the
    least cosine to the serving release's vector. Of a ranking: `order`, the documents from the best one on, as many as
    are listed.
    """

    exact: str | None = None
    contains: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    regex: str | None = None
    choice: tuple[str, ...] = ()
    json_schema: Mapping[str, Any] | None = None
    tool_call: ToolCall | None = None
    refusal: bool | None = None
    length: Range | None = None
    tokens: Range | None = None
    dimensions: int | None = None
    norm: Range | None = None
    similarity: float | None = None
    order: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class GoldenPrompt:
    """One golden prompt. It passes where at least `passes` of `tries` answers are as expected.

    `place` is its file and line. `payload` is the request without the model's name, `timeout` is in seconds.
    """

    name: str
    place: str
    kind: Kind
    payload: Mapping[str, Any]
    expect: Expectation
    tries: int = 1
    passes: int = 1
    timeout: float = 60.0


@dataclass(frozen=True, slots=True)
class Fit:
    """The question whether a text has a pattern (`regex`), or a value obeys a JSON Schema (`json_schema`)."""

    text: str
    regex: str | None = None
    json_schema: Mapping[str, Any] | None = None


# Returns why the subject does not fit, nothing where it fits, and None where that takes too long to find out.
Fits = Callable[[Fit], str | None]
