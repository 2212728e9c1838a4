"""Use of models: what each key asked for and got, counted by the engines' own processes, never a word of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from toolkit.domain.clients.tally import Tally, WatchedHour

# A request that the toolkit itself sent. Engines count it, so the reconciliation does; it is nobody's use.
PROBE = "probe"
# A request without a key, at a router that asks for none.
NO_KEY = "-"


@dataclass(frozen=True, slots=True)
class UseRow:
    """The requests of one kind on one day, or the sum over several kinds: what was summed up is then empty, or 0.

    `day` is `2026-11-27` in UTC. `model` is the name that the request asked for, after aliases: a model or an adapter;
    `base` is the model whose replica computed it, `version` and `release` are that replica's. `cached` tokens are a
    part of `tokens_in`, `reasoning` tokens of `tokens_out`. `unknown` requests broke off without a count of their
    tokens. `ended` is `whole`, `left` (the client hung up), `failed` or `refused`.
    """

    day: str
    host: str
    key: str
    model: str
    version: str
    release: int
    requests: int
    tokens_in: int
    cached: int
    tokens_out: int
    reasoning: int
    unknown: int
    base: str = ""
    ended: str = ""
    audio_seconds: float = 0.0


# The columns by which rows differ, in the order of a sorted list.
KINDS = ("day", "host", "key", "model", "version", "release", "base", "ended")
# The columns that are summed up over rows of one kind.
SUMS = ("requests", "tokens_in", "cached", "tokens_out", "reasoning", "unknown", "audio_seconds")


@dataclass(frozen=True, slots=True)
class Counted:
    """The values of an engine's own counters at the time `at` (seconds since the epoch), with `open` requests in work.

    `asked` and `tokens_out` are the engine's. `records_asked` and `records_out` are the sums of the records until then,
    and of what the requests in work had used.
    """

    asked: int
    tokens_out: int
    records_asked: int
    records_out: int
    open: int
    at: float


@dataclass(frozen=True, slots=True)
class UseRun:
    """The records of one run of a replica's process, or a part of them; see `UseChunk`.

    Records are numbered from 1: `first` to `last` are here, `records` of them, and `missing` ones never came. `asked`
    are the tokens of prompts as the engine computes them: a request for three answers has its prompt three times.
    """

    program: str
    run: str
    model: str
    version: str
    release: int
    engine: str
    started: float
    first: int
    last: int
    records: int
    missing: int
    asked: int
    tokens_out: int
    unknown: int
    counted: Counted | None = None
    host: str = ""


@dataclass(frozen=True, slots=True)
class LedgerPlace:
    """A place in the ledger of a host: the number of a file and the bytes before it. `ledger` tells ledgers apart."""

    ledger: str
    file: int = 0
    offset: int = 0


@dataclass(frozen=True, slots=True)
class UseChunk:
    """A part of its ledger that a host handed out, from `start` (exactly where the last chunk ended) to `end`.

    `refused` lines were no records. `before` is None where the chunk follows on `start`; else the ledger has dropped
    the records that came next, and this is the number of all that came before. `more` says that it has more.
    `set_back` says that the ledger never had `start`: its disk was set back to an earlier state. `after_last` says that
    the host left out what was collected before, by the numbers of its runs.
    """

    host: str
    start: LedgerPlace
    end: LedgerPlace
    rows: tuple[UseRow, ...] = ()
    runs: tuple[UseRun, ...] = ()
    refused: int = 0
    before: int | None = None
    more: bool = False
    tallies: tuple[Tally, ...] = ()
    watched: tuple[WatchedHour, ...] = ()
    set_back: bool = False
    after_last: bool = False


@dataclass(frozen=True, slots=True)
class UseCursor:
    """The place up to which the history has read one ledger, and the time (seconds since the epoch).

    `refused` lines of replicas were no records, at least; `lost` records had been dropped before somebody read them.
    The ledger was `set_back` so many times to an earlier state: what was recorded and not collected by then is gone.
    """

    host: str
    place: LedgerPlace
    at: float
    refused: int = 0
    lost: int = 0
    set_back: int = 0


# The sums of a key, in their order: requests and tokens of a day, of a month, and the cost of a month in
# millionths of the currency.
PERIODS = ("day", "day", "month", "month", "month")


@dataclass(frozen=True, slots=True)
class LedgerSums:
    """The use of keys with quotas by one host's ledger: {NAME: sums of `PERIODS`}.

    Days and months are in UTC: `2026-11-27`, `2026-11`.
    """

    ledger: str
    day: str
    month: str
    keys: Mapping[str, tuple[int, ...]]
