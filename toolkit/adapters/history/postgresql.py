"""A history in PostgreSQL, which several ops machines of a team share."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import DictRow, dict_row

from toolkit.adapters.history.database import Address, Row
from toolkit.adapters.history.schema import in_postgresql, pending
from toolkit.errors import ToolkitError, UndoneError

# Used where the URL says nothing else. The connect timeout is in seconds, the user timeout in milliseconds.
DEFAULTS: dict[str, Any] = {
    "fallback_application_name": "toolkit",
    "connect_timeout": 10,
    "tcp_user_timeout": 20_000,
}
STATEMENT_TIMEOUT = "30s"
# A server that hangs keeps no limit of its own. Its machine still takes what it is sent, so no timeout of TCP ends it.
ANSWER_SECONDS = 40.0
# A connection idle for longer is tested before use, because the server may have restarted.
SILENT_SECONDS = 1.0
# The longest wait for a server that went away.
RESTART_SECONDS = 15.0
# The key of the advisory lock for migrations: this program's name as a number.
MIGRATION_LOCK = int.from_bytes(b"toolkit")


class Postgres:
    """The database at `address`. Opening it creates missing tables.

    Raises ToolkitError where the server does not answer or refuses the login. No error is chained to the driver's, and
    no error contains a password.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self.name = address.name
        self._together = False
        self._connection = self._connect()
        self._used = time.monotonic()
        try:
            self._migrate()
        except BaseException:
            self.close()
            raise

    def run(self, statement: str, values: Sequence[object]) -> list[Row]:
        self._wake()
        with self._translated():
            cursor = self._connection.execute(statement.replace("?", "%s"), values)
            rows: list[Row] = list(cursor.fetchall()) if cursor.description else []
        self._used = time.monotonic()
        return rows

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self._wake()
        with self._translated(), self._connection.transaction():
            self._together = True
            try:
                yield
            finally:
                self._together = False
        self._used = time.monotonic()

    def aside(self) -> None:
        """Return nothing: other machines rely on the records, and the server may be back for the next one."""

    def close(self) -> None:
        self._connection.close()

    def _wake(self) -> None:
        """Replace a connection that was lost while it was idle.

        No statement is sent twice: if a connection breaks during a statement, its effect is unknown.
        """
        if self._together:
            return  # another connection would commit the rest alone
        if not self._connection.closed and time.monotonic() - self._used < SILENT_SECONDS:
            return
        try:
            self._connection.execute("SELECT 1")
        except psycopg.Error:
            self._connection.close()
            self._connection = self._connect_again()

    def _connect_again(self) -> psycopg.Connection[DictRow]:
        until = time.monotonic() + RESTART_SECONDS
        while True:
            try:
                return self._connect()
            except ToolkitError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)

    def _connect(self) -> psycopg.Connection[DictRow]:
        try:
            # Parse the URL first: the driver's own error would repeat it.
            given = conninfo_to_dict(self._address.url)
        except psycopg.Error:
            raise ToolkitError(
                f"the history {self.name} has an address that PostgreSQL's driver cannot read",
                hint="look at the options behind the question mark in TOOLKIT_HISTORY",
            ) from None
        try:
            # Without prepared statements, because pgbouncer may change the server connection after each transaction.
            connection = _Bounded.connect(
                **{**DEFAULTS, **given},
                autocommit=True,
                row_factory=dict_row,
                prepare_threshold=None,
            )
        except psycopg.Error as error:
            raise ToolkitError(
                f"the history {self.name} cannot be opened: {self._words(error)}",
                hint=f"does its server let this machine in? psql '{self.name}' -c 'SELECT 1'",
            ) from None
        # A database may have another default, under which commands that add to the same sums undo each other.
        connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        try:
            with self._translated():
                connection.execute(f"SET statement_timeout = '{STATEMENT_TIMEOUT}'")
        except BaseException:
            connection.close()
            raise
        return connection

    def _migrate(self) -> None:
        with self._translated():
            for number, statements in pending(self._version()):
                with self._connection.transaction():
                    self._connection.execute("SELECT pg_advisory_xact_lock(%s)", (MIGRATION_LOCK,))
                    self._connection.execute(_VERSIONS)
                    # Another ops machine may have migrated before this one got the lock.
                    if self._newest() >= number:
                        continue
                    for statement in statements:
                        self._connection.execute(in_postgresql(statement))
                    self._connection.execute("INSERT INTO history_schema VALUES (%s)", (number,))

    def _version(self) -> int:
        """Return the schema's version, 0 in an empty database. A role with read access alone can call it."""
        row = self._connection.execute(
            "SELECT to_regclass('history_schema') IS NOT NULL AS made"
        ).fetchone()
        return self._newest() if row and row["made"] else 0

    def _newest(self) -> int:
        row = self._connection.execute(
            "SELECT COALESCE(MAX(version), 0) AS newest FROM history_schema"
        ).fetchone()
        return int(row["newest"]) if row else 0

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Raise the driver's errors as ToolkitError, without chaining them."""
        try:
            yield
        except _UNDONE as error:
            raise UndoneError(
                f"the history {self.name} undid this for another command: {self._words(error)}",
                hint="run the command again",
            ) from None
        except psycopg.Error as error:
            lost = isinstance(error, psycopg.OperationalError)
            what = "does not answer" if lost else "does not take this"
            raise ToolkitError(
                f"the history {self.name} {what}: {self._words(error)}",
                hint="toolkit doctor says whether it is back; the next deploy, upgrade, rollback or stop "
                "ends what was begun",
            ) from None

    def _words(self, error: psycopg.Error) -> str:
        return self._address.without_secrets(str(error).partition("\n")[0])


class _Bounded(psycopg.Connection[DictRow]):
    """A connection that is given up when a server says nothing for `ANSWER_SECONDS`."""

    def wait(self, *args: Any, **more: Any) -> Any:
        try:
            return super().wait(*args, **{"timeout": ANSWER_SECONDS, **more})
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == psycopg.pq.TransactionStatus.ACTIVE:
                # An answer that came now would be taken for that of another statement.
                self.pgconn.finish()
            raise


_UNDONE = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)
_VERSIONS = "CREATE TABLE IF NOT EXISTS history_schema (version BIGINT PRIMARY KEY)"
