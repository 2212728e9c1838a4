"""A history in a file: SQLite in WAL mode, for one ops machine."""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from toolkit.adapters.disk import may, room, way_in, way_out
from toolkit.adapters.history.aside import FAULTS, Aside, transaction_of
from toolkit.adapters.history.database import Row
from toolkit.adapters.history.files import files_of, irregular
from toolkit.adapters.history.schema import pending
from toolkit.errors import ToolkitError

_PATIENCE_SECONDS = 10
# A record outlives a loss of power. SQLite may be built with another default.
SYNCHRONOUS = "FULL"


class Sqlite:
    """The database in the file `path`, created if missing; raises ToolkitError where it cannot be opened."""

    def __init__(self, path: Path) -> None:
        self.name, self._path = str(path), path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = _open(path)
        except (OSError, *FAULTS) as error:
            words = error.strerror if isinstance(error, OSError) else _words(error)
            left = room(path.parent)
            raise ToolkitError(
                # SQLite says of such a file only that it cannot be opened.
                f"the history {path} cannot be opened: {'its disk is read-only' if left.read_only else words}",
                hint=_hint(path, full=left.full),
            ) from error

    def run(self, statement: str, values: Sequence[object]) -> list[Row]:
        try:
            return [dict(row) for row in self._connection.execute(statement, values)]
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise ToolkitError(
                f"the history {self.name} does not take this: {_words(error)}",
                hint="look at its disk: toolkit doctor; the next deploy, upgrade, rollback or stop "
                "ends what was begun",
            ) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with transaction_of(self.run, self._connection, "BEGIN IMMEDIATE"):
            yield

    def aside(self) -> Aside:
        return Aside(self.name, self._path, self._connection)

    def close(self) -> None:
        self._connection.close()


def _hint(path: Path, *, full: bool) -> str:
    """Return what to do about a file that cannot be opened, where its disk is `full` or not."""
    if full:
        return way_out(path.parent)
    if _is_closed(path):
        return way_in(path.parent)
    return "bring back its backup, or move it away: the hosts know what runs"


def _is_closed(path: Path) -> bool:
    """Whether this user may not enter the directory of the database `path`, or not read and write one of its files."""
    there = [each for each in files_of(path) if os.path.lexists(each)]
    entered = may(path.parent, os.W_OK | os.X_OK)
    return not (entered and all(may(each, os.R_OK | os.W_OK) for each in there))


def _words(error: Exception) -> str:
    return "its schema is damaged" if isinstance(error, UnicodeDecodeError) else str(error)


def _open(path: Path) -> sqlite3.Connection:
    # SQLite gives its other files the permissions of this one, and creates it by the umask.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    if odd := irregular(path):
        raise OSError(errno.EINVAL, f"{odd} is no regular file")
    # Each statement is a transaction of its own. The caller admits one thread at a time.
    db = sqlite3.connect(
        path, isolation_level=None, timeout=_PATIENCE_SECONDS, check_same_thread=False
    )
    try:
        db.row_factory = sqlite3.Row
        db.execute(f"PRAGMA synchronous={SYNCHRONOUS}")
        _use_wal(db)
        db.execute("PRAGMA foreign_keys=ON")
        _migrate(db)
    except BaseException:
        db.close()
        raise
    return db


def _use_wal(db: sqlite3.Connection) -> None:
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            db.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            # The connection's own timeout does not cover this case: another process is writing.
            if error.sqlite_errorname != "SQLITE_BUSY" or time.monotonic() > until:
                raise
        time.sleep(0.02)


def _migrate(db: sqlite3.Connection) -> None:
    for number, statements in pending(_version(db)):
        db.execute("BEGIN IMMEDIATE")
        # Another process may have migrated before this one got the lock.
        if _version(db) >= number:
            db.execute("ROLLBACK")
            continue
        for statement in statements:
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {number}")
        db.execute("COMMIT")


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])
