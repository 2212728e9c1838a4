"""Read a host's answers about single requests; every value is checked, see `toolkit/hostside/request_log.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolkit.domain.clients.requests import LoggedRequest, RecordedUse, RequestPart
from toolkit.domain.outside import checked, text_of

_TEXTS = (
    *("client", "method", "path", "key", "model", "version", "slot", "reason", "end", "request_id"),
)
# Characters of a name, an id or an API's path.
_TEXT = 400
# Characters of the sentence that says what a log lacks.
_WORDS = 500


def part_from_json(host: str, data: Mapping[str, Any]) -> RequestPart:
    """Return the part of the log that `host` sent; raises ValueError, TypeError or KeyError for other data."""
    requests = tuple(_request(host, each) for each in data["requests"])
    lacks = text_of(data["unlogged"], "unlogged", _WORDS)
    return RequestPart(requests, dict(data["place"]), bool(data["more"]), lacks)


def records_from_json(data: Mapping[str, Any]) -> tuple[RecordedUse, ...]:
    """Return records of a ledger; raises ValueError, TypeError or KeyError where they are none."""
    return tuple(map(_record, data["records"]))


def _request(host: str, line: Mapping[str, Any]) -> LoggedRequest:
    return checked(
        LoggedRequest(
            host=host,
            at=line["at"],
            release=line["release"],
            status=line["status"],
            tokens_in=line["in"],
            tokens_out=line["out"],
            request_ms=line["request"],
            connect_ms=line["connect"],
            first_byte_ms=line["first_byte"],
            total_ms=line["total"],
            left_out=line["left_out"],
            **{name: text_of(line[name], name, _TEXT) for name in _TEXTS},
        )
    )


def _record(line: Mapping[str, Any]) -> RecordedUse:
    return checked(
        RecordedUse(
            began=line["at"] - line["seconds"],
            at=line["at"],
            model=text_of(line["model"], "model", _TEXT),
            version=text_of(line["version"], "version", _TEXT),
            release=line["release"],
            tokens_in=line["in"],
            tokens_out=line["out"],
            request_id=text_of(line["id"], "id", _TEXT),
        )
    )
