"""Keys of the router: who may use it, and within which limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Key:
    """A key by its SHA-256, in lower-case hex; its text is known to its owner alone.

    `per_minute` and `at_once` limit its requests on each host, 0 for no limit. `created` and `revoked` are in
    seconds since the epoch; `revoked` is 0 for a key that is valid.
    """

    name: str
    digest: str
    created: float
    per_minute: int = 0
    at_once: int = 0
    revoked: float = 0.0


@dataclass(frozen=True, slots=True)
class KeyRing:
    """All keys there ever were, by digest, revoked ones included.

    A key that was revoked stays in it, so that no host that was away can bring it back. `locked` and `opened` count:
    each key that is added raises `locked` above `opened`, and opening the door raises `opened` to it.
    """

    keys: tuple[Key, ...] = ()
    locked: int = 0
    opened: int = 0

    @property
    def active(self) -> tuple[Key, ...]:
        """The keys that are valid, by name."""
        found = [key for key in self.keys if not key.revoked]
        return tuple(sorted(found, key=lambda key: (key.name, key.created)))

    @property
    def is_locked(self) -> bool:
        """Whether nobody gets in without a key; revoking the last key does not open the door."""
        return bool(self.active) or self.locked > self.opened

    def merged(self, other: KeyRing) -> KeyRing:
        """Return the union: every key of both, revoked where either says so. The order of merging does not matter."""
        keys: dict[str, Key] = {}
        for key in (*self.keys, *other.keys):
            known = keys.setdefault(key.digest, key)
            revoked = [each.revoked for each in (known, key) if each.revoked]
            keys[key.digest] = replace(known, revoked=min(revoked, default=0.0))
        return KeyRing(
            tuple(keys[digest] for digest in sorted(keys)),
            max(self.locked, other.locked),
            max(self.opened, other.opened),
        )

    def as_json(self) -> dict[str, Any]:
        """Return the content of `keys.json`."""
        return asdict(self) | {"keys": [asdict(key) for key in self.keys]}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> KeyRing:
        """Return the ring whose `as_json` is `data`; an empty mapping has no keys."""
        keys = tuple(Key(**key) for key in data.get("keys", ()))
        return KeyRing(keys, int(data.get("locked", 0)), int(data.get("opened", 0)))


@dataclass(frozen=True, slots=True)
class HostKeys:
    """The keys of one host; `lagging` workers of its router do not follow them."""

    ring: KeyRing = KeyRing()
    lagging: int = 0
