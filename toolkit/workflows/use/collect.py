"""Bring what hosts have recorded since the last time into the history.

A host hands out parts of its ledger; each part and the place where it ends are stored in one transaction. So a record
counts once, also where two ops machines collect at once, or one is killed: the next collection goes on from there.

A ledger whose disk was set back to an earlier state has places of which nobody knows what was collected. Its records
are numbered in each run, so it is read anew from its beginning, without those that the history has: all in one piece,
since no place between its beginning and its end says that there are any to leave out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

from toolkit.adapters.history.history import History
from toolkit.adapters.hosts.port import HostPort
from toolkit.domain.clients.use import LedgerPlace, LedgerSums, UseChunk
from toolkit.domain.hosts.failures import own_words
from toolkit.errors import HostError, ToolkitError
from toolkit.planning.use.elsewhere import joined
from toolkit.workflows.fleet.look import each_at_once

# Another ops machine may store parts of the same ledger meanwhile, each of which moves this one's place.
ROUNDS = 100_000
# Seconds that a collection takes at the end of another command.
PASSING_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Collected:
    """The result of a collection: new records, the errors of hosts that were not reached, and hosts that have more.

    Disks of `skipped` hosts were set back, and their toolkit is too old to tell what was collected from what was not.
    """

    records: int = 0
    errors: dict[str, HostError] = field(default_factory=dict)
    unfinished: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()

    def remarks(self, missing: str = "its newest use") -> tuple[str, ...]:
        """Return a line for each host of which something is missing.

        `missing` is what the result lacks of one that was not reached.
        """
        silent = (
            f"{name}: not reached, so {missing} is not in here: {own_words(name, error.message)}"
            for name, error in self.errors.items()
        )
        older = (
            f"{name}: its toolkit is older than this one, so what it recorded since its disk was set back is not in"
            " here; provision it"
            for name in self.skipped
        )
        return (*silent, *older)


def collect(
    hosts: Sequence[HostPort],
    history: History,
    go_on: Callable[[], bool] = lambda: True,
) -> Collected:
    """Collect from all hosts at once, part after part, while `go_on` says so.

    Raises ToolkitError where the history takes nothing; a host that does not answer is an error in the result.
    """
    found = each_at_once(hosts, partial(_from_host, history=history, go_on=go_on))
    named = list(zip([each.name for each in hosts], found, strict=True))
    return Collected(
        sum(each.records for _, each in named),
        {name: each.error for name, each in named if each.error is not None},
        tuple(name for name, each in named if each.unfinished),
        tuple(name for name, each in named if each.skipped),
    )


def collect_in_passing(hosts: Sequence[HostPort], history: History) -> None:
    """Collect for a few seconds at the end of another command, which does not fail by it, and tell the hosts.

    So hosts drop nothing for want of a reader where models are upgraded now and then and nobody asks for their use.
    """
    if history.fault:
        return
    until = time.monotonic() + PASSING_SECONDS
    with suppress(ToolkitError):
        collect(hosts, history, lambda: time.monotonic() < until)
        tell(hosts)


def tell(hosts: Sequence[HostPort]) -> None:
    """Tell all hosts what keys have used on each of them, for the quotas that they enforce.

    Hosts of a fleet tell each other too, every two seconds; an ops machine also reaches those that cannot. A host that
    does not answer goes on with what it was told last.
    """
    if len(hosts) > 1:
        today = time.strftime("%Y-%m-%d", time.gmtime())
        sums = joined((each for said in each_at_once(hosts, _sums) for each in said), today)
        each_at_once(hosts, lambda host: _tell(host, sums))


def _sums(host: HostPort) -> tuple[LedgerSums, ...]:
    # A host of an older toolkit does not know the question.
    with suppress(HostError):
        return host.sums_of_use()
    return ()


def _tell(host: HostPort, sums: Sequence[LedgerSums]) -> None:
    with suppress(HostError):
        host.tell_use(sums)


@dataclass(slots=True)
class _Gathered:
    records: int = 0
    error: HostError | None = None
    unfinished: bool = False
    skipped: bool = False


def _from_host(host: HostPort, history: History, go_on: Callable[[], bool]) -> _Gathered:
    done = _Gathered()
    place = _place_of(history, host.name)
    for _ in range(ROUNDS):
        if not go_on():
            done.unfinished = True
            return done
        try:
            chunk = host.use(place)
            anew = _read_anew(host, chunk, history, go_on) if chunk.set_back else chunk
        except HostError as error:
            done.error = error
            return done
        if anew is None:
            done.unfinished = True
            return done
        chunk = anew
        ledger = chunk.end.ledger
        if not ledger:
            return done
        if chunk.start != place:
            # Another ledger than the last time: the host was set up anew, or has another name in this fleet file.
            known = _known(history, ledger)
            if known != chunk.start and known != place:
                place = known
                continue
        if _is_new(chunk) and not history.add_use(chunk):
            place = _known(history, ledger)
            continue
        done.records += sum(each.records for each in chunk.runs)
        done.skipped = done.skipped or (chunk.set_back and not chunk.after_last)
        place = chunk.end
        if not chunk.more:
            return done
    done.unfinished = True
    return done


def _read_anew(
    host: HostPort, beyond: UseChunk, history: History, go_on: Callable[[], bool]
) -> UseChunk | None:
    """Return the records that the history lacks of a ledger that was set back, as one chunk in place of `beyond`.

    Returns `beyond` itself where the host cannot tell, and None where `go_on` said no before the end.
    """
    last = history.use_last(beyond.end.ledger)
    parts: list[UseChunk] = []
    place = LedgerPlace(beyond.end.ledger)
    while not parts or parts[-1].more:
        if not go_on():
            return None
        part = host.use(place, last)
        if not part.after_last or part.end.ledger != place.ledger:
            return beyond
        parts.append(part)
        place = part.end
    return replace(
        beyond,
        end=place,
        rows=tuple(each for part in parts for each in part.rows),
        runs=tuple(each for part in parts for each in part.runs),
        tallies=tuple(each for part in parts for each in part.tallies),
        after_last=True,
    )


def _is_new(chunk: UseChunk) -> bool:
    return chunk.end != chunk.start


def _place_of(history: History, name: str) -> LedgerPlace:
    """Return the place from which a host is read on: in the ledger that was read last under its name."""
    mine = [each for each in history.use_cursors() if each.host == name]
    return max(mine, key=lambda each: each.at).place if mine else LedgerPlace("")


def _known(history: History, ledger: str) -> LedgerPlace:
    """Return the place in a ledger, its beginning where nothing of it was read."""
    places = [each.place for each in history.use_cursors() if each.place.ledger == ledger]
    return places[0] if places else LedgerPlace(ledger)
