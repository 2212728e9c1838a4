"""Call a hook: a program of the operator, with JSON on its standard input, bounded in time and output."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from toolkit.domain.trail.channel import Hook
from toolkit.domain.trail.discretion import without_secrets

# The variables that a hook sees: no token, no password, no address of a history.
_PASSED = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR")
_MOST_OUTPUT = 2**16
_MOST_WORDS = 500
_LAST_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Called:
    """The end of a hook: whether it agreed, and its last words, or why it could not be called."""

    agreed: bool
    words: str


def call_hook(
    hook: Hook, document: Mapping[str, Any], environment: Mapping[str, str] = os.environ
) -> Called:
    """Run the hook to its end and return how it ended. Its whole process group is killed when its time is over."""
    passed = {name: environment[name] for name in _PASSED if name in environment}
    try:
        process = subprocess.Popen(
            hook.run,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=passed,
            start_new_session=True,
        )
    except OSError as error:
        return Called(False, f"{hook.run[0]} cannot be called: {error.strerror}")
    output = bytearray()
    threads = [
        threading.Thread(target=_give, args=(process, json.dumps(document).encode()), daemon=True),
        threading.Thread(target=_take, args=(process, output), daemon=True),
    ]
    for each in threads:
        each.start()
    late = False
    try:
        process.wait(hook.seconds)
    except subprocess.TimeoutExpired:
        late = True
    finally:
        # Processes that the hook has started and left behind end too.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for each in threads:
            each.join(_LAST_SECONDS)
    words = _last_words(bytes(output))
    if late:
        said = f"; it said: {words}" if words else ""
        return Called(False, f"{hook.run[0]} took longer than {hook.seconds:g} s{said}")
    return Called(process.returncode == 0, words or f"it ended with {process.returncode}")


def _last_words(output: bytes) -> str:
    """Return the last words without secrets: these are taken out of the whole output, since one may begin earlier."""
    text = output.decode("utf-8", "replace")
    if len(output) == _MOST_OUTPUT:
        # The first word lacks its beginning, which would tell a secret.
        text = re.sub(r"^\S+", "", text)
    return without_secrets(text, _MOST_OUTPUT).strip()[-_MOST_WORDS:]


def _give(process: subprocess.Popen[bytes], data: bytes) -> None:
    assert process.stdin is not None
    # A hook need not read.
    with suppress(OSError), process.stdin:
        process.stdin.write(data)


def _take(process: subprocess.Popen[bytes], output: bytearray) -> None:
    """Read on beyond the bound, so that the hook does not wait for a reader; keep the last bytes."""
    assert process.stdout is not None
    with suppress(OSError), process.stdout:
        while piece := os.read(process.stdout.fileno(), _MOST_OUTPUT):
            output += piece
            del output[:-_MOST_OUTPUT]
