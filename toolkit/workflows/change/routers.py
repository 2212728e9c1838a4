"""The routers of a fleet, which all have the same routes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from toolkit.adapters.capacity import width
from toolkit.adapters.hosts.port import HostPort
from toolkit.adapters.patience import NO_PATIENCE, Patience
from toolkit.domain.hosts.facts import HostFacts
from toolkit.domain.hosts.failures import own_words
from toolkit.domain.hosts.in_flight import ASKING
from toolkit.domain.replicas.probe import LockOwner
from toolkit.errors import HostError, ToolkitError, WithdrawnError
from toolkit.planning.routing.agreement import (
    at_relays,
    have_moved,
    relays_of,
    settled,
    with_routes,
)
from toolkit.planning.routing.differences import file_edits
from toolkit.planning.routing.files import Rendering
from toolkit.planning.routing.routes import Routes
from toolkit.workflows.fleet.look import lock_all, look

Edit = Callable[[Routes], Routes]
# Seconds from one time that a router which missed a change is told again, amid a drain, to the next.
REMIND = 10.0
TELL = "toolkit repair tells all routers their routes"


def missed(behind: Mapping[str, str]) -> list[str]:
    """Return a line for each host whose router missed a change, from what `Routers.catch_up` returned."""
    return [
        f"{name}: its router missed the change: {own_words(name, why)}"
        for name, why in behind.items()
    ]


def unreachable_rows(unreachable: Mapping[str, str]) -> list[str]:
    """Return a line for each host that does not answer, from `unreachable`, with the reason by name."""
    return [f"{name}: unreachable, {why}" for name, why in unreachable.items()]


class Routers:
    """Changes the routes of all routers together. One command at a time does so: it holds the locks of the hosts.

    `behind` has the hosts whose router could not be told, by label, with the reason. They keep the routes they had
    until a change needs them, or `catch_up` or the next command tells them.
    """

    def __init__(self, hosts: Sequence[HostPort]) -> None:
        self._hosts = {host.label: host for host in hosts}
        self._known: dict[str, Routes] = {}
        # The address of the relay of each host, by label.
        self._relays: dict[str, str] = {}
        self._guard = threading.Lock()
        # The renderings of the routes that routers are told, and of those that they had.
        self._renderings: list[Rendering] = []
        self.behind: dict[str, str] = {}
        self._reminded = 0.0
        self.routes = Routes()

    def check(self) -> None:
        """Do nothing: a host that changes alone depends on no other."""

    def observed(self, facts: Mapping[str, HostFacts]) -> None:
        """Take over the routes in `facts`, by label; where routers differ, see `settled`."""
        with self._guard:
            for label, each in facts.items():
                self._known[label] = Routes.from_json(each.routes)
                self.behind.pop(label, None)
            self._relays |= relays_of(facts)
            self.routes = at_relays(settled(self._known, self.routes), self._relays)

    def moved(self, relays: Mapping[str, str]) -> None:
        """Take over where the routers of hosts, by label, listen from now on, and tell all routers.

        A router that refuses is noted as `behind`.
        """
        with self._guard:
            self._relays |= relays
            new = at_relays(self.routes, self._relays)
            if new is not self.routes:
                self.routes = new
                failed = self._tell(new)
                self.behind.update({label: error.message for label, error in failed.items()})

    def agreed(self, label: str, facts: HostFacts) -> HostFacts:
        """Return the facts of a host with the traffic that the fleet's routes give it: its own may be out of date."""
        with self._guard:
            return with_routes({label: facts}, self.routes)[label]

    def change(self, edit: Edit, needed: Collection[str]) -> None:
        """Bring all routers from the present routes to `edit` of them.

        Raises the HostError of a router in `needed` (labels) that refused or did not answer, and of any router where
        none followed; the others are noted as `behind`. A needed router that missed an earlier change is told again: a
        host must not lose a replica to which its router still leads.
        """
        with self._guard:
            for label in needed:
                self.behind.pop(label, None)
            new, failed = self._tell_edited(edit)
            self.behind.update({label: error.message for label, error in failed.items()})
            fatal = [error for label, error in failed.items() if label in needed]
            if fatal or (failed and len(failed) == len(self._known)):
                self._tell_back(new, failed)
                raise (fatal or list(failed.values()))[0]
            self.routes = new

    def remind(self) -> None:
        """Tell routers that missed a change again, now and then: a drain waits for what they still send."""
        now = time.monotonic()
        if self.behind and now - self._reminded >= REMIND:
            self._reminded = now
            self.catch_up()

    def catch_up(self) -> Mapping[str, str]:
        """Tell the present routes to all routers where one of them missed a change.

        Return the reason of each router that does not follow now either, by its host's name.
        """
        with self._guard:
            # The reason may be gone: a full disk, or another program at the router's files.
            self.behind.clear()
            if any(each != self.routes for each in self._known.values()):
                _, failed = self._tell_edited(lambda routes: routes)
                self.behind.update({label: error.message for label, error in failed.items()})
            return {self._hosts[label].name: why for label, why in self.behind.items()}

    def _tell_edited(self, edit: Edit) -> tuple[Routes, dict[str, ToolkitError]]:
        """Tell all routers `edit` of the present routes, and anew as often as that did not know of a withdrawal.

        Hosts may withdraw a release one after the other. Return the routes that were told last, and the errors of
        routers by label.
        """
        new = self._edited(edit)
        failed = self._tell(new)
        for _ in self._hosts:
            if not self._has_learned(failed):
                break
            new = self._edited(edit)
            failed = self._tell(new)
        return new, failed

    def _edited(self, edit: Edit) -> Routes:
        new = at_relays(edit(self.routes), self._relays)
        # Routers are told in any case: this repairs one whose weights differ from its files.
        return new if new == self.routes else replace(self.routes.later(), routes=new.routes)

    def _has_learned(self, failed: Mapping[str, ToolkitError]) -> bool:
        """Take over what the guards of hosts have withdrawn since they were observed; return whether that is any news.

        The bake of another model may end so at any moment, and its withdrawal is no fault of the change under way.
        """
        refused = [label for label, error in failed.items() if isinstance(error, WithdrawnError)]
        if not refused:
            return False
        found = {
            label: Routes.from_json(each.routes)
            for label, each in look([self._hosts[label] for label in refused]).by_label.items()
        }
        self._known |= found
        before = self.routes.routes
        self.routes = at_relays(settled(found, self.routes), self._relays)
        return self.routes.routes != before

    def _tell(self, new: Routes) -> dict[str, ToolkitError]:
        labels = [label for label in self._known if label not in self.behind]
        self._renderings = [Rendering(new), *self._renderings[:1]]
        if len(labels) == 1:
            found = [self._apply(labels[0], new)]
        else:
            # Here and not above: a fleet of one host needs no threads.
            from concurrent.futures import ThreadPoolExecutor

            with ThreadPoolExecutor(width(ASKING)) as pool:
                found = list(pool.map(lambda label: self._apply(label, new), labels))
        return {label: error for label, error in zip(labels, found, strict=True) if error}

    def _apply(self, label: str, new: Routes) -> ToolkitError | None:
        files = self._rendering(new).at(label)
        former = self._known[label]
        # A router without routes has the files of its provisioning, which are no base for a difference.
        edits = file_edits(self._rendering(former).at(label), files) if former.routes else {}
        try:
            self._hosts[label].apply_routes(files, edits)
        except HostError as error:
            return error
        self._known[label] = new
        return None

    def _rendering(self, routes: Routes) -> Rendering:
        for each in self._renderings:
            if each.routes is routes or each.routes == routes:
                return each
        made = Rendering(routes)
        self._renderings.append(made)
        return made

    def _tell_back(self, new: Routes, failed: Collection[str]) -> None:
        """Take a change that a needed router refused back from the routers that followed."""
        former = replace(new.later(), routes=self.routes.routes)
        followed = [label for label, known in self._known.items() if known == new]
        if not followed:
            return
        for label in followed:
            if error := self._apply(label, former):
                self.behind[label] = error.message
        for label in failed:
            self.behind.pop(label, None)
        self.routes = former


def tell_addresses(
    hosts: Sequence[HostPort], owner: LockOwner, patience: Patience = NO_PATIENCE
) -> None:
    """Tell the routers of all hosts that answer their routes, where these lead to a former address of a host.

    Raises BusyError where another command holds a host, HostError where a router does not follow.
    """
    seen = look(hosts)
    if not have_moved(seen.by_label):
        return
    there = [each for each in hosts if each.name in seen.facts]
    with lock_all(there, owner, patience):
        again = look(there)
        if again.errors:
            raise again.failure()
        routers = Routers(there)
        routers.observed(again.by_label)
        if rows := missed(routers.catch_up()):
            raise HostError("not all routers follow:\n  " + "\n  ".join(rows), hint=TELL)
