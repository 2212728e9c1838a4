"""Open the database of a history: SQLite or PostgreSQL, or one in memory where these fail."""

from __future__ import annotations

from pathlib import Path

from toolkit.adapters.history.database import Address, Database
from toolkit.errors import InputError


def open_database(location: Path | Address) -> Database:
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


def open_aside(location: Path | Address) -> Database:
    """Return a database in memory, with all records of the place that can still be read."""
    from toolkit.adapters.history.aside import Aside

    if isinstance(location, Path):
        return Aside(str(location), location, None)
    return Aside(location.name, None, None)
