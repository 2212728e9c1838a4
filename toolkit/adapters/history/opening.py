"""Open a history, run its statements, and go on in memory where it fails and the command can do without it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from toolkit.adapters.history.database import Address, Database, Row
from toolkit.domain.outside import plainly
from toolkit.errors import InputError, ToolkitError

_Record = TypeVar("_Record")

# Called with the error of a history that fails, once, before a command goes on without it.
Without = Callable[[ToolkitError], None]

# The errors of reading a damaged record. The last two: nested too deeply, or a number that is too large.
DAMAGE = (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError)


class OpenHistory:
    """The history at `location`, a file of SQLite or an address of PostgreSQL; it does one operation at a time.

    `clock` returns seconds since the epoch. Raises ToolkitError where the history cannot be opened, is not a history or
    comes from a newer toolkit, and InputError where PostgreSQL's driver is not installed. Every operation raises
    ToolkitError where the database does not answer.

    With `without` a command goes on where the history fails: in memory, with all records that can still be read.
    Nothing more is recorded then, and `fault` has the reason. A history in PostgreSQL fails in this way only when it is
    opened. A history that is `needed` must at least open.
    """

    def __init__(
        self,
        location: Path | Address,
        clock: Callable[[], float],
        *,
        without: Without | None = None,
        needed: bool = True,
    ) -> None:
        self._clock, self._without = clock, without
        self._lock = threading.Lock()
        self.fault = ""
        try:
            self._db = _open(location)
        except InputError:
            raise
        except ToolkitError as error:
            if without is None or needed:
                raise
            self._db = self._go_on(_open_aside(location), error)

    @property
    def name(self) -> str:
        """Its name for users: a path, or a URL without its password."""
        return self._db.name

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._db.close()

    def _read(
        self, read: Callable[[Row], _Record], query: str, values: tuple[object, ...]
    ) -> list[_Record]:
        return [found for row in self._run(query, values) for found in self._readable(read, row)]

    def _read_whole(
        self, read: Callable[[Row], _Record], query: str, *values: object
    ) -> tuple[_Record, ...]:
        """Return the records of sums, which are never read from a copy in memory: it would lack some."""
        with self._lock:
            rows = self._db.run(query, values)
        return tuple(found for row in rows for found in self._readable(read, row))

    def _readable(self, read: Callable[[Row], _Record], row: Row) -> list[_Record]:
        """Return the record in a row, alone in a list; nothing of a damaged one that a command may go on without."""
        try:
            return [read(row)]
        except DAMAGE as damage:
            error = self._damaged(damage)
            if self._without is None:
                raise error from damage
            if not self.fault:
                self.fault = error.message
                self._without(error)
            return []

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Raise ToolkitError where the block finds a damaged record that it cannot go on without."""
        try:
            yield
        except DAMAGE as damage:
            raise self._damaged(damage) from damage

    def _damaged(self, damage: Exception) -> ToolkitError:
        return ToolkitError(
            f"the history {self.name} has a damaged record: {plainly(damage)}",
            hint="bring back its backup, or move it away: the hosts know what runs",
        )

    def _run(self, statement: str, values: tuple[object, ...] = ()) -> list[Row]:
        given = [_storable(each) for each in values]
        with self._lock:
            try:
                return self._db.run(statement, given)
            except ToolkitError as error:
                aside = self._db.aside() if self._without else None
                if aside is None:
                    raise
                self._db = self._go_on(aside, error)
                return self._db.run(statement, given)

    def _go_on(self, aside: Database, error: ToolkitError) -> Database:
        self.fault = error.message
        if self._without:
            self._without(error)
        return aside


def _open(location: Path | Address) -> Database:
    """Return the database at a place; raises InputError where PostgreSQL's driver is not installed."""
    if isinstance(location, Path):
        from toolkit.adapters.history.sqlite import Sqlite

        return Sqlite(location)
    try:
        from toolkit.adapters.history.postgresql import Postgres
    except ImportError:
        raise InputError(
            "TOOLKIT_HISTORY names PostgreSQL, and its driver is not installed here",
            hint="pip install 'psycopg[binary]>=3.3.9,<3.4'",
        ) from None
    return Postgres(location)


def _open_aside(location: Path | Address) -> Database:
    """Return a database in memory, with all records of the place that can still be read."""
    from toolkit.adapters.history.aside import Aside

    if isinstance(location, Path):
        return Aside(str(location), location, None)
    return Aside(location.name, None, None)


def _storable(value: object) -> object:
    """Replace what no database stores but logs and tracebacks may contain: NUL and lone surrogates."""
    if isinstance(value, str):
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
    return value
