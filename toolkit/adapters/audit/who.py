"""The person behind a command, as far as this machine knows: user, login, sudo, SSH client and SSH key."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import pwd
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from toolkit.regular import open_regular

_MOST_BYTES = 2**16
_NO_LOGIN = 2**32 - 1


def who(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the known fields of the person; an unknown field is absent.

    `user` runs the command. `login` is the user who logged in, which the kernel keeps through su and sudo. `sudo`
    is the user who called sudo, `client` the address of the SSH client. `key` is the fingerprint of the SSH key with
    its name in authorized_keys, where sshd has `ExposeAuthInfo yes`. `unit` is the systemd service. `machine` is this
    ops machine.
    """
    found = {
        "user": _name(os.geteuid()),
        "login": _login(),
        "sudo": environment.get("SUDO_USER", ""),
        "client": environment.get("SSH_CONNECTION", environment.get("SSH_CLIENT", "")).split(" ")[
            0
        ],
        "key": _key(environment.get("SSH_USER_AUTH", "")),
        "terminal": _terminal(),
        "unit": _unit(),
        "machine": socket.gethostname(),
    }
    return {name: value[:200] for name, value in found.items() if value}


def actor(found: Mapping[str, str]) -> str:
    """Return the person in a word: the one who logged in or called sudo, else the user."""
    return found.get("sudo") or found.get("login") or found.get("user", "")


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def _login() -> str:
    try:
        user = int(Path("/proc/self/loginuid").read_text())
    except (OSError, ValueError):
        return ""
    return "" if user == _NO_LOGIN else _name(user)


def _terminal() -> str:
    try:
        return os.ttyname(sys.stdin.fileno())
    except (OSError, ValueError, AttributeError):
        return ""


def _unit() -> str:
    """Return the service whose process this is; a login's session is none."""
    try:
        groups = Path("/proc/self/cgroup").read_text()[:_MOST_BYTES].split()
    except OSError:
        return ""
    names = [group.rpartition("/")[2] for group in groups]
    return next((name for name in names if name.endswith(".service")), "")


def _key(path: str) -> str:
    if not path:
        return ""
    for line in _lines(Path(path)):
        method, _, rest = line.partition(" ")
        if method == "publickey" and (blob := _blob(rest)):
            digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
            named = _comment(rest.split()[1])
            return f"SHA256:{digest}" + (f" ({named})" if named else "")
    return ""


def _blob(key: str) -> bytes:
    with suppress(IndexError, binascii.Error, ValueError):
        return base64.b64decode(key.split()[1], validate=True)
    return b""


def _comment(encoded: str) -> str:
    """Return the name of a key in the user's authorized_keys."""
    with suppress(KeyError):
        home = Path(pwd.getpwuid(os.geteuid()).pw_dir)
        for line in _lines(home / ".ssh" / "authorized_keys"):
            before, found, after = line.partition(encoded)
            if found and not before.startswith("#"):
                return after.strip()[:100]
    return ""


def _lines(path: Path) -> list[str]:
    try:
        with open(path, "rb", opener=open_regular) as file:
            return file.read(_MOST_BYTES).decode("utf-8", "replace").splitlines()
    except OSError:
        return []
