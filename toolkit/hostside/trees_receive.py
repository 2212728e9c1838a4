"""Receive the files of a tree over standard input, which needs nothing but SSH and Python."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from typing import BinaryIO

from trees import Arrival, digest_into, keep, publish
from wire import Document, Report

_CHUNK = 2**18
_REPORT_SECONDS = 0.5


def receive(request: Document, stream: BinaryIO, report: Report) -> Document:
    """Read the rest of each file in `send`, [[path, bytes that are here already]...], from `stream` in that order.

    A complete file is checked at once. Once all files of the tree are right, the tree is published.
    Result: {"wrong": [path...]}, the files with a wrong digest, which are removed.
    Raises EOFError where the stream ends early, and ValueError where a file here has changed.
    """
    tree = Arrival(request)
    files = {file.path: file for file in tree.files}
    wrong, told = [], 0.0
    with tree.locked():
        shutil.rmtree(tree.swarm, ignore_errors=True)
        for path, offset in request["send"]:
            file = files[path]
            target = os.path.join(tree.incoming, path)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            summary = hashlib.sha256()
            with open(target, "r+b" if offset else "w+b", buffering=0) as written:
                digest_into(summary, written)
                if written.tell() != offset:
                    raise ValueError(f"{path} has changed here since it was looked at")
                left = file.size - offset
                while left:
                    chunk = stream.read(min(_CHUNK, left))
                    if not chunk:
                        raise EOFError(
                            f"the connection ended {left} bytes before the end of {path}"
                        )
                    summary.update(chunk)
                    _write(written, chunk)
                    left -= len(chunk)
                    if time.monotonic() - told > _REPORT_SECONDS:
                        told = time.monotonic()
                        report({"path": path, "left": left})
            if summary.hexdigest() == file.sha256:
                keep(tree, target, file)
                report({"path": path, "left": 0})
            else:
                os.unlink(target)
                wrong.append(path)
        if not tree.missing():
            publish(tree)
    return {"wrong": wrong}


def _write(file: BinaryIO, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[file.write(view) :]
