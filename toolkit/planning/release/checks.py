"""The checks of a release: those of the registry, or the one that its kind has by default."""

from __future__ import annotations

from dataclasses import replace

from toolkit.domain.files.capabilities import Capabilities
from toolkit.domain.gates.golden import Kind
from toolkit.domain.registry.model import Check

# A replica of a version without checks must answer this before it takes traffic.
DEFAULT_CHECK = Check(prompt="Say hello.", max_tokens=8)
# A thought of so many tokens is an answer; a large model on a CPU needs its time for them.
_THINKING = Check(prompt="Say hello.", max_tokens=64, timeout=120.0)
_DEFAULTS = {
    Kind.COMPLETION: Check(prompt="Once upon a time", max_tokens=8, kind="completion"),
    Kind.EMBEDDING: Check(prompt="Say hello.", kind="embedding"),
    Kind.RERANK: Check(prompt="Say hello.", kind="rerank"),
    Kind.TRANSCRIPTION: Check(prompt="a second of silence", kind="transcription"),
    Kind.CLASSIFICATION: Check(prompt="Say hello.", kind="classification"),
}


def checks_of(
    checks: tuple[Check, ...], able: Capabilities | None, kind: Kind
) -> tuple[Check, ...]:
    """Return the checks of a release of `kind`: `checks`, each with a kind, or a default where there are none."""
    if checks:
        return tuple(each if each.kind else replace(each, kind=str(kind)) for each in checks)
    if kind is Kind.CHAT:
        return (_THINKING if able and able.reasoning else DEFAULT_CHECK,)
    return (_DEFAULTS[kind],)
