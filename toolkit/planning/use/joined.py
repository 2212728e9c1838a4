"""Tell the tokens of requests whose router could not know them: of streams, and of answers that clients left."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from toolkit.domain.clients.requests import LoggedRequest, RecordedUse

# The status of a request whose client left.
LEFT = 499
# A client may use one id for several requests; their times tell them apart. The bound is wide, because the log's times
# are whole seconds, hosts' clocks differ, and a record is written once the engine has ended its work.
APART_SECONDS = 90.0


def lacks_tokens(request: LoggedRequest) -> bool:
    """Whether a replica worked on a request and the log does not say what it used."""
    unknown = request.tokens_in is None or request.tokens_out is None
    # Where the client left before an answer, the log does not know who worked on it.
    worked = request.release is not None or request.status == LEFT
    return unknown and worked and request.method == "POST"


def joined(
    requests: Sequence[LoggedRequest], records: Sequence[RecordedUse]
) -> tuple[LoggedRequest, ...]:
    """Return the requests in their order, with the tokens of their records where the log has none.

    A record belongs to the request with its id and release that reached the replica when it began; of several the one
    nearest to that. No record counts twice.
    """
    known: defaultdict[str, list[RecordedUse]] = defaultdict(list)
    for record in dict.fromkeys(records):
        known[record.request_id].append(record)
    return tuple(_with_tokens(each, known[each.request_id]) for each in requests)


def _with_tokens(request: LoggedRequest, records: list[RecordedUse]) -> LoggedRequest:
    """Return the request; the record that was taken for it is removed from `records`."""
    at = request.reached_replica
    mine = [
        each
        for each in records
        if request.release in (None, each.release) and abs(each.began - at) <= APART_SECONDS
    ]
    if not mine:
        return request
    nearest = min(mine, key=lambda each: abs(each.began - at))
    records.remove(nearest)
    if not lacks_tokens(request):
        return request
    return replace(request, tokens_in=nearest.tokens_in, tokens_out=nearest.tokens_out)
