"""The gate: the answers that a replica must give before it takes traffic."""

from __future__ import annotations

from typing import Any

from toolkit.domain.model import Check
from toolkit.domain.probe import Completion
from toolkit.domain.release import Release


def gate_payload(release: Release, check: Check) -> dict[str, Any]:
    """Return the chat completion request that a check asks for."""
    return {
        "model": release.model,
        "messages": [{"role": "user", "content": check.prompt}],
        "max_tokens": check.max_tokens,
        "temperature": 0,
    }


def gate_fault(check: Check, answer: Completion) -> str:
    """Return why an answer does not pass its check; empty where it passes."""
    asked = f"asked {check.prompt!r}, it"
    if answer.status == 0:
        return f"{asked} gave no answer: {answer.error}"
    if answer.status != 200:
        return f"{asked} answered HTTP {answer.status}: {answer.error[:200]}"
    if answer.error:
        return f"{asked} answered {answer.error}"
    if not answer.text.strip():
        return f"{asked} answered nothing (empty text, finish_reason {answer.finish_reason!r})"
    if check.contains and check.contains not in answer.text:
        return f"{asked} answered {answer.text[:80]!r}, without {check.contains!r}"
    return ""
