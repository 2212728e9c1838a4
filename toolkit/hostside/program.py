"""The output of a program that may hang in the kernel, as those that ask a driver do."""

from __future__ import annotations

import contextlib
import subprocess

# A process that was killed ends within this time, or not before its driver answers.
_ENDS_SECONDS = 1.0


def output(argv: list[str], seconds: float, errors: int) -> tuple[int, str]:
    """Return the exit code and the output of `argv`; `errors` is where its errors go, as `subprocess` has it.

    Raises OSError, and TimeoutExpired after `seconds`. A program in an uninterruptible wait, as a driver that hangs has
    it, does not even end when it is killed, and `subprocess.run` would wait for that.
    """
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors
    )
    assert process.stdout is not None
    try:
        said, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.stdout.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_ENDS_SECONDS)
        raise
    return process.returncode, said.decode("utf-8", "replace")
