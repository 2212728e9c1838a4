"""Expectations that no answer can meet."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from toolkit.config.golden.possible import is_possible
from toolkit.domain.gates.golden import TOKEN, Expectation, Fit, Fits

# Of the types of a JSON Schema, the names of their bounds.
_BOUNDS = {
    "integer": ("minimum", "maximum"),
    "number": ("minimum", "maximum"),
    "string": ("minLength", "maxLength"),
    "array": ("minItems", "maxItems"),
    "object": ("minProperties", "maxProperties"),
}
_DEPTH = 16


def contradiction(expect: Expectation, max_tokens: int, fits: Fits) -> str:
    """Return why no answer of at most `max_tokens` tokens can be as expected; nothing where one may be."""
    for fault in (*_of_sizes(expect, max_tokens), *_of_texts(expect, fits)):
        return fault
    return ""


def _of_sizes(expect: Expectation, max_tokens: int) -> Iterator[str]:
    least = (expect.tokens and expect.tokens.least) or 0
    if least > max_tokens:
        yield f"an answer of at most {max_tokens} tokens never has {least:g}"
    if expect.tokens and expect.tokens.most is not None and expect.tokens.most < 1:
        yield "an answer of less than one token is empty"
    least = (expect.length and expect.length.least) or 0
    if least > max_tokens * TOKEN:
        yield f"an answer of at most {max_tokens} tokens never has {least:g} characters"
    if expect.length and expect.length.most is not None and expect.length.most < 1:
        yield "an answer of less than one character is empty"
    for text in (*((expect.exact.strip(),) if expect.exact else ()), *expect.contains):
        if len(text) > max_tokens * TOKEN:
            yield f"an answer of at most {max_tokens} tokens never has {len(text)} characters"
        elif expect.length and expect.length.most is not None and len(text) > expect.length.most:
            yield f"{text[:60]!r} is longer than {expect.length}"
    if _is_empty(expect.json_schema):
        yield "no JSON is of the schema"


def _is_empty(schema: Any, depth: int = _DEPTH) -> bool:
    """Return whether no value obeys a JSON Schema, where its bounds or the parts that it requires tell."""
    if not isinstance(schema, Mapping) or "$ref" in schema or not depth:
        return schema is False
    if any(_is_empty(each, depth - 1) for each in schema.get("allOf", ())):
        return True
    for choice in (schema[name] for name in ("anyOf", "oneOf") if name in schema):
        if all(_is_empty(each, depth - 1) for each in choice):
            return True
    kind = schema.get("type")
    if not isinstance(kind, str) or kind not in _BOUNDS:
        return False
    least, most = (schema.get(name) for name in _BOUNDS[kind])
    if least is not None and most is not None and least > most:
        return True
    return kind == "object" and _lacks_required(schema, most, depth)


def _lacks_required(schema: Mapping[str, Any], most: float | None, depth: int) -> bool:
    required, parts = schema.get("required", ()), schema.get("properties", {})
    if not isinstance(required, list):
        # A flag of a property, in the third draft.
        return False
    closed = schema.get("additionalProperties") is False and "patternProperties" not in schema
    return (most is not None and len(set(required)) > most) or any(
        _is_empty(parts[name], depth - 1) if name in parts else closed for name in required
    )


def _of_texts(expect: Expectation, fits: Fits) -> Iterator[str]:
    for text in expect.contains:
        for other in expect.lacks:
            if other in text:
                yield f"no answer contains {text[:60]!r} and lacks {other[:60]!r}"
    if expect.tool_call and expect.refusal:
        yield "no answer calls a tool and refuses"
    # Answers are compared without the spaces around them.
    named = [] if expect.exact is None else [expect.exact.strip()]
    choices = [each.strip() for each in expect.choice]
    candidates = [text for text in (named or choices) if not choices or text in choices]
    if not named and not choices and not is_possible(expect):
        yield _words(expect)
    if (named or expect.choice) and not any(_may_be(text, expect, fits) for text in candidates):
        what = f"{named[0][:60]!r}" if named else "each choice"
        yield f"{what} contradicts the rest that is expected"


def _words(expect: Expectation) -> str:
    """Return the expectations that contradict each other, in words."""
    found = [f"the pattern {expect.regex[:60]!r}"] if expect.regex is not None else []
    found += [f"contains {each[:60]!r}" for each in expect.contains[:4]]
    found += [f"lacks {each[:60]!r}" for each in expect.lacks[:4]]
    found += [f"a length of {expect.length}"] if expect.length else []
    return (
        f"{found[0]} finds nothing" if len(found) == 1 else f"{', '.join(found)} exclude each other"
    )


def _may_be(text: str, expect: Expectation, fits: Fits) -> bool:
    """Return whether an answer that is `text` may have all else that is expected of it."""
    if not text and not expect.tool_call:
        return False
    if expect.length and not expect.length.holds(len(text)):
        return False
    if any(part not in text for part in expect.contains) or any(
        part in text for part in expect.lacks
    ):
        return False
    if expect.regex is not None and fits(Fit(text, regex=expect.regex)) == "no match":
        return False
    if expect.json_schema is not None:
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            return False
        return not fits(Fit(text, json_schema=expect.json_schema))
    return True
