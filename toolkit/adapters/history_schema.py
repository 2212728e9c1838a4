"""Numbered migrations of the history, each in its own transaction, never edited after a release."""

from __future__ import annotations

import sqlite3

from toolkit.errors import ToolkitError


def migrate(db: sqlite3.Connection) -> None:
    """Bring the database to the newest schema; raises ToolkitError where it is newer than this program."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise ToolkitError(
            f"the history has schema {version}; this toolkit knows up to {len(MIGRATIONS)}",
            hint="upgrade the toolkit on this ops machine",
        )
    for number, statements in enumerate(MIGRATIONS[version:], start=version + 1):
        db.execute("BEGIN IMMEDIATE")
        # Another process may have migrated between the read above and this lock.
        if db.execute("PRAGMA user_version").fetchone()[0] >= number:
            db.execute("ROLLBACK")
            continue
        for statement in statements:
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {number}")
        db.execute("COMMIT")


m001_initial = (
    """CREATE TABLE releases (
        model TEXT NOT NULL,
        number INTEGER NOT NULL,
        body TEXT NOT NULL,
        created_at REAL NOT NULL,
        PRIMARY KEY (model, number))""",
    """CREATE TABLE deployments (
        id INTEGER PRIMARY KEY,
        model TEXT NOT NULL,
        action TEXT NOT NULL,
        release_number INTEGER NOT NULL,
        previous INTEGER,
        slot TEXT NOT NULL,
        actor TEXT NOT NULL,
        outcome TEXT NOT NULL,
        reason TEXT NOT NULL,
        started_at REAL NOT NULL,
        ended_at REAL)""",
    """CREATE TABLE steps (
        deployment INTEGER NOT NULL REFERENCES deployments (id),
        seq INTEGER NOT NULL,
        kind TEXT NOT NULL,
        detail TEXT NOT NULL,
        outcome TEXT NOT NULL,
        started_at REAL NOT NULL,
        ended_at REAL,
        PRIMARY KEY (deployment, seq))""",
)

m002_many_hosts = (
    "ALTER TABLE deployments ADD COLUMN host TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE deployments ADD COLUMN rollout TEXT NOT NULL DEFAULT ''",
)

MIGRATIONS = (m001_initial, m002_many_hosts)
