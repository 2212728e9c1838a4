"""Where a history is kept, and what it needs of the database there."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import unquote

from toolkit.errors import InputError

Row = Mapping[str, Any]


class Database(Protocol):
    """A database with the newest schema. Used by one thread at a time.

    `name` is how people know it, without a password.
    """

    name: str

    def run(self, statement: str, values: Sequence[object]) -> list[Row]:
        """Run one statement with `?` for each of `values`; it is committed when this returns.

        Raises ToolkitError where the database does not do it; then it may have been done or not.
        """

    def close(self) -> None:
        """End the connection."""


@dataclass(frozen=True, slots=True)
class Address:
    """A history in PostgreSQL. `name` is its URL without passwords; only the driver is given `url`."""

    name: str
    url: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)

    def without_secrets(self, words: str) -> str:
        """Return `words` with every password of the URL made unreadable."""
        for secret in self.secrets:
            words = words.replace(secret, "***")
        return words


def read_address(url: str) -> Address:
    """Return the address that `url` gives, `postgresql://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=…`.

    Raises InputError, which repeats nothing of `url`: a password with an unescaped character can look like anything.
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


# Stricter than libpq, which would take what follows an unescaped character of a password for a host or a
# port, and name it in its error.
_CHARACTER = r"(?:[^\s%@/?]|%(?!00)[0-9A-Fa-f]{2})"
_URL = re.compile(
    rf"(?:postgresql|postgres)://(?:(?P<user>(?:(?!:){_CHARACTER})*)(?::(?P<password>{_CHARACTER}*))?@)?"
    rf"(?P<hosts>{_CHARACTER}*)(?P<path>/{_CHARACTER}*)?(?:\?(?P<query>(?:[/?]|{_CHARACTER})*))?"
)
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[^:\[\]]*)(?::[0-9]{1,5})?")
_SECRET = ("password", "sslpassword")
