"""The abilities of a model, and the facts of its small files that tell them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from toolkit.domain.bounds import CONTEXT
from toolkit.domain.gates.kind import Kind

# Pieces of chat templates that tell families apart: how a call of a tool and a thought are written. A pin notes which
# of them a template has, so a new piece is known of a version only after it is pinned again.
MARKS = (
    "<tool_call>",
    "<function=",
    "<arg_key>",
    "<think>",
    "</think>",
    "enable_thinking",
    "thinking is defined",
    "<|python_tag|>",
    "ipython",
    "[TOOL_CALLS]",
    "[THINK]",
    "<｜tool▁calls▁begin｜>",
    "<|tool_calls_section_begin|>",
    "<minimax:tool_call>",
    "<|tool_call|>",
    "<|tool|>",
    "<start_function_call>",
    "<|tool_call>",
    "<|channel>",
    "<|channel|>",
    "<|plugin|>",
    "<|START_ACTION|>",
    "<|START_THINKING|>",
    "<seed:tool_call>",
    "<seed:think>",
    "<TOOLCALL>",
    "<function_calls>",
    "<tool_calls>",
    "<|tool_call_start|>",
    "Here is my thought process",
)
_TEXTS, _LONGEST = 64, 200


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """The facts of the small files of a model. They are read when the model is pinned, and kept in the lock.

    `architectures` and `model_type` are those of `config.json`, `context` the tokens that a request has at most, None
    where no file says it. `template` is whether a chat template is there, `tools` whether it shows the model the tools
    of a request, `thinks` whether it begins an answer with a thought, `marks` are the pieces of `MARKS` in it. `tekken`
    is whether Mistral's own tokenizer is there, which writes chats without a template. `pooling` is whether
    `modules.json` makes one vector of a text, `labels` the number of classes of a classifier. `vision` and `audio` are
    whether it takes images and sound. `vocabulary` is the number of its tokens, None where no file says it.
    """

    architectures: tuple[str, ...] = ()
    model_type: str = ""
    context: int | None = None
    template: bool = False
    tools: bool = False
    thinks: bool = False
    marks: tuple[str, ...] = ()
    tekken: bool = False
    pooling: bool = False
    labels: int | None = None
    vision: bool = False
    audio: bool = False
    vocabulary: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form in a lock: what differs from an empty answer."""
        plain = asdict(self)
        return {
            each.name: list(plain[each.name])
            if isinstance(each.default, tuple)
            else plain[each.name]
            for each in fields(self)
            if plain[each.name] != each.default
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> ModelFacts:
        """Return the facts whose `as_json` is `data`; raises ValueError, with the field, for anything else."""
        known = {each.name: each.default for each in fields(ModelFacts)}
        for name in data:
            if name not in known:
                raise ValueError(f"{name!r} is no fact of a model")
        return ModelFacts(**{name: _value(name, known[name], data[name]) for name in data})


def _value(name: str, default: object, value: object) -> Any:
    if isinstance(default, tuple):
        if isinstance(value, list) and len(value) <= _TEXTS and all(map(_is_text, value)):
            return tuple(value)
    elif isinstance(default, bool):
        if isinstance(value, bool):
            return value
    elif default is None:
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= CONTEXT:
            return value
    elif _is_text(value):
        return value
    raise ValueError(f"{name!r} has a value that no pin writes")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The abilities of a release for its clients.

    `kind` is what it answers. `tool_parser` and `reasoning_parser` are the engine's parsers, empty where calls of tools
    are refused and thoughts stand in the answer's text. `context` is in tokens, None where nothing says it.
    """

    kind: Kind = Kind.CHAT
    tool_parser: str = ""
    reasoning_parser: str = ""
    vision: bool = False
    audio: bool = False
    context: int | None = None

    @property
    def tools(self) -> bool:
        """Whether it takes the tools of a request."""
        return bool(self.tool_parser)

    @property
    def reasoning(self) -> bool:
        """Whether its thoughts stand in a field of their own."""
        return bool(self.reasoning_parser)

    @property
    def words(self) -> tuple[str, ...]:
        """The abilities in words, the kind first."""
        able = {
            "tools": self.tools,
            "reasoning": self.reasoning,
            "vision": self.vision,
            "audio": self.audio,
        }
        return (str(self.kind), *(word for word, there in able.items() if there))

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form in a release and in `--json`."""
        return {**asdict(self), "kind": str(self.kind)}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Capabilities:
        """Return the capabilities whose `as_json` is `data`; a field that this toolkit does not know is left out."""
        known = {name: data[name] for name in Capabilities.__dataclass_fields__ if name in data}
        return Capabilities(**{**known, "kind": Kind(known.get("kind", Kind.CHAT))})
