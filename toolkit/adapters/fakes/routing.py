"""The router of a host in memory: its lock, its routes and its keys."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any

from toolkit.adapters.fakes.behaviour import Behaviour
from toolkit.adapters.fakes.slots import Slots, mended
from toolkit.adapters.hosts.facts import own_routes
from toolkit.adapters.hosts.held import busy, lock_lost, withdrawn
from toolkit.domain.clients.keys import HostKeys, KeyRing
from toolkit.domain.hosts.facts import ProcessState, SlotFacts
from toolkit.domain.hosts.routed import routed
from toolkit.domain.replicas.probe import LockOwner
from toolkit.hostside.routes_file import (
    edited,
    is_sound,
    needs_reload,
    parsed,
    regained,
    targets_of,
)
from toolkit.hostside.sleeping import awake, sleepers
from toolkit.hostside.splices import Stale, spliced


@dataclass
class Routed(Slots):
    """The router of one host, and the lock under which it is changed.

    `owner` has the lock; `holder` is this command, which loses the lock where another owner is set. `loaded` has the
    routes of the running router. `wakes_held` is the command that holds wakes off, and `wished` has the models that
    requests want. `withdrawn` has the numbers of releases that the guard withdrew, by model and slot.
    """

    files: dict[str, str] = field(default_factory=dict)
    owner: LockOwner | None = None
    holder: LockOwner | None = None
    loaded: str = "{}"
    ring: KeyRing = field(default_factory=KeyRing)
    wakes_held: LockOwner | None = None
    wished: set[str] = field(default_factory=set)
    withdrawn: dict[tuple[str, str], int] = field(default_factory=dict)

    @property
    def leased(self) -> bool:
        return self.owner is not None

    @contextmanager
    def lock(self, owner: LockOwner) -> Iterator[None]:
        if self.owner is not None:
            raise busy(self.name, asdict(self.owner))
        self.owner = self.holder = owner
        try:
            yield
        finally:
            # Silence has ended the holder's lock, and another command may have taken it.
            if self.owner is owner:
                self.owner = None
            self.holder = None
            self._wake()

    def require_lock(self) -> None:
        if self.holder is not None and self.owner is not self.holder:
            raise lock_lost()

    def hold_wakes(self, *, on: bool) -> None:
        self.require_lock()
        if self.owner is None:
            raise lock_lost()
        self.before("hold wakes" if on else "let wakes begin")
        self.wakes_held = self.owner if on else None
        self._wake()

    def apply_routes(
        self, files: Mapping[str, str], edits: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        self.require_lock()
        with suppress(Stale):
            whole = {name: text for name, text in files.items() if name not in edits}
            files = spliced(whole, edits, self.files)
        self._require_kept(parsed(files["routes.json"]))
        self.happens(f"routes {'reload' if needs_reload(self.files, files) else 'runtime'}")
        self.files.update(files)
        self.loaded = files["routes.json"]
        self._wake()
        for slot in self.facts.slots:
            if self._routed(slot).weight and self._behaves(slot) is Behaviour.DIES_UNDER_TRAFFIC:
                self._set(replace(slot, process=ProcessState.FAILED, healthy=False, memory=0))

    def _require_kept(self, routes: dict[str, Any]) -> None:
        """Raise WithdrawnError where routes give traffic to a release that the guard has withdrawn."""
        for model, slot, name in regained(parsed(self.files.get("routes.json", "")), routes):
            number = self._number(model, slot)
            if number and number == self.withdrawn.get((model, slot)):
                raise withdrawn(self.name, f"{model}/{name}", number)

    def note_withdrawn(self, model: str, slot: str) -> None:
        """Note that the guard has withdrawn the release in a slot."""
        self.withdrawn[model, slot] = self._number(model, slot)

    def _number(self, model: str, slot: str) -> int:
        """Return the number of the release in a slot; 0 where there is none."""
        found = [each.release for each in self.facts.slots_of(model) if each.slot == slot]
        return found[0].number if found and found[0] else 0

    def keys(self) -> HostKeys:
        self.before("keys")
        return HostKeys(self.ring)

    def apply_keys(self, ring: KeyRing) -> KeyRing:
        self.happens("apply keys")
        self.ring = self.ring.merged(ring)
        return self.ring

    def repair_keys(self, ring: KeyRing) -> KeyRing:
        self.learn(lambda facts: mended(facts, [e for e in facts.damaged if "keys" in e]))
        return self.apply_keys(ring)

    def want(self, model: str) -> None:
        """Want a model that sleeps, as a client's request does."""
        self.wished.add(model)
        self._wake()

    def _routed(self, slot: SlotFacts) -> SlotFacts:
        """Return the slot with its part in the running router, whatever becomes of its files."""
        seen = routed(slot, own_routes(json.loads(self.loaded), self.host), self.label)
        if not seen.asleep:
            return seen
        # A replica falls asleep at once.
        return replace(seen, rests=seen.asleep == "asleep", healthy=False, memory=0)

    def _wake(self) -> None:
        """Do what the watches of the hosts do of a model that wakes, at once."""
        if self.wakes_held and self.wakes_held is self.owner:
            return
        routes = json.loads(self.loaded)
        for route in sleepers(routes):
            if route["sleep"]["due"] or route["model"] in self.wished:
                names = targets_of(routes, route["model"])
                routes = edited(routes, awake(route["model"], names))
                self.loaded = self.files["routes.json"] = json.dumps(routes)

    def _damaged(self) -> tuple[str, ...]:
        sound = is_sound(
            self.files.get("routes.json"),
            self.files.get("backends.cfg"),
            in_use=bool(parsed(self.loaded).get("routes")),
        )
        return () if sound else ("router/routes.json",)
