"""Read a password file as Ansible does: its text, or what it prints where it is a program."""

from __future__ import annotations

import os
from pathlib import Path

from toolkit.adapters.ansible.program import run_program
from toolkit.domain.secret import Secret
from toolkit.errors import InputError

MOST_BYTES = 4096
MOST_SECONDS = 60.0
_HINT = "write the password as its only line, or print it from a script there that may be executed"


def read_password_file(path: Path) -> Secret:
    """Return the password; raises InputError, without a word of it, where there is none of one line."""
    try:
        text = _output(path) if path.is_file() and os.access(path, os.X_OK) else _text(path)
    except TimeoutError:
        raise InputError(
            f"{path}: has not ended within {MOST_SECONDS:g} seconds", hint=_HINT
        ) from None
    except (OSError, ValueError) as error:
        words = error.strerror if isinstance(error, OSError) else f"more than {MOST_BYTES} bytes"
        raise InputError(f"{path}: not a password file: {words}", hint=_HINT) from None
    password = text.decode(errors="replace").strip()
    if not password or not password.isprintable():
        raise InputError(f"{path}: not a password file: it has not one line of text", hint=_HINT)
    return Secret(password)


def _output(path: Path) -> bytes:
    argv = [str(path.absolute())]
    ended = run_program(argv, os.environ, most_bytes=MOST_BYTES, seconds=MOST_SECONDS)
    if ended.code:
        raise OSError(ended.code, f"it ended with {ended.code}")
    return ended.output


def _text(path: Path) -> bytes:
    with path.open("rb") as file:
        text = file.read(MOST_BYTES + 1)
    if len(text) > MOST_BYTES:
        raise ValueError
    return text
