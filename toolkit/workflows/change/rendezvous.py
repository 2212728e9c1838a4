"""One action for several hosts at once, asked for by the thread of each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from typing import Generic, TypeVar

from toolkit.domain.facts import HostFacts
from toolkit.errors import ReleaseFailedError, ToolkitError
from toolkit.planning.routing.routes import Routes
from toolkit.workflows.change.routers import Edit
from toolkit.workflows.tools import Door

T = TypeVar("T")


class Joint(Generic[T]):
    """Performs `act` on the items of all `parties` (threads) once each of them has come, again and again.

    A party that will not come any more leaves. After `abort` nobody waits: who comes is turned away.
    """

    def __init__(self, parties: int, act: Callable[[list[T]], None]) -> None:
        self._changed = threading.Condition()
        self._parties, self._act = parties, act
        self._pending: list[T] = []
        self._round = 0
        self._errors: dict[int, ToolkitError] = {}
        self._aborted = ""

    def join(self, item: T) -> None:
        """Return once `act` was done for this and all other parties' items.

        Raises what `act` raised, and ReleaseFailedError after an abort.
        """
        with self._changed:
            self._turn_away()
            here = self._round
            self._pending.append(item)
            self._act_if_all_came()
            while self._round == here:
                self._changed.wait()
                self._turn_away()
            if here in self._errors:
                raise self._errors[here]

    def leave(self) -> None:
        """Do not wait for this party any more."""
        with self._changed:
            self._parties -= 1
            self._act_if_all_came()

    def abort(self, why: str) -> None:
        """Turn all parties away, those that wait now and those that come."""
        with self._changed:
            self._aborted = self._aborted or why
            self._changed.notify_all()

    def _turn_away(self) -> None:
        if self._aborted:
            raise ReleaseFailedError(f"not carried out, because {self._aborted}")

    def _act_if_all_came(self) -> None:
        if not self._pending or len(self._pending) < self._parties or self._aborted:
            return
        items, self._pending = self._pending, []
        try:
            self._act(items)
        except ToolkitError as error:
            self._errors[self._round] = error
        self._round += 1
        self._changed.notify_all()


class JointDoor:
    """The routers for one host of a batch: its changes are made together with those of the others."""

    def __init__(self, joint: Joint[tuple[Edit, frozenset[str]]]) -> None:
        self._joint = joint

    def change(self, edit: Edit, needed: Collection[str]) -> None:
        self._joint.join((edit, frozenset(needed)))

    def observed(self, facts: Mapping[str, HostFacts]) -> None:
        """Nothing: what routers have is known to who changes them for all."""


def joint_routes(doors: Door, parties: int) -> Joint[tuple[Edit, frozenset[str]]]:
    """Return what makes one change of routes out of those that `parties` hosts ask for."""

    def act(asked: list[tuple[Edit, frozenset[str]]]) -> None:
        needed = frozenset[str]().union(*(labels for _, labels in asked))

        def edit_all(routes: Routes) -> Routes:
            for edit, _ in asked:
                routes = edit(routes)
            return routes

        doors.change(edit_all, needed)

    return Joint(parties, act)
