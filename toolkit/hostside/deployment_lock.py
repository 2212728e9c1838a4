"""One deployment at a time: a kernel lock on the host, held for as long as this process lives.

The ops machine keeps this process's standard input open and sends a sign of life every few seconds, which this process
answers. However the ops machine's command ends, by SIGKILL too, the pipe closes, this process ends and the kernel
releases the lock. A link or an ops machine that dies without a word leaves the pipe open for hours: then the silence
ends this process. No stale lock remains to be broken by hand. The file's text only tells others who holds the lock.
"""

from __future__ import annotations

import json
import os
import select
import time
from typing import BinaryIO

from directory import is_locked, lock_file, open_plain, take_lock
from documents import mapping
from wire import Document, Report

# The text always has this size, so that its block is there once the disk is full: `toolkit prune` takes the lock too.
_BYTES = 4096


def keep(request: Document, report: Report, stream: BinaryIO) -> Document:
    """Take the lock, report {"held": True}, and keep it; else return {"held": False, "owner"}.

    The lock is released when `stream` ends or is silent for `silence` seconds of the request.
    """
    root: str = request["root"]
    os.makedirs(root, exist_ok=True)
    handle = lock_file(_path(root))
    if not _taken(handle):
        return {"held": False, "owner": _owner(handle)}
    _write(handle, json.dumps(dict(request["owner"], since=time.time())))
    report({"held": True})
    _listen(stream.fileno(), request["silence"], report)
    _write(handle, "")
    os.close(handle)
    return {"held": True}


def require(root: str, token: str) -> None:
    """Raise LockLost unless the holder of the lock has this `token`: its ops machine was silent for too long."""
    now = read(root)
    if not now["held"] or now["owner"].get("token") != token:
        raise LockLost("the deployment lock was lost, and another command may hold it")


class LockLost(Exception):
    """A command goes on without its lock."""


def _listen(source: int, silence: float, report: Report) -> None:
    """Return once `source` ends or is silent for so many seconds. Answer each sign of life, an empty line."""
    while select.select([source], [], [], silence)[0]:
        signs = os.read(source, 4096)
        if not signs:
            return
        for _ in range(signs.count(b"\n")):
            report({"heard": True})


def _taken(handle: int) -> bool:
    # `read` takes the lock for an instant, also of a file that a killed holder left with its text. A new holder writes
    # its text a moment after it has the lock.
    return take_lock(handle, 0.06) or (not _owner(handle) and take_lock(handle, 0.34))


def read(root: str) -> Document:
    """Return {"held": bool, "owner": {...} or None} without taking the lock."""
    try:
        handle = open_plain(_path(root))
    except OSError:
        return {"held": False, "owner": None}
    try:
        held = is_locked(handle)
        return {"held": held, "owner": _owner(handle) if held else None}
    finally:
        os.close(handle)


def _path(root: str) -> str:
    return os.path.join(root, "deployment.lock")


def _write(handle: int, text: str) -> None:
    data = text.encode().ljust(_BYTES)
    os.pwrite(handle, data, 0)
    os.ftruncate(handle, len(data))


def _owner(handle: int) -> Document:
    return mapping(os.pread(handle, 65536, 0))
