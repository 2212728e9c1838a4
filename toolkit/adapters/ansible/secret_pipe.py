"""Give a secret to a program that reads it from a file: by a named pipe, so that it reaches no disk."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def secret_pipe(path: Path, secret: str) -> Iterator[Path]:
    """Yield `path` as a named pipe from which the first reader gets `secret`; its directory is this user's alone."""
    os.mkfifo(path, 0o600)
    writing = threading.Thread(target=_write, args=(path, secret), daemon=True)
    writing.start()
    try:
        yield path
    finally:
        # Without a reader the thread would wait for ever.
        with suppress(OSError):
            os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        writing.join(1)
        path.unlink(missing_ok=True)


def _write(path: Path, secret: str) -> None:
    with suppress(OSError), path.open("w") as pipe:
        pipe.write(secret)
