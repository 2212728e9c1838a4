"""A request's line: its fields as JSON, by a template. The encoder of the standard library takes four times as long."""

from __future__ import annotations

from json.encoder import encode_basestring_ascii as _quoted

from toolkit_recorder.counting import Count


def fields(
    who: tuple[str, str, str, str],
    count: Count,
    end: str,
    times: tuple[float, float, float | None],
    audio: float | None = None,
) -> str:
    """Return the fields of a line as JSON without braces.

    `who` are key, model, API and id; `times` are the time in seconds since 1970, the seconds that the request took, and
    those until its first token, None where it is no stream; `audio` are seconds of sound, None where it has none.
    """
    (key, model, api, name), (at, seconds, first) = who, times
    text = (
        f'"at":{at:.3f},"key":{_quoted(key)},"model":{_quoted(model)},"api":{_quoted(api)},"id":{_quoted(name)},'
        f'"in":{_number(count.came)},"cached":{_number(count.cached)},"out":{_number(count.went)},'
        f'"reasoning":{_number(count.reasoning)},"asked":{_number(count.asked)},"end":"{end}",'
        f'"seconds":{seconds:.4f},"first":{"null" if first is None else format(first, ".4f")}'
    )
    return text if audio is None else f'{text},"audio":{audio!r}'


def _number(value: int | None) -> str | int:
    return "null" if value is None else value
