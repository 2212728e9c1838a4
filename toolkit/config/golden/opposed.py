"""Two golden prompts that ask the same and expect what no answer can both be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product
from typing import Any, TypeVar

from toolkit.config.golden.contradictions import contradiction
from toolkit.domain.gates.golden import Expectation, Fits, GoldenPrompt, Range

_SHOWN = 60
_Value = TypeVar("_Value")


def opposition(one: GoldenPrompt, other: GoldenPrompt, max_tokens: int, fits: Fits) -> str:
    """Return why no release can pass both of two prompts that ask the same; nothing where one may.

    Where few of several answers have to be as expected, some may be as the one expects and some as the other.
    """
    if one.passes * other.tries + other.passes * one.tries <= one.tries * other.tries:
        return ""
    return next(_faults(one.expect, other.expect, max_tokens, fits), "")


def _faults(one: Expectation, other: Expectation, max_tokens: int, fits: Fits) -> Iterator[str]:
    yield from _of_values(one, other)
    texts = {each.strip() for each in (one.exact, other.exact) if each is not None}
    if len(texts) > 1:
        yield f"{_short(str(one.exact))} is not {_short(str(other.exact))}"
    choice = _both(one.choice, other.choice)
    if not choice and (one.choice or other.choice):
        yield f"no choice of {_listed(one.choice)} is one of {_listed(other.choice)}"
    both = replace(
        one,
        exact=one.exact if one.exact is not None else other.exact,
        choice=choice,
        contains=(*one.contains, *other.contains),
        lacks=(*one.lacks, *other.lacks),
        tool_call=one.tool_call or other.tool_call,
        refusal=one.refusal if one.refusal is not None else other.refusal,
        length=_common(one.length, other.length),
        tokens=_common(one.tokens, other.tokens),
    )
    # An expectation has one pattern and one schema.
    for regex, schema in product(
        _set(one.regex, other.regex), _set(one.json_schema, other.json_schema)
    ):
        expected = replace(both, regex=regex, json_schema=schema)
        if why := contradiction(expected, max_tokens, fits):
            yield why


def _of_values(one: Expectation, other: Expectation) -> Iterator[str]:
    """Yield what contradicts itself without a look at a text."""
    if None not in (one.refusal, other.refusal) and one.refusal != other.refusal:
        yield "no answer refuses and does not"
    for what, first, second in (
        ("a length", one.length, other.length),
        ("a number of tokens", one.tokens, other.tokens),
        ("a norm", one.norm, other.norm),
    ):
        common = _common(first, second)
        if common and None not in (common.least, common.most) and common.least > common.most:  # type: ignore[operator]
            yield f"{what} is not {first} and {second}"
    if None not in (one.dimensions, other.dimensions) and one.dimensions != other.dimensions:
        yield f"no vector has {one.dimensions} dimensions and {other.dimensions}"
    if any(first != second for first, second in zip(one.order, other.order, strict=False)):
        yield f"no order is {_listed(one.order)} and {_listed(other.order)}"
    kinds = [_type(each.json_schema) for each in (one, other)]
    if "" not in kinds and len({*kinds}) > 1 and {*kinds} != {"integer", "number"}:
        yield f"no JSON is of type {kinds[0]} and of type {kinds[1]}"


def _both(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    allowed = {each.strip() for each in other}
    return tuple(each for each in one if each.strip() in allowed) if one and other else one or other


def _common(one: Range | None, other: Range | None) -> Range | None:
    if one is None or other is None:
        return one or other
    least = [each for each in (one.least, other.least) if each is not None]
    most = [each for each in (one.most, other.most) if each is not None]
    return Range(max(least, default=None), min(most, default=None))


def _set(one: _Value | None, other: _Value | None) -> list[_Value | None]:
    return [each for each in (one, other) if each is not None] or [None]


def _type(schema: Mapping[str, Any] | None) -> str:
    found = schema.get("type") if schema is not None and "$ref" not in schema else None
    return found if isinstance(found, str) else ""


def _short(text: str) -> str:
    return repr(text.strip()[:_SHOWN])


def _listed(values: tuple[Any, ...]) -> str:
    return ", ".join(str(each)[:_SHOWN] for each in values[:8])
