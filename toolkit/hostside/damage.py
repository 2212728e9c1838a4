"""Files of the toolkit on this host that cannot be read: damaged by a disk, an editor or a power cut.

An observation goes on without them and names them; `toolkit repair` makes them anew.
"""

from __future__ import annotations

import json
import os

import open_deployment
import router_keys
import routes_file
from directory import read_text
from wire import Document

MANIFEST = "manifest.json"
_OF_MANIFEST = {"model": str, "slot": str, "port": int, "release": dict}
_OF_RELEASE = {"model": str, "version": str, "number": int, "snapshot": str, "engine": str}


def damaged(root: str, routing: Document) -> list[str]:
    """Return the paths of the damaged files, relative to `root`; `routing` is what `router_view.observe` says."""
    found = [] if open_deployment.read(root)[1] else [open_deployment.FILE]
    router = os.path.join(root, "router")
    texts = {
        name: read_text(os.path.join(router, name)) for name in ("routes.json", "backends.cfg")
    }
    in_use = bool(routing["running"] and routing["servers"])
    if not routes_file.is_sound(texts["routes.json"], texts["backends.cfg"], in_use=in_use):
        found.append("router/routes.json")
    if router_keys.sound_ring(router) is None:
        found.append(f"router/{router_keys.FILE}")
    slots = os.path.join(root, "slots")
    for name in sorted(os.listdir(slots)) if os.path.isdir(slots) else []:
        path = os.path.join("slots", name, MANIFEST)
        text = read_text(os.path.join(root, path))
        # A slot without a manifest is being filled or emptied.
        if text is not None and manifest(text) is None:
            found.append(path)
    return found


def manifest(text: str) -> Document | None:
    """Return the manifest in the text of its file; None where it is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if _has(found, _OF_MANIFEST) and _has(found["release"], _OF_RELEASE) else None


def _has(document: object, fields: dict[str, type]) -> bool:
    return isinstance(document, dict) and all(
        isinstance(document.get(name), kind) for name, kind in fields.items()
    )
