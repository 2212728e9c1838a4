"""Read the records of use that a host hands out; every value is checked, see `toolkit/hostside/use_hand_out.py`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from toolkit.domain.clients.tally import Tally, WatchedHour
from toolkit.domain.clients.use import (
    PERIODS,
    Counted,
    LedgerPlace,
    LedgerSums,
    UseChunk,
    UseRow,
    UseRun,
)
from toolkit.domain.outside import checked, text_of, whole
from toolkit.hostside.use_row import ROW

# Characters of a name of a key, a model, a version, an engine.
_NAME = 200
# Different counts of an hour of a model and release: bounds of times, and statuses with their reasons.
_COUNTS = 1000
_COUNT = re.compile(
    r"(?:asleep|[1-5][0-9]{2}(?::[a-z_]{1,40})?|(?:first|gone|gap)<=(?:inf|[0-9]{1,4}(?:\.[0-9]{1,4})?))\Z"
)


def chunk_from_json(host: str, data: Mapping[str, Any]) -> UseChunk:
    """Return the chunk that `host` handed out; raises ValueError, TypeError or KeyError where it is none."""
    ledger = text_of(data["ledger"], "ledger", 64)
    before = data["before"]
    if not ledger and (data["rows"] or data["runs"]):
        raise ValueError("records of no ledger")
    return checked(
        UseChunk(
            host=host,
            start=_place(ledger, data["start"]),
            end=_place(ledger, data["end"]),
            rows=tuple(_row(host, each) for each in data["rows"]),
            runs=tuple(_run(host, each) for each in data["runs"]),
            refused=whole(data["refused"], "refused"),
            before=None if before is None else whole(before, "before"),
            more=bool(data["more"]),
            set_back=bool(data.get("set_back")),
            after_last=bool(data.get("after_last")),
            # A host of an older toolkit counts nothing by the hour.
            tallies=tuple(_tally(host, each) for each in data.get("tallies", ())),
            watched=tuple(_watched(host, each) for each in data.get("watched", ())),
        )
    )


def sums_from_json(data: Mapping[str, Any]) -> tuple[LedgerSums, ...]:
    """Return the sums of keys that a host knows, see `toolkit/hostside/use_sums.py`.

    Raises ValueError, TypeError or KeyError where they are none.
    """
    own, ledgers = data["own"], data["elsewhere"]["ledgers"]
    found = [_sums(each, sums) for each, sums in ledgers.items()]
    return tuple(found if own is None else [_sums(own["ledger"], own), *found])


def _sums(ledger: str, data: Mapping[str, Any]) -> LedgerSums:
    _names(ledger, data["day"], data["month"], *data["keys"])
    keys = {
        name: tuple(whole(each, "a sum") for each in sums) for name, sums in data["keys"].items()
    }
    if any(len(sums) != len(PERIODS) for sums in keys.values()):
        raise ValueError(f"not {len(PERIODS)} sums of a key")
    return checked(LedgerSums(ledger, data["day"], data["month"], keys))


def _place(ledger: str, data: Mapping[str, Any]) -> LedgerPlace:
    return LedgerPlace(ledger, whole(data["file"], "file"), whole(data["offset"], "offset"))


def _row(host: str, values: Sequence[Any]) -> UseRow:
    row = UseRow(host=host, **dict(zip(ROW, values, strict=True)))
    _names(row.day, row.key, row.model, row.base, row.version, row.ended)
    for each in (
        row.requests,
        row.tokens_in,
        row.cached,
        row.tokens_out,
        row.reasoning,
        row.unknown,
    ):
        whole(each, "a sum")
    return row


def _tally(host: str, values: Sequence[Any]) -> Tally:
    hour, model, version, release, counts = values
    _names(model, version, *counts)
    if len(counts) > _COUNTS:
        raise ValueError(f"a host counts at most {_COUNTS} things of an hour")
    for each in (hour, release, *counts.values()):
        whole(each, "a count")
    # Counts that a newer toolkit adds have no meaning here.
    known = {name: requests for name, requests in counts.items() if _COUNT.match(name)}
    return Tally(hour, host, model, version, release, known)


def _watched(host: str, values: Sequence[Any]) -> WatchedHour:
    hour, seconds = values
    # Two lines of the ledger may overlap where a clock was put back.
    return WatchedHour(whole(hour, "hour"), host, min(max(float(seconds), 0.0), 3600.0))


def _run(host: str, data: Mapping[str, Any]) -> UseRun:
    fields = {name: data[name] for name in UseRun.__dataclass_fields__ if name != "host"}
    run = UseRun(**{**fields, "counted": _counted(data["counted"])}, host=host)
    _names(run.program, run.run, run.model, run.version, run.engine)
    for each in (run.first, run.last, run.records, run.missing, run.asked, run.tokens_out):
        whole(each, "a sum")
    return run


def _counted(data: Mapping[str, Any] | None) -> Counted | None:
    if data is None:
        return None
    return Counted(**{name: data[name] for name in Counted.__dataclass_fields__})


def _names(*values: Any) -> None:
    for each in values:
        text_of(each, "a name", _NAME)
