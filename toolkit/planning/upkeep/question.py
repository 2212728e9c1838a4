"""A person's question to a model: the request, what its answer says, and why it was refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from toolkit.domain.bounds import ANSWER
from toolkit.domain.clients.tally import ASLEEP
from toolkit.domain.excerpt import brief
from toolkit.domain.gates.kind import Kind
from toolkit.domain.outside import parse_mapping
from toolkit.errors import BusyError, HostError, InputError, RefusedError, ToolkitError
from toolkit.planning.guard.kinds import PATHS

_TEXTS = (Kind.CHAT, Kind.COMPLETION)


@dataclass(frozen=True, slots=True)
class ModelQuestion:
    """A prompt to a model, by the name that clients request, and how it is asked.

    `most_tokens` bounds the answer; None leaves that to the model. `system` is said before the prompt in a chat.
    """

    model: str
    prompt: str
    system: str = ""
    most_tokens: int | None = None
    temperature: float | None = None

    def request(self, kind: Kind, *, stream: bool) -> tuple[str, dict[str, Any]]:
        """Return path and payload; raises InputError where a model of this kind writes no text."""
        if kind not in _TEXTS:
            raise InputError(
                f"{self.model} answers requests of kind {kind}, and no question in words",
                hint=f"curl the router's {PATHS[kind]}; see toolkit registry show {self.model}",
            )
        if kind is Kind.COMPLETION and self.system:
            raise InputError(
                f"{self.model} completes texts and takes no system prompt",
                hint="write it at the beginning of the prompt",
            )
        messages = [{"role": "user", "content": self.prompt}]
        if self.system:
            messages.insert(0, {"role": "system", "content": self.system})
        asked = {"prompt": self.prompt} if kind is Kind.COMPLETION else {"messages": messages}
        options = {"max_tokens": self.most_tokens, "temperature": self.temperature}
        streaming = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
        given = {name: value for name, value in options.items() if value is not None}
        return PATHS[kind], {"model": self.model, **asked, **given, **streaming}


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an answer: words, thoughts, and the usage where the engine counts it."""

    text: str = ""
    thought: str = ""
    usage: Mapping[str, Any] | None = None


def kind_told(described: Mapping[str, Any]) -> Kind:
    """Return the kind of a model as a router describes it; a chat where it does not say."""
    name = str(described.get("kind", "")).partition("/")[0]
    return Kind(name) if name in set(Kind) else Kind.CHAT


def piece_of(text: str) -> Piece:
    """Return the content of an event of a stream, or of an answer in one piece; raises HostError for other texts."""
    try:
        data = parse_mapping(text, ANSWER)
    except ValueError as error:
        raise HostError(
            f"the answer is no JSON: {brief(text, 80)!r}", hint="toolkit logs MODEL"
        ) from error
    if isinstance(fault := data.get("error"), Mapping):
        words = f"the engine broke off: {brief(str(fault.get('message', '')))}"
        raise HostError(words, hint="toolkit logs MODEL")
    choices = data.get("choices")
    choice = _mapping(choices[0] if isinstance(choices, list) and choices else None)
    said = _mapping(choice.get("delta") or choice.get("message") or choice)
    usage = data.get("usage")
    return Piece(
        _text(said, "content", "text"),
        # vLLM named the field `reasoning_content` before 0.12.
        _text(said, "reasoning", "reasoning_content"),
        usage if isinstance(usage, Mapping) else None,
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(said: Mapping[str, Any], *names: str) -> str:
    found = [said[name] for name in names if isinstance(said.get(name), str)]
    return found[0] if found else ""


def refusal(question: ModelQuestion, status: int, body: str) -> ToolkitError:
    """Return the error for an answer that is none: the router's or the engine's words, and what to type next."""
    words = brief(_words(body)) or f"HTTP {status}"
    if status in (401, 403):
        return InputError(
            f"the router refuses the key: {words}",
            hint="export TOOLKIT_KEY, or name a file with --key-file; toolkit keys list",
        )
    if status == 404:
        return InputError(words, hint="toolkit status")
    if status in (400, 413, 415, 422):
        return InputError(
            f"{question.model} refuses the request: {words}", hint="toolkit ask --help"
        )
    if _code(body) == ASLEEP:
        # A command waits until the model is up, also where the request has woken it.
        return BusyError(words, hint=f"toolkit wake {question.model}, then the same again")
    if status in (429, 503, 529):
        return BusyError(words, hint=f"try again; toolkit status {question.model}")
    if status == 405:
        return RefusedError(words)
    return HostError(f"HTTP {status}: {words}", hint=f"toolkit logs {question.model}")


def _words(body: str) -> str:
    error = _error(body)
    return str(error.get("message", "")) if isinstance(error, Mapping) else str(error or body)


def _code(body: str) -> str:
    error = _error(body)
    return str(error.get("code", "")) if isinstance(error, Mapping) else ""


def _error(body: str) -> object:
    try:
        return parse_mapping(body, ANSWER).get("error")
    except ValueError:
        return None
