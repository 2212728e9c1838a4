"""The database of a history: its protocol and its address."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import unquote

from toolkit.errors import InputError

Row = Mapping[str, Any]


class Database(Protocol):
    """A database with the newest schema, for one thread at a time. `name` is its name for users, without a password."""

    name: str

    def run(self, statement: str, values: Sequence[object]) -> list[Row]:
        """Run and commit one statement, with a `?` for each of `values`; return its rows.

        Raises ToolkitError where the database fails. Whether the statement took effect is then unknown.
        """

    def transaction(self) -> AbstractContextManager[None]:
        """Commit what `run` does meanwhile as one, or nothing of it where an exception leaves the context.

        Each statement sees what others committed before it. Raises UndoneError where the whole may be tried again, and
        another ToolkitError where the database fails.
        """

    def aside(self) -> Database | None:
        """Return a copy in memory for a command that goes on after a failure; None where other machines share it."""

    def close(self) -> None:
        """End the connection."""


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a history in PostgreSQL. `name` is its URL without passwords; only the driver gets `url`."""

    name: str
    url: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)

    def without_secrets(self, words: str) -> str:
        """Return `words` with every password of the URL replaced."""
        for secret in self.secrets:
            words = words.replace(secret, "***")
        return words


def read_address(url: str) -> Address:
    """Parse `url`, such as `postgresql://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=…`.

    Raises InputError without any part of `url`, because an unescaped password can spill into every other part.
    """
    found = _URL.fullmatch(url)
    if found is None or not all(_HOST.fullmatch(each) for each in found["hosts"].split(",")):
        raise _unreadable()
    pairs = [pair.partition("=") for pair in (found["query"] or "").split("&") if pair]
    shown = "&".join(f"{key}={value}" for key, _, value in pairs if key not in _SECRET)
    secrets = [value for key, _, value in pairs if key in _SECRET] + [found["password"] or ""]
    user = f"{found['user']}@" if found["user"] else ""
    return Address(
        name=f"postgresql://{user}{found['hosts']}{found['path'] or ''}{'?' if shown else ''}{shown}",
        url=url,
        secrets=tuple(form for each in secrets if each for form in (each, unquote(each))),
    )


def _unreadable() -> InputError:
    return InputError(
        "TOOLKIT_HISTORY is not the address of a history in PostgreSQL",
        hint="write postgresql://USER@HOST/DATABASE?sslmode=verify-full; a password goes into ~/.pgpass, or "
        "behind the user with its special characters escaped (@ is %40, : is %3A, / is %2F, ? is %3F, % is %25)",
    )


# Stricter than libpq: after an unescaped character, libpq takes the rest of a password for a host or a port and
# repeats it in its error.
_CHARACTER = r"(?:[^\s%@/?]|%(?!00)[0-9A-Fa-f]{2})"
_URL = re.compile(
    rf"(?:postgresql|postgres)://(?:(?P<user>(?:(?!:){_CHARACTER})*)(?::(?P<password>{_CHARACTER}*))?@)?"
    rf"(?P<hosts>{_CHARACTER}*)(?P<path>/{_CHARACTER}*)?(?:\?(?P<query>(?:[/?]|{_CHARACTER})*))?"
)
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[^:\[\]]*)(?::[0-9]{1,5})?")
_SECRET = ("password", "sslpassword")
