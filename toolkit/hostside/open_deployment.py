"""The deployment that is under way on this host, so that a command from any ops machine can end it.

The history of the ops machine that began it may be out of reach. The file is written before the deployment's first step
and removed after its last; a deployment of a command that was cut short leaves it behind.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import Optional

import audit_heads
from directory import Directory, read_text
from documents import parsed
from wire import Document

FILE = "deployment.json"
_ROOT_ONLY = 0o600
_WORDS = ("rollout", "model")


def keep(root: str, deployment: Document, head: Optional[Document] = None) -> Document:
    """Write the deployment down; return {"kept"}, which is false where the disk takes nothing.

    `head` is that of the ops machine's audit log, which has the deployment already.
    """
    try:
        os.makedirs(root, exist_ok=True)
        with Directory(root) as opened:
            # The caller holds the deployment lock.
            opened.sweep()
            opened.write(FILE, json.dumps(deployment) + "\n", _ROOT_ONLY)
            opened.sync()
    except OSError:
        return {"kept": False}
    if head:
        # A rollback does not wait for the disk a second time; the head at the command's end does.
        audit_heads.keep(root, head, durable=False)
    return {"kept": True}


def drop(root: str, rollout: str) -> Document:
    """Remove the deployment of this rollout, and a file that cannot be read; return {}."""
    found, sound = read(root)
    if not sound or (found and found.get("rollout") == rollout):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(root, FILE))
    return {}


def read(root: str) -> tuple[Document | None, bool]:
    """Return the deployment that is kept, None where there is none, and whether its file is sound."""
    text = read_text(os.path.join(root, FILE))
    if text is None:
        return None, True
    try:
        found = parsed(text)
        return (found, True) if _is_sound(found) else (None, False)
    except ValueError:
        return None, False


def _is_sound(found: object) -> bool:
    """Whether this host's programs can work with the record; the ops machine reads the rest of it."""
    return (
        isinstance(found, dict)
        and "rollout" in found
        and all(isinstance(found.get(name, ""), str) for name in _WORDS)
    )
