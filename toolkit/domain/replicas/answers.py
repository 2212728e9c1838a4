"""Requests to replicas in the proofs of a release, and their answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Call:
    """A request to a replica; one that `may_fail` is sent for its effect, which may be there already."""

    path: str
    payload: Mapping[str, Any]
    may_fail: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """The whole answer of a replica to one request, as texts of JSON that nobody has checked yet.

    `status` is the HTTP status, 0 without an answer, for which `error` has the reason; a stream that breaks off has an
    `error` too. A stream has `events` and no `body`; `first` is the seconds until its first event with a part of the
    answer, `gaps` the seconds between such events. `seconds` is the time of the whole.
    """

    status: int
    body: str = ""
    events: tuple[str, ...] = ()
    first: float | None = None
    gaps: tuple[float, ...] = ()
    seconds: float = 0.0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Times:
    """The times of requests that a replica answered at once, in seconds; None where no answer shows one.

    `first` (until the first token), `next` (between tokens) and `whole` (of an answer) are medians. `seconds` is the
    time of all of them together, `tokens` the number in all. `error` says why one of those that `failed` did.
    """

    first: float | None
    next: float | None
    whole: float | None
    seconds: float
    tokens: int
    failed: int
    asked: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """The same requests to the new replica and, where there is one, to the serving one, one right after the other."""

    new: Times
    old: Times | None = None


@dataclass(frozen=True, slots=True)
class PairsWanted:
    """Pairs to take: the ports of both replicas (`old` is 0 where there is none), the request, and how often.

    `{fresh}` in the payload becomes a random word, so that no cache knows the prompt. `timeout` is in seconds, for
    each answer. `former` is the name by which the request goes to `old`, where that is another one than the payload's:
    an adapter's former version may be in the same replica.
    """

    new: int
    old: int
    path: str
    payload: Mapping[str, Any]
    pairs: int = 20
    concurrency: int = 1
    timeout: float = 120.0
    former: str = ""


@dataclass(frozen=True, slots=True)
class Vitals:
    """The state of a replica at a moment; sizes in bytes.

    `state` and `started_at` are those of its process, `pid` 0 where none runs. `device_memory` and `preemptions` are
    None where nobody says. `cache` has its engine's metrics about the cache. `log` is a place in its log, `lines` what
    it said from the place on that was asked for.
    """

    state: str
    pid: int
    started_at: float | None
    memory: int
    device_memory: int | None
    preemptions: float | None
    cache: tuple[str, ...] = ()
    log: str = ""
    lines: tuple[str, ...] = ()
