"""Which record of the ledger a line of the access log gets its tokens from."""

from __future__ import annotations

from dataclasses import replace

import pytest

from toolkit.domain.clients.requests import LoggedRequest, RecordedUse
from toolkit.planning.use.joined import joined, lacks_tokens

AT = 1_795_000_000
REQUEST = LoggedRequest(
    host="gpu1", at=AT, client="10.0.0.9", method="POST", path="/v1/chat/completions", key="ann", model="tiny",
    version="v1", release=3, slot="blue", status=499, reason="client_left_answer", tokens_in=None, tokens_out=None,
    request_ms=0, connect_ms=0, first_byte_ms=40, total_ms=900, end="CD", request_id="r1",
)  # fmt: skip
RECORD = RecordedUse(
    began=AT + 0.4, at=AT + 1.3, model="tiny", version="v1", release=3, tokens_in=7, tokens_out=5, request_id="r1"
)  # fmt: skip


@pytest.mark.parametrize(
    ("request_", "record", "tokens"),
    [
        (REQUEST, RECORD, (7, 5)),
        # nobody knows
        (REQUEST, replace(RECORD, tokens_in=None, tokens_out=None), (None, None)),
        # another request, another release, another time
        (REQUEST, replace(RECORD, request_id="r2"), (None, None)),
        (REQUEST, replace(RECORD, release=4), (None, None)),
        (REQUEST, replace(RECORD, began=AT + 500.0), (None, None)),
        # before an answer the log does not know which release worked
        (replace(REQUEST, release=None, reason="client_left"), RECORD, (7, 5)),
        # it waited three minutes for its model
        (replace(REQUEST, request_ms=180_000), replace(RECORD, began=AT + 180.5), (7, 5)),
        # what the router knows stays
        (replace(REQUEST, tokens_in=1, tokens_out=2), RECORD, (1, 2)),
        # no replica worked on it
        (replace(REQUEST, release=None, status=401, reason="missing_api_key"), RECORD, (None, None)),
        (replace(REQUEST, method="GET"), RECORD, (None, None)),
    ],
)  # fmt: skip
def test_a_request_gets_the_tokens_of_its_record(
    request_: LoggedRequest, record: RecordedUse, tokens: tuple[int | None, int | None]
) -> None:
    [found] = joined([request_], [record])
    assert (found.tokens_in, found.tokens_out) == tokens
    assert replace(found, tokens_in=None, tokens_out=None) == replace(
        request_, tokens_in=None, tokens_out=None
    )


def test_of_one_id_each_request_gets_the_record_that_began_with_it() -> None:
    requests = [replace(REQUEST, at=AT + each) for each in (0, 20, 40)]
    records = [replace(RECORD, began=AT + each + 0.3, tokens_out=each) for each in (40, 0, 20, 21)]
    assert [each.tokens_out for each in joined(requests, records)] == [0, 20, 40]


def test_a_record_counts_once_though_two_hosts_tell_it() -> None:
    first, second = joined([REQUEST, replace(REQUEST, at=AT + 1)], [RECORD, RECORD])
    assert (first.tokens_out, second.tokens_out) == (5, None)


@pytest.mark.parametrize(
    ("fields", "lacks"),
    [
        ({}, True),
        ({"release": None}, True),
        ({"release": None, "status": 503}, False),
        ({"method": "GET"}, False),
        ({"tokens_in": 1, "tokens_out": 0}, False),
        ({"tokens_in": 1}, True),
    ],
)
def test_what_a_replica_worked_on_lacks_tokens(fields: dict[str, int | None], lacks: bool) -> None:
    assert lacks_tokens(replace(REQUEST, **fields)) is lacks  # type: ignore[arg-type]
