"""Changes of the keys: adding, revoking, and opening the door."""

from __future__ import annotations

import difflib
import hashlib
import re
from dataclasses import replace

from toolkit.domain.clients.keys import Charge, Key, KeyRing
from toolkit.domain.clients.use import PROBE
from toolkit.errors import InputError, RefusedError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_KEY = re.compile(r"[A-Za-z0-9._~+/=-]{32,512}")


def with_key(
    ring: KeyRing,
    name: str,
    key: str,
    *,
    now: float,
    per_minute: int = 0,
    concurrency: int = 0,
    inside: bool = False,
    **quotas: int,
) -> KeyRing:
    """Return the ring with the new key `key` of `name`, and the door locked.

    The ring keeps the digest of the key's text; a limit of 0 is no limit. `quotas` are fields of `Key`. Raises
    InputError where `name` is invalid or has a key, and where the key is too short or was used before.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r} is no name for a key",
            hint="it has letters, digits and . _ - alone, at most 64, and is written to the router's log",
        )
    if name == PROBE:
        raise InputError(
            f"{name!r} is the name under which the toolkit's own requests are counted",
            hint="take another name",
        )
    if any(each.name == name for each in ring.active):
        raise InputError(
            f"{name} has a key already", hint=f"take another name, or: toolkit keys revoke {name}"
        )
    if not _KEY.fullmatch(key):
        raise InputError(
            "this is not fit to be a key: it needs 32 to 512 random characters of letters, digits and . _ ~ + / = -",
            hint=f"let the toolkit make one: toolkit keys add {name}",
        )
    digest = hashlib.sha256(key.encode()).hexdigest()
    if any(each.digest == digest for each in ring.keys):
        raise InputError(
            "this key was known before, and each key is given out once",
            hint=f"let the toolkit make one: toolkit keys add {name}",
        )
    made = Key(name, digest, now, per_minute, concurrency, inside=inside, **quotas)
    keys = tuple(sorted((*ring.keys, made), key=lambda each: each.digest))
    return replace(ring, keys=keys, locked=max(ring.locked, ring.opened) + 1)


def with_charge(ring: KeyRing, charge: Charge) -> KeyRing:
    """Return the ring with the prices of `charge`; raises RefusedError where quotas are in another currency.

    Hosts take the charge that was told last. So it is told after the former one, whatever clock that had.
    """
    former = ring.charge
    if former is None or former.models != charge.models or former.currency != charge.currency:
        limited = [key.name for key in ring.active if key.cost_per_month]
        if former is not None and limited and former.currency != charge.currency:
            raise RefusedError(
                f"quotas of cost are in {former.currency}, and these prices in {charge.currency}",
                hint=f"toolkit keys revoke {limited[0]}",
            )
        told = max(charge.told, former.told + 1) if former else charge.told
        return replace(ring, charge=replace(charge, told=told))
    return ring


def without_key(ring: KeyRing, name: str, *, now: float) -> KeyRing:
    """Return the ring with every key of `name` revoked; raises InputError where `name` never had a key.

    Revoking twice gives the same ring, so that a change that did not reach every host can be repeated.
    """
    if name not in {key.name for key in ring.keys}:
        near = difflib.get_close_matches(name, [key.name for key in ring.active], n=1)
        raise InputError(
            f"there is no key of {name!r}",
            hint=f"did you mean {near[0]}?" if near else "toolkit keys list",
        )
    return replace(
        ring,
        keys=tuple(
            replace(key, revoked=key.revoked or now) if key.name == name else key
            for key in ring.keys
        ),
    )


def made_anew(ring: KeyRing) -> list[str]:
    """Return words about each valid key of which no host knows more than its router's map, and about a door without."""
    if ring.is_locked and not ring.active:
        return [
            "no valid key was found, and requests need one: toolkit keys add NAME, or toolkit keys open"
        ]
    return [
        f"{key.name}: made anew from a router's map; whether it is inside and its quotas are not known: "
        f"toolkit keys revoke {key.name}, then toolkit keys add {key.name}"
        for key in ring.active
        if key.made_anew
    ]


def uncounted(ring: KeyRing) -> tuple[str, ...]:
    """Return words about a valid key whose use counts for no key: an older toolkit gave out the probes' own name."""
    return tuple(
        f"{key.name}: what is asked with it counts as the toolkit's own requests, for no key; give its client another "
        f"one: toolkit keys revoke {key.name}"
        for key in ring.active
        if key.name == PROBE
    )


def opened(ring: KeyRing) -> KeyRing:
    """Return the ring with the door open: requests need no key. Raises RefusedError while a key is valid."""
    if ring.active:
        names = ", ".join(dict.fromkeys(key.name for key in ring.active))
        raise RefusedError(
            f"there are keys: {names}", hint=f"toolkit keys revoke {ring.active[0].name}"
        )
    # Count it even if the door was open before: a new host can then tell that a person has opened it.
    return replace(ring, opened=max(ring.locked, ring.opened, 1))
