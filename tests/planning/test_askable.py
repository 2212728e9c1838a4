"""Golden prompts that a model cannot be asked: both releases refuse them, so they never count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from toolkit.domain.files.capabilities import Capabilities
from toolkit.domain.gates.golden import Expectation, GoldenPrompt
from toolkit.domain.gates.kind import Kind
from toolkit.planning.guard.askable import unaskable

HI = {"messages": [{"role": "user", "content": "hi"}]}
PARTS = [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": "data:,"}}]
SEES = {"messages": [{"role": "system", "content": "hi"}, {"role": "user", "content": PARTS}]}
CALL = {"role": "assistant", "tool_calls": [{"function": {"name": "w", "arguments": "{}"}}]}
CALLED = {"messages": [*HI["messages"], CALL, {"role": "tool", "content": "rain"}]}
CALLS = {**HI, "tools": [{"type": "function", "function": {"name": "w"}}]}
NO_PARSER = "a prompt with tools, and the engine has no parser for calls of this model"


@pytest.mark.parametrize(
    ("kind", "payload", "able", "why"),
    [
        ("chat", HI, Capabilities(), ""),
        ("completion", {"prompt": "hi"}, Capabilities(), ""),
        ("chat", CALLED, Capabilities(), ""),
        ("embedding", {"input": "hi"}, Capabilities(Kind.EMBEDDING), ""),
        ("rerank", {"query": "hi"}, Capabilities(Kind.EMBEDDING), ""),
        ("transcription", {}, Capabilities(audio=True), ""),
        ("embedding", {"input": "hi"}, Capabilities(), "a prompt of kind embedding, and the model does chat"),
        ("chat", HI, Capabilities(Kind.COMPLETION), "a prompt of kind chat, and the model does completion"),
        ("transcription", {}, Capabilities(), "a prompt of kind transcription, and the model does chat"),
        ("chat", SEES, Capabilities(vision=True), ""),
        ("chat", SEES, Capabilities(), "a prompt with images, and the model takes none"),
        ("chat", CALLS, Capabilities(tool_parser="hermes"), ""),
        ("chat", CALLS, Capabilities(), NO_PARSER),
        ("chat", {**CALLS, "tool_choice": "auto"}, Capabilities(), NO_PARSER),
        ("chat", {**CALLS, "tool_choice": "none"}, Capabilities(), ""),
        ("chat", {**CALLS, "tool_choice": {"type": "function", "function": {"name": "w"}}}, Capabilities(), ""),
    ],
)  # fmt: skip
def test_a_model_is_asked_what_it_can_do(
    kind: str, payload: Mapping[str, Any], able: Capabilities, why: str
) -> None:
    prompt = GoldenPrompt("p", "x.yaml:1", Kind(kind), payload, Expectation(exact="a"))
    found, hint = unaskable(prompt, able)
    assert (found, bool(hint)) == (why, bool(why))
