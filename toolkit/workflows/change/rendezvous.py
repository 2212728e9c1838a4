"""One action for several hosts at once, requested by the thread of each host."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Generic, TypeVar

from toolkit.domain.hosts.facts import HostFacts
from toolkit.errors import CalledOffError, ToolkitError
from toolkit.planning.routing.routes import Routes
from toolkit.workflows.change.routers import Edit
from toolkit.workflows.tools import RoutersPort

T = TypeVar("T")
# Seconds for which hosts in a hurry wait for one another: a standby that is well has answered by then.
PATIENCE = 2.0


class Rendezvous(Generic[T]):
    """Performs `act` on the items of all `parties` (threads) once each party has brought one, again and again.

    It returns the errors of single items by their place, if any, and raises the error of all. A party that brings
    nothing more leaves. After `abort` no party waits, and each that comes is turned away. With `patience` a party waits
    for so many seconds: then it is done for those that have come, and the others are a later round.
    """

    def __init__(
        self,
        parties: int,
        act: Callable[[list[T]], Mapping[int, ToolkitError] | None],
        patience: float | None = None,
    ) -> None:
        self._changed = threading.Condition()
        self._parties, self._act, self._patience = parties, act, patience
        self._pending: list[T] = []
        self._round = 0
        self._errors: dict[int, Mapping[int, ToolkitError]] = {}
        self._aborted = ""

    def join(self, item: T) -> None:
        """Return once `act` was done for the items of all parties, or of those that have come in time.

        Raises the error of this item or of all, and CalledOffError after an abort.
        """
        with self._changed:
            self._turn_away()
            here, place = self._round, len(self._pending)
            self._pending.append(item)
            self._act_if_complete()
            while self._round == here:
                came = self._changed.wait(self._patience)
                self._turn_away()
                if not came and self._round == here:
                    self._act_now()
            if error := self._errors[here].get(place):
                raise error

    def check(self) -> None:
        """Raise CalledOffError after an abort."""
        with self._changed:
            self._turn_away()

    def leave(self) -> None:
        """Stop waiting for the calling party."""
        with self._changed:
            self._parties -= 1
            self._act_if_complete()

    def abort(self, why: str) -> None:
        """Turn all parties away, those that wait now and those that come."""
        with self._changed:
            self._aborted = self._aborted or why
            self._changed.notify_all()

    def _turn_away(self) -> None:
        if self._aborted:
            raise CalledOffError(f"not carried out, because {self._aborted}")

    def _act_if_complete(self) -> None:
        if self._pending and len(self._pending) >= self._parties and not self._aborted:
            self._act_now()

    def _act_now(self) -> None:
        items, self._pending = self._pending, []
        try:
            self._errors[self._round] = self._act(items) or {}
        except ToolkitError as error:
            self._errors[self._round] = dict.fromkeys(range(len(items)), error)
        except BaseException:
            # An unexpected end of this party must not leave the others waiting for ever.
            self._aborted = self._aborted or "the command ended unexpectedly"
            self._changed.notify_all()
            raise
        self._round += 1
        self._changed.notify_all()


class RendezvousRouters:
    """The routers for one host of a batch: its changes are made together with those of the other hosts."""

    def __init__(
        self, meeting: Rendezvous[tuple[Edit, frozenset[str]]], routers: RoutersPort
    ) -> None:
        self._meeting, self._routers = meeting, routers

    def change(self, edit: Edit, needed: Collection[str]) -> None:
        self._meeting.join((edit, frozenset(needed)))

    def check(self) -> None:
        self._meeting.check()

    def observed(self, facts: Mapping[str, HostFacts]) -> None:
        """Do nothing: the routers that change for all hosts know their routes."""

    def moved(self, relays: Mapping[str, str]) -> None:
        """Do nothing: hosts are provisioned before their batch begins."""

    def agreed(self, label: str, facts: HostFacts) -> HostFacts:
        return facts

    def remind(self) -> None:
        self._routers.remind()

    def catch_up(self) -> Mapping[str, str]:
        """Do nothing: the change for all hosts does it."""
        return {}


def one_change_of_routes(
    routers: RoutersPort, parties: int, *, apart: bool = False, hurry: bool = False
) -> Rendezvous[tuple[Edit, frozenset[str]]]:
    """Return the rendezvous that makes one change of routes out of those of `parties` hosts.

    Where a router that one of them needs refuses it, each host's own change is made alone if they stand `apart`, and
    else none is. In a `hurry` a host that is late by more than PATIENCE makes its change alone: a bad release must go,
    also where a standby is frozen.
    """

    def act(wanted: list[tuple[Edit, frozenset[str]]]) -> Mapping[int, ToolkitError]:
        needed = frozenset[str]().union(*(labels for _, labels in wanted))

        def edit_all(routes: Routes) -> Routes:
            for edit, _ in wanted:
                routes = edit(routes)
            return routes

        try:
            routers.change(edit_all, needed)
        except ToolkitError:
            if not apart or len(wanted) == 1:
                raise
            return _each_alone(routers, wanted)
        return {}

    return Rendezvous(parties, act, PATIENCE if hurry else None)


def _each_alone(
    routers: RoutersPort, wanted: Sequence[tuple[Edit, frozenset[str]]]
) -> Mapping[int, ToolkitError]:
    failed: dict[int, ToolkitError] = {}
    for place, (edit, needed) in enumerate(wanted):
        try:
            routers.change(edit, needed)
        except ToolkitError as error:
            failed[place] = error
    return failed
