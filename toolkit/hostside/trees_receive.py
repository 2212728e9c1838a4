"""Receive the files of a tree over standard input, which needs nothing but SSH and Python."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from typing import BinaryIO

from trees import Arrival, File, digest_into, keep, publish
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
    progress, wrong = _Progress(report), []
    with tree.locked():
        shutil.rmtree(tree.swarm, ignore_errors=True)
        for path, offset in request["send"]:
            file = files[path]
            target = os.path.join(tree.incoming, path)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if _completed(target, file, offset, stream, progress) == file.sha256:
                keep(tree, target, file)
                report({"path": path, "left": 0})
            else:
                os.unlink(target)
                wrong.append(path)
        if not tree.missing():
            publish(tree)
    return {"wrong": wrong}


class _Progress:
    """Reports the bytes that a file lacks, now and then."""

    def __init__(self, report: Report) -> None:
        self._report, self._told = report, 0.0

    def lacks(self, path: str, left: int) -> None:
        """Report it unless the last report was a moment ago."""
        if time.monotonic() - self._told > _REPORT_SECONDS:
            self._told = time.monotonic()
            self._report({"path": path, "left": left})


def _completed(target: str, file: File, offset: int, stream: BinaryIO, progress: _Progress) -> str:
    """Write the rest of a file, of which `offset` bytes are here, from `stream`; return the digest of the whole."""
    summary, left = hashlib.sha256(), file.size - offset
    with open(target, "r+b" if offset else "w+b", buffering=0) as written:
        digest_into(summary, written)
        if written.tell() != offset:
            raise ValueError(f"{file.path} has changed here since it was looked at")
        while left:
            chunk = stream.read(min(_CHUNK, left))
            if not chunk:
                words = f"the connection ended {left} bytes before the end of {file.path}"
                raise EOFError(words)
            summary.update(chunk)
            _write(written, chunk)
            left -= len(chunk)
            progress.lacks(file.path, left)
    return summary.hexdigest()


def _write(file: BinaryIO, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[file.write(view) :]
