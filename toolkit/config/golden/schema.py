"""The schema of a file of golden prompts."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from toolkit.config.golden.references import check_references, check_schema
from toolkit.config.registry.fields import Duration, Text, refuse, short
from toolkit.config.registry.part import Spec
from toolkit.domain.gates.golden import Expectation, Range, ToolCall

_IMAGE = re.compile(r"data:image/[a-z0-9.+-]{1,40};base64,[A-Za-z0-9+/=]+\Z")
_OF_TEXT = ("exact", "contains", "lacks", "regex", "choice", "json_schema", "length", "tokens")
_OF_KIND = {
    "chat": (*_OF_TEXT, "tool_call", "refusal"),
    "completion": _OF_TEXT,
    # Engines count no tokens of a transcription.
    "transcription": tuple(each for each in _OF_TEXT if each != "tokens"),
    "embedding": ("dimensions", "norm", "similarity"),
    "rerank": ("order",),
}
_ASKS = {
    "chat": ("system", "messages", "images", "tools"),
    "completion": (),
    "embedding": (),
    "rerank": ("documents",),
    "transcription": ("audio",),
}
# Fields of sampling that are numbers, with the least and the most that vLLM takes.
_BOUNDS: Mapping[str, tuple[float, float]] = {
    "temperature": (0, 1000),
    "top_p": (1e-6, 1),
    "top_k": (-1, 10**9),
    "min_p": (0, 1),
    "seed": (-(2**63), 2**63 - 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
    "repetition_penalty": (1e-6, 1000),
    "n": (1, 1),
    "top_logprobs": (-1, 10**6),
    "dimensions": (1, 10**6),
    "top_n": (0, 10**6),
}
_SAMPLING = frozenset(
    {
        *_BOUNDS,
        "stop",
        "response_format",
        "tool_choice",
        "parallel_tool_calls",
        "chat_template_kwargs",
        "reasoning_effort",
        "logprobs",
        "structured_outputs",
        "encoding_format",
        "language",
    }
)


def _one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _schema(value: Any) -> Any:
    if not isinstance(value, dict):
        raise refuse("a JSON Schema is a mapping here", 'for example {"type": "object"}')
    check_schema(value)
    check_references(value)
    return value


def _pattern(value: Any) -> Any:
    if isinstance(value, str):
        try:
            with warnings.catch_warnings():
                # Of what a later Python may read otherwise: it would stand amid the lines of a command.
                warnings.simplefilter("ignore")
                re.compile(value)
        except (re.error, OverflowError, RecursionError) as error:
            raise refuse(
                f"no regular expression: {error}", "see the manual of Python's `re`"
            ) from None
    return value


Texts = Annotated[
    list[Annotated[Text, StringConstraints(max_length=4096)]],
    BeforeValidator(_one_or_more),
    Field(min_length=1, max_length=256),
]
Number = Annotated[float, Field(ge=0, le=10**9)]


class SpanSpec(Spec):
    """Bounds of a number, both included."""

    least: Number | None = None
    most: Number | None = None

    @model_validator(mode="after")
    def _some(self) -> SpanSpec:
        if self.least is None and self.most is None:
            raise refuse("bounds without a number", "write {least: 1, most: 100} or one of the two")
        if self.least is not None and self.most is not None and self.least > self.most:
            raise refuse(
                f"no number is at least {self.least:g} and at most {self.most:g}",
                "write the smaller one as `least`",
            )
        return self

    def in_domain(self, model: str, directory: str) -> Range:
        return Range(self.least, self.most)


class ToolCallSpec(Spec):
    """The call of a tool."""

    name: Text
    arguments: dict[str, Any] = Field(default_factory=dict)

    def in_domain(self, model: str, directory: str) -> ToolCall:
        return ToolCall(self.name, self.arguments)


class ExpectSpec(Spec):
    """The conditions of an answer; all that are set must hold."""

    exact: Text | None = None
    contains: Texts | None = None
    lacks: Texts | None = None
    regex: Annotated[Text, StringConstraints(max_length=1000), BeforeValidator(_pattern)] | None = (
        None
    )
    choice: Texts | None = None
    json_schema: Annotated[Any, BeforeValidator(_schema)] = None
    tool_call: ToolCallSpec | None = None
    refusal: bool | None = None
    length: SpanSpec | None = None
    tokens: SpanSpec | None = None
    dimensions: Annotated[int, Field(ge=1, le=2**20)] | None = None
    norm: SpanSpec | None = None
    similarity: Annotated[float, Field(ge=-1, le=1)] | None = None
    order: (
        Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, max_length=1024)] | None
    ) = None

    def in_domain(self, model: str, directory: str) -> Expectation:
        values = {name: getattr(self, name) for name in self.model_fields_set}
        found: dict[str, Any] = {
            name: value.in_domain(model, directory)
            if isinstance(value, Spec)
            else tuple(value)
            if isinstance(value, list)
            else value
            for name, value in values.items()
            if value is not None
        }
        return Expectation(**found)


class MessageSpec(Spec):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant", "tool", "developer"]
    content: Text | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: Text | None = None
    name: Text | None = None

    @model_validator(mode="after")
    def _says_something(self) -> MessageSpec:
        if self.content is None and not (self.role == "assistant" and self.tool_calls):
            raise refuse(f"a turn of the {self.role} that says nothing", "add `content:`")
        return self


class TriesSpec(Spec):
    """The answers of one prompt, and how many of them must be as expected."""

    of: Annotated[int, Field(ge=1, le=100)]
    least: Annotated[int, Field(ge=1, le=100)]

    @model_validator(mode="after")
    def _enough(self) -> TriesSpec:
        if self.least > self.of:
            raise refuse(
                f"{self.least} of {self.of} answers cannot be as expected",
                "write for example {least: 3, of: 5}",
            )
        return self


class PromptSpec(Spec):
    """One golden prompt."""

    name: Annotated[Text, StringConstraints(max_length=100)] | None = None
    kind: Literal["chat", "completion", "embedding", "rerank", "transcription"] = "chat"
    prompt: Text | None = None
    system: Text | None = None
    messages: Annotated[list[MessageSpec], Field(min_length=1, max_length=256)] | None = None
    images: Annotated[list[str], Field(min_length=1, max_length=16)] | None = None
    tools: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=128)] | None = None
    documents: Annotated[list[Text], Field(min_length=1, max_length=1024)] | None = None
    audio: Text | None = None
    sampling: dict[str, Any] = Field(default_factory=dict)
    max_tokens: Annotated[int, Field(ge=1, le=65_536)] = 256
    timeout: Duration = 60.0
    tries: TriesSpec | None = None
    expect: ExpectSpec

    @model_validator(mode="after")
    def _whole(self) -> PromptSpec:
        for check in (self._asked, self._expected, self._tools, self._turns, self._sampled):
            check()
        return self

    def _asked(self) -> None:
        for name in {name for names in _ASKS.values() for name in names} - {*_ASKS[self.kind]}:
            if getattr(self, name) is not None:
                raise refuse(f"a prompt of kind {self.kind} has no `{name}`", "remove it")
        if self.kind == "transcription":
            if self.audio is None:
                raise refuse("a transcription without `audio`", "name a file: audio: hello.wav")
        elif (self.prompt is None) == (self.messages is None):
            raise refuse(
                "a golden prompt has either a `prompt` or, for several turns, `messages`",
                "write `prompt: What is the capital of France?`",
            )
        if self.kind == "rerank" and self.documents is None:
            raise refuse("a rerank without `documents`", "list the texts to be ordered")

    def _expected(self) -> None:
        named = {
            name for name in self.expect.model_fields_set if getattr(self.expect, name) is not None
        }
        if not named:
            raise refuse(
                "it expects nothing, and so is no check",
                "write for example `expect: {contains: Paris}`",
            )
        for name in sorted(named - {*_OF_KIND[self.kind]}):
            known = ", ".join(_OF_KIND[self.kind])
            raise refuse(f"an answer of kind {self.kind} has no `{name}`", f"known here: {known}")
        order = self.expect.order or []
        for place in order:
            if place >= len(self.documents or ()):
                raise refuse(
                    f"no document {place}: there are {len(self.documents or ())}, counted from 0",
                    "list documents by their place",
                )
        if len({*order}) != len(order):
            raise refuse("a document stands twice in `order`", "list each one once")

    def _tools(self) -> None:
        call = self.expect.tool_call
        names = [
            each.get("function", {}).get("name") if isinstance(each.get("function"), dict) else None
            for each in self.tools or ()
        ]
        if None in names:
            raise refuse(
                "a tool without a name",
                "write it as clients do: {type: function, function: {name: ..., parameters: ...}}",
            )
        if call and call.name not in names:
            known = ", ".join(map(str, names)) or "none"
            raise refuse(
                f"no answer can call {short(call.name)}: the tools are {known}", "add it to `tools`"
            )

    def _turns(self) -> None:
        if self.system is not None and self.messages and self.messages[0].role == "system":
            raise refuse("`system` and a first message of the system", "keep one of the two")
        if self.messages and self.messages[-1].role == "assistant":
            raise refuse(
                "the last turn is the assistant's, so nothing is asked", "end with a user's turn"
            )
        for image in self.images or ():
            if image.startswith("data:") and not _IMAGE.match(image):
                raise refuse(
                    f"{short(image)} is no image", "write data:image/png;base64,... or name a file"
                )

    def _sampled(self) -> None:
        for name in self.sampling:
            if name not in _SAMPLING:
                raise refuse(
                    f"{short(name)} is no field of sampling",
                    f"known: {', '.join(sorted(_SAMPLING))}",
                )
        if self.sampling.get("n", 1) != 1:
            raise refuse("`n` asks for several answers in one", "write tries: {least: 3, of: 5}")
        for name in self.sampling.keys() & _BOUNDS:
            value, (least, most) = self.sampling[name], _BOUNDS[name]
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number or not least <= value <= most:
                shown = f"{value:g}" if number else short(str(value))
                raise refuse(
                    f"`{name}` is {shown}, which an engine refuses",
                    f"write a number from {least:g} to {most:g}",
                )
        self._readable()

    def _readable(self) -> None:
        """Refuse sampling whose answers are never read, or never as expected."""
        form = {"embedding": "encoding_format", "transcription": "response_format"}.get(self.kind)
        read = ("float",) if self.kind == "embedding" else ("json", "verbose_json")
        if form and self.sampling.get(form, read[0]) not in read:
            raise refuse(
                f"an answer with {form} {short(str(self.sampling[form]))} is not read",
                f"leave it out, or write {form}: {read[0]}",
            )
        dimensions, least = self.sampling.get("dimensions"), self.expect.dimensions
        if None not in (dimensions, least) and dimensions != least:
            raise refuse(
                f"{short(str(dimensions))} dimensions are asked for, and {least} are expected",
                "change one of the two",
            )
        best, order = self.sampling.get("top_n"), self.expect.order or ()
        # 0 asks for all documents.
        if self.kind == "rerank" and isinstance(best, int) and 0 < best < len(order):
            raise refuse(
                f"the best {best} are asked for, and {len(order)} are expected",
                "change `top_n` or `order`",
            )
