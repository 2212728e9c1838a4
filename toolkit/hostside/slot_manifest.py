"""The manifest of a slot: what its replica runs, as the playbook wrote it. All of this host's programs read it here."""

from __future__ import annotations

import os
from collections.abc import Iterator

from directory import read_text
from documents import mapping
from snapshots import tree_name
from wire import Document

NAME = "manifest.json"
# The file for the span supervisor of a replica over several hosts, see the role `replica`.
SPAN = "span.json"
_FIELDS = {"model": str, "slot": str, "port": int, "release": dict}
# Both are parts of the name of the slot's directory.
_LONGEST_NAME = 255
_OF_RELEASE = {"model": str, "version": str, "number": int, "snapshot": str, "engine": str}


def read(root: str, program: str) -> Document:
    """Return the manifest of a slot, `program` being model and slot joined by a dash; empty where there is none.

    A slot without one is being filled or emptied.
    """
    return parsed(read_text(path(root, program)))


def path(root: str, program: str) -> str:
    """Return the path of a slot's manifest."""
    return os.path.join(root, "slots", program, NAME)


def programs(root: str) -> list[str]:
    """Return the names of all slots of this host, in order."""
    slots = os.path.join(root, "slots")
    return sorted(os.listdir(slots)) if os.path.isdir(slots) else []


def each(root: str) -> Iterator[tuple[str, Document]]:
    """Yield program and manifest of each slot that has one."""
    for program in programs(root):
        found = read(root, program)
        if found:
            yield program, found


def sound(root: str) -> list[Document]:
    """Return the manifests that have all fields that every manifest has."""
    return [found for _, found in each(root) if is_sound(found)]


def parsed(text: str | None) -> Document:
    """Return the document in the text of a manifest; empty where it is none."""
    return mapping(text)


def is_sound(found: Document) -> bool:
    """Whether a manifest has all fields that every manifest has."""
    whole = _has(found, _FIELDS) and _has(found["release"], _OF_RELEASE)
    return (
        whole
        and len(found["model"]) + len(found["slot"]) < _LONGEST_NAME
        and isinstance(found.get("signs", {}), dict)
        and _are_numbers(found.get("devices", []))
    )


def _are_numbers(found: object) -> bool:
    return isinstance(found, list) and all(type(each) is int for each in found)


def release(root: str, program: str) -> Document:
    """Return the release of a slot; empty where there is none."""
    found = read(root, program).get("release")
    return found if isinstance(found, dict) else {}


def snapshots(root: str, program: str) -> list[str]:
    """Return the snapshots that the release of a slot takes: its own, and those of its adapters.

    Raises ValueError, KeyError, TypeError or AttributeError where the manifest is damaged.
    """
    found = release(root, program)
    return [tree_name(str(each["snapshot"])) for each in (found, *found.get("adapters", []))]


def leads(root: str, program: str) -> bool:
    """Whether the engine of a slot is this host's own.

    Of the hosts that run a replica together one leads, and the others hand what comes to their port to its engine.
    """
    rank = mapping(read_text(os.path.join(root, "slots", program, SPAN))).get("rank", 0)
    return not (isinstance(rank, int) and rank > 0)


def _has(document: object, fields: dict[str, type]) -> bool:
    # The type itself: a truth value is an instance of int.
    return isinstance(document, dict) and all(
        type(document.get(name)) is kind for name, kind in fields.items()
    )
