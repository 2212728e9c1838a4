"""One deployment at a time: a kernel lock on the host, held for as long as this process lives.

The ops machine keeps this process's standard input open. However the ops machine's command ends, by SIGKILL or a lost
link too, the pipe closes, this process ends and the kernel releases the lock. No stale lock remains to be broken by
hand. The file's text only tells others who holds the lock.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from typing import BinaryIO

from wire import Document, Report


def keep(root: str, owner: Document, report: Report, stream: BinaryIO) -> Document:
    """Take the lock, report {"held": True}, and keep it until `stream` ends; else return {"held": False, "owner"}."""
    os.makedirs(root, exist_ok=True)
    handle = os.open(_path(root), os.O_RDWR | os.O_CREAT, 0o644)
    if not _taken(handle):
        return {"held": False, "owner": _owner(handle)}
    os.ftruncate(handle, 0)
    os.pwrite(handle, json.dumps(dict(owner, since=time.time())).encode(), 0)
    report({"held": True})
    # The open pipe of the ops machine keeps the lock; its content is ignored.
    for _ in stream:
        pass
    os.ftruncate(handle, 0)
    return {"held": True}


def _taken(handle: int) -> bool:
    # `read` takes the lock for an instant.
    for _ in range(20):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError:
            if _owner(handle):
                return False
            time.sleep(0.02)
    return False


def read(root: str) -> Document:
    """Return {"held": bool, "owner": {...} or None} without taking the lock."""
    try:
        handle = os.open(_path(root), os.O_RDONLY)
    except OSError:
        return {"held": False, "owner": None}
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return {"held": True, "owner": _owner(handle)}
    finally:
        os.close(handle)
    return {"held": False, "owner": None}


def _path(root: str) -> str:
    return os.path.join(root, "deployment.lock")


def _owner(handle: int) -> Document:
    try:
        owner: Document = json.loads(os.pread(handle, 65536, 0) or b"{}")
        return owner
    except ValueError:
        return {}
