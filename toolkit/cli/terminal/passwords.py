"""The passwords for an inventory, asked once a command: of its vault, and of the logins for sudo."""

from __future__ import annotations

import os
from pathlib import Path

import click

from toolkit.config.paths import expanded
from toolkit.domain.secret import Secret
from toolkit.errors import InputError

BECOME_FILE = "ANSIBLE_BECOME_PASSWORD_FILE"


def remember_asking(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    """Keep for `vault_password` and `become_password` that a person wants to be asked."""
    context.meta[f"{__name__}.{parameter.name}"] = value


def vault_password() -> Secret | None:
    """Return the password of the vault, None where the command is not to ask for it; raises InputError."""
    return _asked("ask_vault_pass", "Vault password: ", "ANSIBLE_VAULT_PASSWORD_FILE")


def become_password() -> Secret | None:
    """Return the logins' password for sudo, None where nobody gives one; raises InputError."""
    asked = _asked("ask_become_pass", "BECOME password: ", BECOME_FILE)
    if asked is None and (path := os.environ.get(BECOME_FILE)):
        from toolkit.adapters.ansible.password_file import read_password_file

        return read_password_file(expanded(path))
    return asked


def _asked(option: str, prompt: str, file: str) -> Secret | None:
    context = click.get_current_context(silent=True)
    if context is None or not context.meta.get(f"{__name__}.{option}"):
        return None
    kept = f"{__name__}.{option}.answer"
    if kept not in context.meta:
        context.meta[kept] = _ask(prompt, file)
    answer: Secret = context.meta[kept]
    return answer


def _ask(prompt: str, file: str) -> Secret:
    import getpass

    try:
        # Standard input may be a pipe; without a terminal getpass would read from it, and show what is typed.
        with Path("/dev/tty").open("w"):
            answer = getpass.getpass(prompt)
    except (OSError, EOFError):
        raise InputError(
            "there is no terminal to ask for a password", hint=f"name a file with it: {file}"
        ) from None
    if not answer:
        raise InputError("no password was given", hint=f"type it, or name a file with it: {file}")
    return Secret(answer)
