"""Whether an answer is as a golden prompt expects it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from toolkit.domain.excerpt import brief
from toolkit.domain.gates.golden import Expectation, Fit, Fits, ToolCall
from toolkit.domain.gates.kind import Kind
from toolkit.planning.guard.kinds import Said, cosine, norm

# Models decline in English at the beginning of the first or the second sentence, after words of politeness. Other
# languages need a pattern of their own.
_POLITE = (
    r"(?:(?:sorry|apologies|unfortunately|regrettably|no|thanks?(?: you)?|i(?:'m| am) sorry|i apologi[sz]e|i appreciate"
    r"|i understand|as an? (?:ai|assistant|language model))\b[^,;:.!?]{0,60}[,;:]\s*)"
)
_DECLINES = (
    r"(?:i(?:'m| am) (?:unable|not able|sorry\b(?! (?:to hear|for|about|that)\b))"
    r"|i (?:can(?:'t|not| not)|won't|will not|must decline|(?:do not|don't) feel comfortable)"
    r"|(?:can(?:'t|not)|unable to) (?:help|assist|comply|provide|fulfil)|as an ai\b)"
)
_REFUSAL = re.compile(rf"{_POLITE}{{0,2}}(?:but |and )?{_DECLINES}", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_OPENING = 300
_SHOWN = 80


def fault_of(
    kind: Kind, expect: Expectation, said: Said, old: Said | None, fits: Fits
) -> str | None:
    """Return why an answer is not as expected; nothing where it is, None where nobody can tell.

    `old` is what the serving release answers to the same request, where there is one.
    """
    if kind is Kind.EMBEDDING:
        return _of_vector(expect, said.vector, old.vector if old else None)
    if kind is Kind.RERANK:
        return _of_order(expect, said.order)
    for fault in _of_text(expect, said):
        return fault
    return _of_fits(expect, said, fits)


def _of_text(expect: Expectation, said: Said) -> Iterator[str]:
    text = said.text.strip()
    if expect.tool_call is not None:
        yield from _of_calls(expect.tool_call, said)
    elif not text and not said.refusal:
        yield f"answered nothing (finish_reason {said.reason!r})"
    yield from _of_words(expect, text)
    if expect.refusal is not None and _refuses(said) != expect.refusal:
        yield f"answered {_short(text)}" + (", no refusal" if expect.refusal else ", a refusal")
    if expect.length is not None and not expect.length.holds(len(text)):
        yield f"answered {len(text)} characters, not {expect.length}"
    tokens = said.tokens
    if expect.tokens is not None and tokens is not None and not expect.tokens.holds(tokens):
        yield f"answered {tokens} tokens, not {expect.tokens}"


def _of_words(expect: Expectation, text: str) -> Iterator[str]:
    if expect.exact is not None and text != expect.exact.strip():
        yield f"answered {_short(text)}, not {_short(expect.exact)}"
    if expect.choice and text not in {each.strip() for each in expect.choice}:
        yield f"answered {_short(text)}, none of {', '.join(map(_short, expect.choice[:8]))}"
    for part in expect.contains:
        if part not in text:
            yield f"answered {_short(text)}, without {_short(part)}"
    for part in expect.lacks:
        if part in text:
            yield f"answered {_short(text)}, with {_short(part)}"


def _of_calls(wanted: ToolCall, said: Said) -> Iterator[str]:
    for call in said.tool_calls:
        given = call.arguments
        same = all(
            name in given and given[name] == value for name, value in wanted.arguments.items()
        )
        if call.name == wanted.name and same:
            return
    names = ", ".join(
        f"{call.name[:40]}({dict(call.arguments)!r:.80})" for call in said.tool_calls[:4]
    )
    yield f"called {names or 'no tool'}, not {wanted.name}({dict(wanted.arguments)!r:.80})"


def _of_fits(expect: Expectation, said: Said, fits: Fits) -> str | None:
    """Return what patterns and schemas say; tokens that the engine does not count are unknown too."""
    text, unknown = said.text.strip(), expect.tokens is not None and said.tokens is None
    for fit in (
        Fit(text, regex=expect.regex) if expect.regex is not None else None,
        Fit(text, json_schema=expect.json_schema) if expect.json_schema is not None else None,
    ):
        fault = fits(fit) if fit else ""
        if fault:
            what = (
                f"no match of {_short(str(expect.regex))}"
                if fit and fit.regex is not None
                else fault
            )
            return f"answered {_short(text)}: {what}"
        unknown = unknown or fault is None
    return None if unknown else ""


def _of_vector(
    expect: Expectation, vector: tuple[float, ...], old: tuple[float, ...] | None
) -> str | None:
    if expect.dimensions is not None and len(vector) != expect.dimensions:
        return f"answered a vector of {len(vector)} numbers, not {expect.dimensions}"
    if expect.norm is not None and not expect.norm.holds(norm(vector)):
        return f"answered a vector of length {norm(vector):.4g}, not {expect.norm}"
    if expect.similarity is not None and old is not None:
        found = cosine(vector, old)
        if found is None:
            return f"answered a vector of {len(vector)} numbers that has no angle to the serving release's"
        if found < expect.similarity:
            return (
                f"answered a vector whose cosine to the serving release's is {found:.4f}, "
                f"below {expect.similarity:g}"
            )
    return ""


def _of_order(expect: Expectation, order: tuple[int, ...]) -> str:
    if order[: len(expect.order)] == expect.order:
        return ""
    found = ", ".join(map(str, order[: max(8, len(expect.order))]))
    return f"ordered {found or 'nothing'}, not {', '.join(map(str, expect.order))}"


def _refuses(said: Said) -> bool:
    opening = said.text.strip()[:_OPENING].replace("\u2019", "'")
    sentences = _SENTENCE.split(opening)[:2]
    return bool(said.refusal) or any(_REFUSAL.match(each) for each in sentences)


def _short(text: str) -> str:
    return repr(brief(text, _SHOWN))
