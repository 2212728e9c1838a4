"""Whether a model can be asked a golden prompt: by its kind, its images and its tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolkit.domain.files.capabilities import Capabilities
from toolkit.domain.gates.golden import GoldenPrompt
from toolkit.planning.release.capabilities import answers


def unaskable(prompt: GoldenPrompt, able: Capabilities) -> tuple[str, str]:
    """Return why a model with these abilities refuses a prompt, and what to do; two empty texts where it does not.

    Both releases would refuse it, so it would never count.
    """
    if not answers(able, prompt.kind):
        words = f"a prompt of kind {prompt.kind}, and the model does {able.kind}"
        return words, "take the prompt out, or write the kind of the model as `kind`"
    if not able.vision and any(_has_image(turn) for turn in prompt.payload.get("messages", ())):
        return "a prompt with images, and the model takes none", "take the prompt out"
    # A call that is demanded needs no parser.
    if (
        not able.tools
        and "tools" in prompt.payload
        and prompt.payload.get("tool_choice", "auto") == "auto"
    ):
        words = "a prompt with tools, and the engine has no parser for calls of this model"
        return words, "take the prompt out, or name the parser under `serving`; see docs/kinds.md"
    return "", ""


def _has_image(turn: Mapping[str, Any]) -> bool:
    content = turn.get("content")
    return isinstance(content, list) and any(part["type"] == "image_url" for part in content)
