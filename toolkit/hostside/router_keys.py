"""The keys of the router: who may use it, and within which limits.

`keys.json` is the truth on this host: {"keys": [{"name", "digest", "created", "per_minute", "concurrency", "revoked"}],
"locked", "opened"}, with "charge" where keys have quotas of cost, see `use_prices.py`. It holds the SHA-256 of each
key, not its text. A digest needs no salt and no slow hash here: keys are 256 random bits, so nobody can guess one.
HAProxy starts from `keys.map`; the running workers, old ones too, get the same entries without a reload.

Changes from several places meet by union: a key that was revoked anywhere stays revoked, whatever comes later.

`keys-copy.json` has the same content, for the repair of a damaged `keys.json`. The map alone shows no quotas, no
`inside`, no revoked keys and no charge. A key that is known from the map alone has a `created` of 0.
"""

from __future__ import annotations

import hashlib
import json
import os
import re

import router_files
import router_socket
from directory import make_own
from documents import parsed
from router_socket import RouterError
from wire import Document


class Damaged(RouterError):
    """A file is damaged, and can be made anew."""

    hint = "toolkit repair"


FILE = "keys.json"
COPY = "keys-copy.json"
MAP = "keys.map"


def read(root: str) -> Document:
    """Return {"ring", "lagging"}: the content of keys.json, and how many workers do not follow it."""
    directory = os.path.join(root, "router")
    ring = _ring(directory)
    wanted = _entries(ring)
    lagging = sum(
        router_socket.read_map(directory, pid, MAP) != wanted for pid in _workers(directory)
    )
    return {"ring": ring, "lagging": lagging}


def apply(root: str, given: Document) -> Document:
    """Unite the given ring with this host's; return the union once the files and every worker have it.

    Without a router the files alone change: a router that starts later reads them. Raises RouterError where
    a running router does not take the keys.
    """
    directory = os.path.join(root, "router")
    if not os.path.isdir(directory):
        make_own(root, "router")
    with router_files.alone(directory):
        ring = merged(_ring(directory), given)
        _require_quotas(directory, given)
        # The copy comes first: a key that the map has is then in the copy, with its quotas.
        for name, text in ((COPY, _text(ring)), (MAP, _map_text(ring)), (FILE, _text(ring))):
            _write(directory, name, text)
        _tell(directory, _entries(ring))
        _end_uploads(directory, _entries(ring))
    return ring


def repair(root: str, given: Document) -> Document:
    """Make a damaged keys.json anew from its copy, keys.map or a worker, and unite it with `given`, see `apply`."""
    directory = os.path.join(root, "router")
    if os.path.isdir(directory) and sound_ring(directory) is None:
        with router_files.alone(directory):
            _write(directory, FILE, _text(merged(_made_anew(directory), given)))
    return apply(root, given)


def keep_copy(root: str) -> None:
    """Write the copy of a sound keys.json where it is not there yet, as after a change by an older toolkit."""
    directory = os.path.join(root, "router")
    with router_files.alone(directory):
        ring = sound_ring(directory)
        if ring is not None and router_files.read(os.path.join(directory, FILE)):
            _write(directory, COPY, _text(ring))


def merged(one: Document, other: Document) -> Document:
    """Return the union of two rings, as KeyRing.merged does on the ops machine."""
    keys: dict[str, Document] = {}
    for key in map(_current, [*one.get("keys", []), *other.get("keys", [])]):
        keys[key["digest"]] = _joined(keys.get(key["digest"], key), key)
    charges = [each["charge"] for each in (one, other) if each.get("charge")]
    newest = max(
        charges,
        key=lambda charge: (charge["told"], json.dumps(charge, sort_keys=True)),
        default=None,
    )
    return {
        "keys": [keys[digest] for digest in sorted(keys)],
        "locked": max(one.get("locked", 0), other.get("locked", 0)),
        "opened": max(one.get("opened", 0), other.get("opened", 0)),
        **({"charge": newest} if newest else {}),
    }


