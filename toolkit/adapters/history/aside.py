"""A history in memory, for a command that must go on where the file of its history fails.

A full disk, a damaged file or a directory without write access must not keep anybody from looking at the hosts or from
rolling back. The hosts say what runs; the history adds what ran before.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from toolkit.adapters.history.database import Row
from toolkit.adapters.history.files import irregular
from toolkit.adapters.history.schema import MIGRATIONS
from toolkit.errors import ToolkitError

# SQLite quotes bytes of a damaged schema, and Python cannot read such a message.
FAULTS = (sqlite3.Error, UnicodeDecodeError)
_TABLES = ("releases", "deployments", "steps", "fits", "gates")


class Aside:
    """An SQLite database in memory, with every record of the file `path` that can still be read.

    `opened` is a connection to the file that was in use; it knows records that the file alone may not show.
    """

    def __init__(self, name: str, path: Path | None, opened: sqlite3.Connection | None) -> None:
        self.name = f"{name} (in memory)"
        self._connection = sqlite3.connect(
            ":memory:", isolation_level=None, check_same_thread=False
        )
        self._connection.row_factory = sqlite3.Row
        for statements in MIGRATIONS:
            for statement in statements:
                self._connection.execute(statement)
        for table in _TABLES:
            for source in _sources(path, opened):
                with suppress(*FAULTS):
                    self._copy(table, source)

    def run(self, statement: str, values: Sequence[object]) -> list[Row]:
        """See `Database.run`."""
        try:
            return [dict(row) for row in self._connection.execute(statement, values)]
        except FAULTS as error:
            raise ToolkitError(f"the history {self.name} does not take this: {error}") from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """See `Database.transaction`."""
        with transaction_of(self.run, self._connection, "BEGIN"):
            yield

    def aside(self) -> None:
        """Return nothing: there is no further database to go on with."""

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def _copy(self, table: str, source: sqlite3.Connection) -> None:
        """Copy the rows of a table up to the first that cannot be read."""
        known = [row["name"] for row in self._connection.execute(f"PRAGMA table_info({table})")]
        there = {row[1] for row in source.execute(f"PRAGMA table_info({table})")}
        columns = [name for name in known if name in there]
        names, places = ", ".join(columns), ", ".join("?" * len(columns))
        insert = f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({places})"  # noqa: S608
        for row in source.execute(f"SELECT {names} FROM {table}"):  # noqa: S608
            with suppress(sqlite3.IntegrityError):
                self._connection.execute(insert, tuple(row))


@contextmanager
def transaction_of(
    run: Callable[[str, Sequence[object]], object], connection: sqlite3.Connection, begin: str
) -> Iterator[None]:
    """Run statements in one transaction, which the statement `begin` opens and a failure undoes.

    `run` executes a statement on the connection and translates the driver's errors, which come out of here.
    """
    run(begin, ())
    try:
        yield
        run("COMMIT", ())
    except BaseException:
        with suppress(*FAULTS):
            connection.execute("ROLLBACK")
        raise


def _sources(path: Path | None, opened: sqlite3.Connection | None) -> Iterator[sqlite3.Connection]:
    """Yield the connections that may still read the file, the most complete first."""
    if opened is not None:
        yield opened
    # pathlib raises PermissionError where this user may not enter the directory.
    if path is None or not os.path.isfile(path) or irregular(path):  # noqa: PTH113
        return
    # A directory without write access, or a full disk, leaves no place for the files that readers share.
    for option in ("mode=ro", "mode=ro&immutable=1"):
        with suppress(*FAULTS):
            uri = f"file:{quote(str(path.absolute()))}?{option}"
            with closing(sqlite3.connect(uri, uri=True)) as source:
                yield source
