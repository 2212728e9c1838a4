"""Keys of the router, with their limits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

QUOTAS = (
    "requests_per_day",
    "tokens_per_day",
    "requests_per_month",
    "tokens_per_month",
    "cost_per_month",
)
# Amounts are whole millionths of a currency.
MILLION = 10**6


@dataclass(frozen=True, slots=True)
class Price:
    """The price of a million tokens of each kind from the day `begins` (UTC) on, in millionths of a currency."""

    begins: str
    input: int
    cached: int
    output: int


@dataclass(frozen=True, slots=True)
class Charge:
    """The charge to keys for the tokens of each model, in `currency`, for their quotas of cost.

    Of the prices of a model a later one ends the one before. `told` is when an ops machine read them, in seconds since
    the epoch.
    """

    told: float
    currency: str
    models: Mapping[str, tuple[Price, ...]]

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Charge:
        """Return the charge whose JSON form is `data`."""
        models = {
            name: tuple(Price(**each) for each in prices) for name, prices in data["models"].items()
        }
        return Charge(float(data["told"]), str(data["currency"]), models)


@dataclass(frozen=True, slots=True)
class Key:
    """A key by its SHA-256 in lower-case hex. Only its owner has its text.

    `per_minute` limits its requests in any 60 seconds on all hosts together, `concurrency` those at once on each host;
    0 is no limit. `created` and `revoked` are in seconds since the epoch; `revoked` is 0 for a valid key. Requests
    with a key `inside` must stay in the fleet. Quotas are of all hosts together, for days and months in UTC: requests,
    tokens of prompts and answers, and their cost in millionths of the currency of the ring's charge; 0 is none.

    A key that was made anew from a router's map has a `created` of 0. Its quotas and `inside` are not known, because no
    map has them.
    """

    name: str
    digest: str
    created: float
    per_minute: int = 0
    concurrency: int = 0
    revoked: float = 0.0
    inside: bool = False
    requests_per_day: int = 0
    tokens_per_day: int = 0
    requests_per_month: int = 0
    tokens_per_month: int = 0
    cost_per_month: int = 0

    @property
    def quotas(self) -> dict[str, int]:
        """The quotas that the key has, by the names of their fields."""
        return {name: value for name in QUOTAS if (value := getattr(self, name))}

    @property
    def made_anew(self) -> bool:
        """Whether the key is known from a router's map alone."""
        return not self.created

    def joined(self, other: Key) -> Key:
        """Return the key with the stricter value of each field.

        A 0 says nothing, so what one of them does not know comes from the other.
        """
        values: dict[str, Any] = {
            "name": min(self.name, other.name),
            "inside": self.inside or other.inside,
        }
        for name in ("created", "per_minute", "concurrency", "revoked", *QUOTAS):
            said = [value for each in (self, other) if (value := getattr(each, name))]
            if said:
                values[name] = min(said)
        return replace(self, **values)

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form. An older toolkit knows neither `inside` nor quotas: a key names those that it has."""
        data = asdict(self)
        for name in ("inside", *QUOTAS):
            if not data[name]:
                del data[name]
        return data


@dataclass(frozen=True, slots=True)
class KeyRing:
    """All keys that ever existed, by digest, revoked ones included.

    A revoked key stays in the ring, so that no host that was away brings it back. `locked` and `opened` are counters:
    adding a key raises `locked` above `opened`, and opening the door raises `opened` to `locked`. The charge that was
    read last holds.
    """

    keys: tuple[Key, ...] = ()
    locked: int = 0
    opened: int = 0
    charge: Charge | None = None

    @property
    def active(self) -> tuple[Key, ...]:
        """The keys that are valid, by name."""
        found = [key for key in self.keys if not key.revoked]
        return tuple(sorted(found, key=lambda key: (key.name, key.created)))

    @property
    def is_locked(self) -> bool:
        """Whether every request needs a key. Revoking the last key leaves the door locked."""
        return bool(self.active) or self.locked > self.opened

    def merged(self, other: KeyRing) -> KeyRing:
        """Return the union: every key of both, as `Key.joined` says. The order of merging is irrelevant."""
        keys: dict[str, Key] = {}
        for key in (*self.keys, *other.keys):
            keys[key.digest] = keys.get(key.digest, key).joined(key)
        return KeyRing(
            tuple(keys[digest] for digest in sorted(keys)),
            max(self.locked, other.locked),
            max(self.opened, other.opened),
            max(filter(None, (self.charge, other.charge)), key=_order, default=None),
        )

    def as_json(self) -> dict[str, Any]:
        """Return the content of `keys.json`. An older toolkit knows no charge: a ring names one that it has."""
        data = asdict(self) | {"keys": [key.as_json() for key in self.keys]}
        if self.charge is None:
            del data["charge"]
        return data

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> KeyRing:
        """Return the ring whose `as_json` is `data`; an empty mapping has no keys."""
        keys = tuple(Key(**key) for key in data.get("keys", ()))
        charge = Charge.from_json(data["charge"]) if data.get("charge") else None
        return KeyRing(keys, int(data.get("locked", 0)), int(data.get("opened", 0)), charge)


def _order(charge: Charge) -> tuple[float, str]:
    """Return the sorting key by which every host takes the same charge as the last one."""
    return charge.told, json.dumps(asdict(charge), sort_keys=True)


@dataclass(frozen=True, slots=True)
class HostKeys:
    """The keys of one host; `lagging` workers of its router do not follow them."""

    ring: KeyRing = KeyRing()
    lagging: int = 0
