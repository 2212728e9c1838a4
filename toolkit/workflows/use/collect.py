"""Bring what hosts have recorded since the last time into the history.

A host hands out parts of its ledger; each part and the place where it ends are stored in one transaction. So a record
counts once, also where two ops machines collect at once, or one is killed: the next collection goes on from there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from toolkit.adapters.history.history import History
from toolkit.adapters.hosts.port import HostPort
from toolkit.domain.clients.use import LedgerSums, Place, UseChunk
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
    """The result of a collection: new records, the errors of hosts that were not reached, and hosts that have more."""

    records: int = 0
    errors: dict[str, HostError] = field(default_factory=dict)
    unfinished: tuple[str, ...] = ()

    def remarks(self, missing: str = "its newest use") -> tuple[str, ...]:
        """Return a line for each host that was not reached; `missing` is what the result lacks for that."""
        return tuple(
            f"{name}: not reached, so {missing} is not in here: {own_words(name, error.message)}"
            for name, error in self.errors.items()
        )


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


def _from_host(host: HostPort, history: History, go_on: Callable[[], bool]) -> _Gathered:
    done = _Gathered()
    place = _place_of(history, host.name)
    for _ in range(ROUNDS):
        if not go_on():
            done.unfinished = True
            return done
        try:
            chunk = host.use(place)
        except HostError as error:
            done.error = error
            return done
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
        place = chunk.end
        if not chunk.more:
            return done
    done.unfinished = True
    return done


def _is_new(chunk: UseChunk) -> bool:
    return chunk.end != chunk.start


def _place_of(history: History, name: str) -> Place:
    """Return the place from which a host is read on: in the ledger that was read last under its name."""
    mine = [each for each in history.use_cursors() if each.host == name]
    return max(mine, key=lambda each: each.at).place if mine else Place("")


def _known(history: History, ledger: str) -> Place:
    """Return the place in a ledger, its beginning where nothing of it was read."""
    places = [each.place for each in history.use_cursors() if each.place.ledger == ledger]
    return places[0] if places else Place(ledger)