def door(root: str) -> Document:
    """Return {"tls", "keys": how many are valid, "locked": whether requests need one, "ring_digest"}.

    `ring_digest` is over all keys, revoked ones too. Hosts with the same keys have the same digest.
    """
    directory = os.path.join(root, "router")
    base = router_files.read(os.path.join(directory, "haproxy.cfg")) or ""
    # Without a sound ring the router follows its map.
    ring = sound_ring(directory) or _from_map(directory)
    api = base.partition("\nfrontend api\n")[2]
    checks = MAP in api
    return {
        "tls": " ssl crt " in api.partition("\n")[0],
        "keys": sum(not key["revoked"] for key in ring["keys"]),
        "locked": checks and (is_locked(ring) or "str(door)" not in api),
        "ring_digest": hashlib.sha256(json.dumps(ring, sort_keys=True).encode()).hexdigest()[:12],
    }


def is_locked(ring: Document) -> bool:
    """Whether every request needs a key. Revoking the last key leaves the door locked."""
    active = any(not key["revoked"] for key in ring["keys"])
    return bool(active or ring["locked"] > ring["opened"])


def _require_quotas(directory: str, given: Document) -> None:
    """Raise RouterError where a key has a quota that a running router would not know."""
    base = router_files.read(os.path.join(directory, "haproxy.cfg"))
    quotas = any(
        name.endswith(("_per_day", "_per_month")) for key in given.get("keys", []) for name in key
    )
    if base and quotas and "quotas.map" not in base:
        raise RouterError(
            "the router knows no quotas yet: it was set up by an older toolkit and has to be provisioned again"
        )
    costs = any(key.get("cost_per_month") for key in given.get("keys", []))
    watch = router_files.read(
        os.path.join(os.path.dirname(directory), "bin", "watch", "use_quotas.py")
    )
    if costs and watch is not None and "cost_per_month" not in watch:
        raise RouterError(
            "the watch knows no quotas of cost yet: it is of an older toolkit and has to be provisioned again"
        )


def _joined(one: Document, other: Document) -> Document:
    """Return the key with the stricter value of each field, as Key.joined does on the ops machine."""
    found = {**one, **other}
    for name in one.keys() & other.keys():
        values = one[name], other[name]
        if isinstance(values[0], str):
            found[name] = min(values)
        elif isinstance(values[0], bool):
            found[name] = any(values)
        else:
            # 0 is no limit, and says nothing.
            found[name] = min(filter(None, values), default=one[name])
    if not {"name", "digest", "revoked"} <= found.keys():
        raise KeyError("a key lacks a field")
    return found


def _current(key: Document) -> Document:
    """Return a copy of a key with the names of today's fields: older toolkits wrote `at_once`."""
    return {"concurrency" if name == "at_once" else name: value for name, value in key.items()}


def sound_ring(directory: str) -> Document | None:
    """Return the ring in keys.json; None where it cannot be read, or is lost beside a map or a copy that has keys."""
    text = router_files.read(os.path.join(directory, FILE))
    if not text:
        lost = any(key != "door" or value != "open" for key, value in _in_map(directory).items())
        return None if lost or (copied(directory) or {}).get("keys") else merged({}, {})
    return _parsed(text)


def copied(directory: str) -> Document | None:
    """Return the ring in the copy of keys.json; None where there is none that can be read."""
    return _parsed(router_files.read(os.path.join(directory, COPY)) or "")


def _parsed(text: str) -> Document | None:
    try:
        ring = merged(parsed(text), {})
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    charge = ring.get("charge", {"told": 0})
    times = [ring["locked"], ring["opened"], charge["told"]]
    return ring if all(map(_is_number, times)) and all(map(_is_key, ring["keys"])) else None


def _is_key(key: Document) -> bool:
    """Whether the fields of a key that this host works with are what they must be."""
    whole = [key.get("per_minute"), key.get("concurrency")]
    whole += [value for name, value in key.items() if name.endswith(("_per_day", "_per_month"))]
    return (
        isinstance(key["name"], str)
        and re.fullmatch("[0-9a-f]{64}", str(key["digest"])) is not None
        and all(type(each) is int for each in whole)
        and all(_is_number(key.get(name, 0)) for name in ("created", "revoked"))
    )


def _is_number(found: object) -> bool:
    # A comparison with NaN is false.
    sound = isinstance(found, (int, float)) and not isinstance(found, bool)
    return sound and 0 <= found < 2**53  # type: ignore[operator]


