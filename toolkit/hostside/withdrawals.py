"""Refuse routes that give a withdrawn release traffic again: their command does not know of the withdrawal yet."""

from __future__ import annotations

import json
import os

import router_files
import routes_file
import slot_manifest
from documents import mapping
from wire import Document

# The releases that were withdrawn, by the program of their slot: another release in the slot is none of it.
RECORD = "withdrawn.json"


def record(root: str, model: str, slot: str) -> None:
    """Note the release in a slot as withdrawn."""
    directory = os.path.join(root, "router")
    with router_files.alone(directory):
        known = _recorded(root)
        kept = {**known, f"{model}-{slot}": _release(root, model, slot)}
        if kept != known:
            text = json.dumps(kept, indent=2) + "\n"
            router_files.write(directory, {RECORD: text}, [RECORD], router_files.ROOT_ONLY)


def given_back(root: str, former: Document, routes: Document) -> Document:
    """Return {"target", "number"} of a release of this host that `routes` give traffic again, else {}."""
    recorded = _recorded(root)
    for model, slot, name in routes_file.regained(former, routes):
        number = _release(root, model, slot)
        if number and number == recorded.get(f"{model}-{slot}"):
            return {"target": f"{model}/{name}", "number": number}
    return {}


def _release(root: str, model: str, slot: str) -> int:
    """Return the number of the release in a slot; 0 where there is none."""
    try:
        return int(slot_manifest.release(root, f"{model}-{slot}")["number"])
    except (ValueError, KeyError, TypeError):
        return 0


def _recorded(root: str) -> dict[str, int]:
    return mapping(router_files.read(os.path.join(root, "router", RECORD)))
