"""Command lines that run a program as root: the login is root, or sudo asks for nothing, or for a password.

sudo reads a password from standard input, and reads none where it needs none. So the program starts behind a shell that
skips lines up to a mark. The password is in no command line, environment or file.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from toolkit.domain.hosts.fleet import Host

# The login may have any shell; every host has sh. Its `read` takes no byte after the end of a line.
_AS_ROOT = 'if [ "$(id -u)" = 0 ]; then exec "$@"; else exec sudo -n "$@"; fi'
_AS_ROOT_ASKED = 'if [ "$(id -u)" = 0 ]; then exec "$@"; else exec sudo -S -p "" "$@"; fi'
_MARK = "the-request-begins"
_BEHIND_MARK = 'while IFS= read -r line; do [ "$line" = "$0" ] && exec "$@"; done; exit 1'
# sudo asks three times. Empty lines end a refused password at once, where the mark alone would leave it waiting.
_TRIES = 3


def as_root(host: Host, argv: Sequence[str]) -> str:
    """Return the shell command that runs `argv` as root, with sudo where the login is not root."""
    return shlex.join(as_root_words(host, argv))


def as_root_words(host: Host, argv: Sequence[str]) -> list[str]:
    """Return the command line that runs `argv` as root; see `as_root`. It needs `sudo_input` first."""
    if host.become_password is None:
        return ["sh", "-c", _AS_ROOT, "sh", *argv]
    return ["sh", "-c", _AS_ROOT_ASKED, "sh", "sh", "-c", _BEHIND_MARK, _MARK, *argv]


def sudo_input(host: Host) -> bytes:
    """Return the first bytes for the standard input of such a command: sudo's password, or nothing."""
    if host.become_password is None:
        return b""
    return f"{host.become_password.reveal()}{chr(10) * _TRIES}{_MARK}\n".encode()
