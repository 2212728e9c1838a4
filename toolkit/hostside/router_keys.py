"""The keys of the router: who may use it, and within which limits.

`keys.json` is the truth on this host: {"keys": [{"name", "digest", "created", "per_minute", "at_once", "revoked"}],
"locked", "opened"}. A key is there by the SHA-256 of its text alone. A digest needs no salt and no slow hash here:
keys are 256 random bits, so there is nothing to guess. `keys.map` is what the router starts from, and the
running workers, old ones too, are brought to the same without a reload.

Changes from several places meet by union: a key that was revoked anywhere stays revoked, whatever comes later.
"""

from __future__ import annotations

import hashlib
import json
import os

import router_files
import router_socket
from router_socket import RouterError
from wire import Document

FILE = "keys.json"
MAP = "keys.map"
# only the router's user and root have use for them
MODE = 0o600


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
    """Unite the given ring with this host's; return the result when file and every worker follow it.

    Works without a router too, and before there is one: it will start with these keys. Raises RouterError where
    a running router does not take them.
    """
    directory = os.path.join(root, "router")
    os.makedirs(directory, mode=0o755, exist_ok=True)
    with router_files.alone(directory):
        ring = merged(_ring(directory), given)
        files = {MAP: _map_text(ring), FILE: json.dumps(ring, indent=2) + "\n"}
        changed = [
            name
            for name in (MAP, FILE)
            if files[name] != router_files.read(os.path.join(directory, name))
        ]
        if changed:
            router_files.write(directory, files, changed, MODE)
        _tell(directory, _entries(ring))
    return ring


def merged(one: Document, other: Document) -> Document:
    """Return the union of two rings. See KeyRing.merged of the ops machine's side, which does the same."""
    keys: dict[str, Document] = {}
    for key in [*one.get("keys", []), *other.get("keys", [])]:
        known = keys.setdefault(key["digest"], dict(key))
        revoked = [each["revoked"] for each in (known, key) if each["revoked"]]
        known["revoked"] = min(revoked, default=0.0)
    return {
        "keys": [keys[digest] for digest in sorted(keys)],
        "locked": max(one.get("locked", 0), other.get("locked", 0)),
        "opened": max(one.get("opened", 0), other.get("opened", 0)),
    }


def door(root: str) -> Document:
    """Return {"tls", "keys": how many are valid, "locked": whether nobody gets in without one, "ring"}.

    `ring` is a digest over all keys, revoked ones too: the same on hosts that have the same.
    """
    directory = os.path.join(root, "router")
    base = router_files.read(os.path.join(directory, "haproxy.cfg")) or ""
    ring = _ring(directory)
    api = base.partition("\nfrontend api\n")[2]
    checks = MAP in api
    return {
        "tls": " ssl crt " in api.partition("\n")[0],
        "keys": sum(not key["revoked"] for key in ring["keys"]),
        "locked": checks and (is_locked(ring) or "str(door)" not in api),
        "ring": hashlib.sha256(json.dumps(ring, sort_keys=True).encode()).hexdigest()[:12],
    }


def is_locked(ring: Document) -> bool:
    """Whether nobody gets in without a key; revoking the last key does not open the door."""
    active = any(not key["revoked"] for key in ring["keys"])
    return bool(active or ring["locked"] > ring["opened"])


def _ring(directory: str) -> Document:
    return merged(json.loads(router_files.read(os.path.join(directory, FILE)) or "{}"), {})


def _entries(ring: Document) -> dict[str, str]:
    entries = {"door": "locked" if is_locked(ring) else "open"}
    for key in ring["keys"]:
        if not key["revoked"]:
            entries[key["digest"]] = f"{key['name']}|{key['per_minute']}|{key['at_once']}"
    return entries


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
    # A worker that comes meanwhile may have read the former file.
    while new := set(_workers(directory)) - told:
        for pid in sorted(new):
            if not router_socket.set_map(directory, pid, MAP, entries):
                raise RouterError(
                    "the router knows no keys yet: it was set up by an older toolkit and has to be provisioned again"
                )
        told |= new
