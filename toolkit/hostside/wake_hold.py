"""A command that starts a replica on its host holds off the wakes there: it counts on the memory that is free.

    <root>/watch/wakes-held.json    {"token": that of the command's deployment lock}

The watch begins no wake while the command that wrote this has its lock, which the kernel releases however it ends. So
what a dead one has left holds nothing. A wake that has begun goes on, and the command counts its memory: whoever of
both is first finishes what it decides before the other looks.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator

import deployment_lock
from directory import Directory, lock_file, make_own, read_text
from documents import mapping
from wire import Document

PLACE, FILE = "watch", "wakes-held.json"
LOCK = ".wakes.lock"


def hold(root: str, holder: str, on: bool) -> Document:
    """Hold wakes off, or no more, for the holder of the deployment lock, whose token is `holder`; return {}.

    A wake that the watch has decided on has begun by then. Raises LockLost where another one has the lock, or nobody.
    """
    deployment_lock.require(root, holder)
    with deciding(root), Directory(os.path.join(root, PLACE)) as opened:
        if on:
            opened.write(FILE, json.dumps({"token": holder}), durable=False)
        else:
            with contextlib.suppress(FileNotFoundError):
                opened.remove(FILE)
    return {}


def held(root: str) -> str:
    """Return the command that holds wakes off, in words; empty where none does. Ask while `deciding`."""
    token = mapping(read_text(os.path.join(root, PLACE, FILE))).get("token")
    if not token:
        return ""
    now = deployment_lock.read(root)
    owner: Document = now["owner"] if now["held"] else {}
    return str(owner.get("command") or "a command") if owner.get("token") == token else ""


@contextlib.contextmanager
def deciding(root: str) -> Iterator[None]:
    """Let no command hold wakes off meanwhile, and the watch begin none."""
    lock = lock_file(os.path.join(make_own(root, PLACE), LOCK))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