def _ring(directory: str) -> Document:
    ring = sound_ring(directory)
    if ring is None:
        raise Damaged(f"{os.path.join(directory, FILE)} is damaged")
    return ring


def _in_map(directory: str) -> dict[str, str]:
    """Return the entries of keys.map, from which a router starts."""
    lines = (router_files.read(os.path.join(directory, MAP)) or "").splitlines()
    return {key: value for key, _, value in (line.partition(" ") for line in lines) if value}


def _made_anew(directory: str) -> Document:
    """Return the ring that keys.map or a worker shows, with what the copy knows.

    A valid key of the copy that the map lacks stays out, because an older toolkit revokes keys without the copy. Where
    no map is left, the copy holds.
    """
    shown, copy = _from_map(directory), copied(directory) or merged({}, {})
    known = {key["digest"] for key in shown["keys"]}
    no_map = not known and not _in_map(directory)
    kept = [key for key in copy["keys"] if key["digest"] in known or key["revoked"] or no_map]
    # A door that the map shows locked stays so, whatever the copy counts.
    locked = max(copy["locked"], copy["opened"] + shown["locked"])
    return merged({**shown, "locked": locked}, {**copy, "keys": kept})


def _from_map(directory: str) -> Document:
    """Return the ring that keys.map shows, or else a worker's. Where neither has keys, nobody gets in."""
    entries = _in_map(directory)
    if len(entries) < 2:
        found = [router_socket.read_map(directory, pid, MAP) for pid in _workers(directory)]
        entries = max([entries, *filter(None, found)], key=len)
    keys = []
    for digest, value in entries.items():
        name, per_minute, concurrency = [*value.split("|"), "", "", ""][:3]
        if (
            re.fullmatch("[0-9a-f]{64}", digest)
            and per_minute.isdecimal()
            and concurrency.isdecimal()
        ):
            made = {"name": name, "digest": digest, "created": 0.0, "revoked": 0.0}
            keys.append({**made, "per_minute": int(per_minute), "concurrency": int(concurrency)})
    return {"keys": keys, "locked": int(entries.get("door") != "open"), "opened": 0}


def _entries(ring: Document) -> dict[str, str]:
    entries = {"door": "locked" if is_locked(ring) else "open"}
    for key in ring["keys"]:
        if not key["revoked"]:
            entries[key["digest"]] = f"{key['name']}|{key['per_minute']}|{key['concurrency']}"
    return entries


def _text(ring: Document) -> str:
    return json.dumps(ring, indent=2) + "\n"


def _write(directory: str, name: str, text: str) -> None:
    """Write a file of the keys where it differs."""
    if router_files.differs(directory, name, text):
        mode = router_files.PRIVATE if name == MAP else router_files.ROOT_ONLY
        router_files.write(directory, {name: text}, [name], mode)


def _map_text(ring: Document) -> str:
    return "".join(f"{key} {value}\n" for key, value in _entries(ring).items())


def _workers(directory: str) -> list[int]:
    try:
        processes = router_socket.processes(directory)
    except router_socket.RouterDown:
        return []
    pids: list[int] = processes["current"] + processes["old"]
    return pids


def _tell(directory: str, entries: dict[str, str]) -> None:
    told: set[int] = set()
    # A worker that starts meanwhile may have read the former file.
    while new := set(_workers(directory)) - told:
        for pid in sorted(new):
            if not router_socket.set_map(directory, pid, MAP, entries):
                raise RouterError(
                    "the router knows no keys yet: it was set up by an older toolkit and has to be provisioned again"
                )
        told |= new


def _end_uploads(directory: str, entries: dict[str, str]) -> None:
    """End the requests of keys that are valid no more whose bodies pass through, see uploads.lua."""
    name = os.path.join(directory, "uploads.map")
    for pid in _workers(directory):
        noted = router_socket.read_map(directory, pid, name) or {}
        revoked = {stream for stream, digest in noted.items() if digest not in entries}
        if revoked:
            found = router_socket.uploading(directory, pid)
            ended = [f"shutdown session {found[each]}" for each in revoked & found.keys()]
            # One that has just ended by itself is unknown.
            router_socket.tell(directory, pid, ended)
