"""Run one of Ansible's programs to its end, bounded in output and in time."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

_PIECE = 2**16
# The last bytes of standard error that are kept.
_SAID = 2**16


@dataclass(frozen=True, slots=True)
class ProgramEnd:
    """The end of a program: its exit code, its whole output and the last part of its errors."""

    code: int
    output: bytes
    errors: str


def run_program(
    argv: Sequence[str], environment: Mapping[str, str], *, most_bytes: int, seconds: float
) -> ProgramEnd:
    """Run `argv` in a session of its own, so that all that it starts ends with it.

    Raises TimeoutError after `seconds`, and ValueError where it prints more than `most_bytes`.
    """
    until = time.monotonic() + seconds
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(environment),
        start_new_session=True,
    )
    try:
        output, errors = _read(process, most_bytes, until)
        code = process.wait(max(0.0, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise TimeoutError from None
    finally:
        # The program may have left others behind.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdout and process.stderr
        process.stdout.close()
        process.stderr.close()
    return ProgramEnd(code, output, errors.decode(errors="replace"))


def _read(process: subprocess.Popen[bytes], most: int, until: float) -> tuple[bytes, bytes]:
    """Return the output and the errors of the program, until it closes both or ends."""
    output, errors = bytearray(), b""
    assert process.stdout and process.stderr
    with selectors.DefaultSelector() as ready:
        ready.register(process.stdout, selectors.EVENT_READ, "output")
        ready.register(process.stderr, selectors.EVENT_READ, "errors")
        while ready.get_map():
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError
            for key, _ in ready.select(left):
                piece = os.read(key.fd, _PIECE)
                if not piece:
                    ready.unregister(key.fileobj)
                elif key.data == "output":
                    output += piece
                else:
                    errors = (errors + piece)[-_SAID:]
            if len(output) > most:
                raise ValueError(f"more than {most} bytes")
    return bytes(output), errors
