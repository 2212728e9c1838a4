"""Files of the toolkit on this host that cannot be read: damaged by a disk, an editor or a power cut.

An observation goes on without them and names them; `toolkit repair` makes them anew.
"""

from __future__ import annotations

import os

import guard_order
import open_deployment
import router_keys
import routes_file
import slot_manifest
from directory import read_text
from wire import Document


def damaged(root: str, routing: Document) -> list[str]:
    """Return the paths of the damaged files, relative to `root`; `routing` is what `router_view.observe` says."""
    found = [] if open_deployment.read(root)[1] else [open_deployment.FILE]
    found += open_deployment.left(root)[1]
    router = os.path.join(root, "router")
    texts = {
        name: read_text(os.path.join(router, name)) for name in ("routes.json", "backends.cfg")
    }
    in_use = bool(routing["running"] and routing["servers"])
    if not routes_file.is_sound(texts["routes.json"], texts["backends.cfg"], in_use=in_use):
        found.append("router/routes.json")
    if router_keys.sound_ring(router) is None:
        found.append(f"router/{router_keys.FILE}")
    for program in slot_manifest.programs(root):
        path = slot_manifest.path(root, program)
        text = read_text(path)
        # A slot is filled with its manifest first, so one that has a command and no manifest has lost it.
        lost = text is None and os.path.lexists(os.path.join(os.path.dirname(path), "run"))
        if lost or (text is not None and not slot_manifest.is_sound(slot_manifest.parsed(text))):
            found.append(os.path.relpath(path, root))
    return found + guard_order.damaged(root)
