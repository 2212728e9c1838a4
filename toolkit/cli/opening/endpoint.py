"""The routers that a command may ask as a client, and the key for them."""

from __future__ import annotations

import os
from pathlib import Path

from toolkit.domain.hosts.fleet import Host
from toolkit.domain.secret import Secret
from toolkit.errors import InputError

KEY = "TOOLKIT_KEY"
# Bytes.
_MOST_KEY = 4096


def read_key(path: str | None, variable: str = KEY) -> Secret | None:
    """Return the key of a file or of the environment; None where neither is given, since a router may need none."""
    if path is None:
        key = os.environ.get(variable, "")
    else:
        try:
            # Not `config.text_file`: a pipe is as good as a file here, as in --key-file <(pass show KEY).
            with Path(path).open("rb") as file:
                key = file.read(_MOST_KEY + 1).decode("ascii")
        except OSError as error:
            raise _unreadable(path, error.strerror or str(error)) from error
        except ValueError as error:
            raise _unreadable(path, "it is no plain text") from error
        if len(key) > _MOST_KEY:
            raise _unreadable(path, f"it has more than {_MOST_KEY} bytes")
        # A router would answer that no key was given, and hide that the command before it in a pipe has failed.
        if not key.strip():
            raise _unreadable(path, "it is empty")
    key = key.strip()
    if any(not "!" <= each <= "~" for each in key):
        raise InputError("the key has characters that no key has", hint="toolkit keys list")
    return Secret(key) if key else None


def _unreadable(path: str, why: str) -> InputError:
    hint = "toolkit keys add NAME makes one"
    return InputError(f"{path} cannot be read as a key: {why}", hint=hint)


def reachable(hosts: tuple[Host, ...], model: str) -> list[Host]:
    """Return the hosts whose routers other machines reach; raises InputError where there is none."""
    if found := [host for host in hosts if not host.inward]:
        return found
    raise InputError(
        f"the router of {hosts[0].name} listens for clients on that host alone",
        hint=f"toolkit ask {model} --slot blue PROMPT, or set router_bind in the fleet file",
    )
