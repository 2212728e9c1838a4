"""The deployments that have not ended on this host, so that a command from any ops machine can end them.

The history of the ops machine that began one may be out of reach. FILE is written before the deployment's first step
and removed after its last; a deployment of a command that was cut short leaves it behind. A command for another model
leaves it open while its guard watches the release: LEFT then has its record, as ROLLOUT.json, and FILE the next one's.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from typing import Optional

import audit_heads
from directory import Directory, make_own, read_text
from documents import parsed
from wire import Document

FILE = "deployment.json"
LEFT = "deployments"
_ROOT_ONLY = 0o600
_WORDS = ("rollout", "model")
_NAME = re.compile(r"[0-9A-Za-z-]{1,64}")


def keep(root: str, deployment: Document, head: Optional[Document] = None) -> Document:
    """Write the deployment down; return {"kept"}, which is false where the disk takes nothing.

    `head` is that of the ops machine's audit log, which has the deployment already.
    """
    try:
        os.makedirs(root, exist_ok=True)
        with Directory(root) as opened:
            # The caller holds the deployment lock.
            opened.sweep()
            _set_aside(root, deployment)
            opened.write(FILE, json.dumps(deployment) + "\n", _ROOT_ONLY)
            opened.sync()
    except OSError:
        return {"kept": False}
    if head:
        # A rollback does not wait for the disk a second time; the head at the command's end does.
        audit_heads.keep(root, head, durable=False)
    return {"kept": True}


def drop(root: str, rollout: str) -> Document:
    """Remove the deployment of this rollout, and files that cannot be read; return {}."""
    for path in (FILE, *_paths(root)):
        found, sound = _read(root, path)
        if not sound or (found and found.get("rollout") == rollout):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(root, path))
    return {}


def leave(root: str, rollout: str) -> None:
    """Note in the deployment of this rollout that its guard is no more, so that a person decides about it."""
    for path in (FILE, *_paths(root)):
        found = _read(root, path)[0]
        if found and found["rollout"] == rollout:
            place, name = os.path.split(path)
            with Directory(os.path.join(root, place) if place else root) as opened:
                text = json.dumps({**found, "unjudged": True}) + "\n"
                opened.write(name, text, _ROOT_ONLY)
                opened.sync()


def read(root: str) -> tuple[Document | None, bool]:
    """Return the deployment of the last command, None where it has ended, and whether its file is sound."""
    return _read(root, FILE)


def left(root: str) -> tuple[list[Document], list[str]]:
    """Return the deployments that are left to their guard, and the paths below `root` that cannot be read."""
    seen = {path: _read(root, path) for path in _paths(root)}
    unread = [path for path, (_, sound) in seen.items() if not sound]
    last = (read(root)[0] or {}).get("rollout")
    # A command that was killed amid `keep` may leave one in both places.
    return [found for found, _ in seen.values() if found and found["rollout"] != last], unread


def every(root: str) -> list[Document]:
    """Return all deployments that have not ended."""
    found, last = left(root)[0], read(root)[0]
    return [*found, last] if last else found


def _set_aside(root: str, coming: Document) -> None:
    """Keep the deployment that is there beside the `coming` one while its guard stands; it has not ended then.

    So does one whose guard has lost its order, also where a repair has forgotten that: a person decides about it.
    """
    last = read(root)[0]
    if last is None or last["rollout"] == coming["rollout"] or not _NAME.fullmatch(last["rollout"]):
        return
    # Here and not above: a host mostly keeps no other deployment.
    import guard_order

    model = last.get("model", "")
    order = guard_order.read(root, model)
    stands = order["rollout"] == last["rollout"] if order else guard_order.is_lost(root, model)
    if not stands and last.get("unjudged") is not True:
        return
    with Directory(make_own(root, LEFT)) as opened:
        opened.sweep()
        opened.write(last["rollout"] + ".json", json.dumps(last) + "\n", _ROOT_ONLY)
        opened.sync()


def _paths(root: str) -> list[str]:
    """Return the paths of the deployments that are left to their guard, below `root`."""
    try:
        names = sorted(os.listdir(os.path.join(root, LEFT)))
    except OSError:
        return []
    return [os.path.join(LEFT, name) for name in names if not name.startswith(".")]


def _read(root: str, path: str) -> tuple[Document | None, bool]:
    text = read_text(os.path.join(root, path))
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
