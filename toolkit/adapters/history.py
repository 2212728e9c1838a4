"""The ops machine's memory: releases, deployments and their steps, in SQLite.

One writer at a time is guaranteed by the fleet lock; readers (`status`, `releases`) never block, because the
database is in WAL mode. A deployment and each step are committed *before* they start, so a killed run leaves
an open deployment behind, which the next command finds with `unfinished`. The threads of one command may share
one History: each operation is done by one of them at a time.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

from toolkit.adapters.history_schema import migrate
from toolkit.domain.release import Deployment, Outcome, Release, StepRecord
from toolkit.errors import ToolkitError


class History:
    """Releases and deployments. `clock` returns seconds since the epoch.

    Raises ToolkitError where the file cannot be opened, is no history, or comes from a newer toolkit.
    """

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = _open(path)
        except (OSError, sqlite3.Error) as error:
            words = error.strerror if isinstance(error, OSError) else str(error)
            raise ToolkitError(
                f"the history {path} cannot be opened: {words}",
                hint="bring back its backup, or name another directory with --home",
            ) from error

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._db.close()

    # releases

    def add_release(self, release: Release) -> None:
        """Store a release; its number must be new for its model."""
        self._write(
            "INSERT INTO releases (model, number, body, created_at) VALUES (?, ?, ?, ?)",
            (release.model, release.number, json.dumps(release.as_json()), self._clock()),
        )

    def next_number(self, model: str) -> int:
        """Return the number of the model's next release."""
        (row,) = self._read(
            "SELECT COALESCE(MAX(number), 0) + 1 AS number FROM releases WHERE model = ?", (model,)
        )
        return int(row["number"])

    def release(self, model: str, number: int) -> Release | None:
        """Return one release, or None."""
        rows = self._read(
            "SELECT body FROM releases WHERE model = ? AND number = ?", (model, number)
        )
        return Release.from_json(json.loads(rows[0]["body"])) if rows else None

    def releases(self, model: str) -> list[tuple[Release, float]]:
        """Return the model's releases with their creation times, newest first."""
        rows = self._read(
            "SELECT body, created_at FROM releases WHERE model = ? ORDER BY number DESC", (model,)
        )
        return [(Release.from_json(json.loads(row["body"])), row["created_at"]) for row in rows]

    # deployments

    def open_deployment(
        self,
        *,
        model: str,
        action: str,
        release: int,
        previous: int | None,
        slot: str,
        actor: str,
        host: str = "",
        rollout: str = "",
    ) -> int:
        """Record a deployment that is about to start; return its id."""
        (row,) = self._write(
            "INSERT INTO deployments (model, action, release_number, previous, slot, actor, host,"
            " rollout, outcome, reason, started_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, '', ?)"
            " RETURNING id",
            (model, action, release, previous, slot, actor, host, rollout, str(Outcome.RUNNING),
             self._clock()),
        )  # fmt: skip
        return int(row["id"])

    def end_deployment(self, id: int, outcome: Outcome, reason: str = "") -> None:
        """Record how a deployment ended."""
        self._write(
            "UPDATE deployments SET outcome = ?, reason = ?, ended_at = ? WHERE id = ?",
            (str(outcome), reason, self._clock(), id),
        )

    def start_step(self, deployment: int, kind: str, detail: str) -> int:
        """Record a step that is about to start; return its number within the deployment."""
        (row,) = self._write(
            "INSERT INTO steps (deployment, seq, kind, detail, outcome, started_at)"
            " SELECT ?, COALESCE(MAX(seq), 0) + 1, ?, ?, ?, ? FROM steps WHERE deployment = ?"
            " RETURNING seq",
            (deployment, kind, detail, str(Outcome.RUNNING), self._clock(), deployment),
        )
        return int(row["seq"])

    def end_step(self, deployment: int, seq: int, outcome: Outcome) -> None:
        """Record how a step ended."""
        self._write(
            "UPDATE steps SET outcome = ?, ended_at = ? WHERE deployment = ? AND seq = ?",
            (str(outcome), self._clock(), deployment, seq),
        )

    def unfinished(self) -> list[Deployment]:
        """Return deployments without an outcome, oldest first."""
        return self._select("WHERE outcome = ? ORDER BY id", (str(Outcome.RUNNING),))

    def deployments(self, model: str, limit: int = 50) -> list[Deployment]:
        """Return the model's deployments, newest first."""
        return self._select("WHERE model = ? ORDER BY id DESC LIMIT ?", (model, limit))

    def models(self) -> list[str]:
        """Return the names of all models that ever had a release."""
        rows = self._read("SELECT DISTINCT model FROM releases ORDER BY model")
        return [row["model"] for row in rows]

    def _select(self, where: str, values: tuple[object, ...]) -> list[Deployment]:
        rows = self._read(f"SELECT * FROM deployments {where}", values)  # noqa: S608
        return [
            Deployment(
                id=row["id"],
                model=row["model"],
                action=row["action"],
                release=row["release_number"],
                previous=row["previous"],
                slot=row["slot"],
                actor=row["actor"],
                outcome=Outcome(row["outcome"]),
                reason=row["reason"],
                started_at=row["started_at"],
                ended_at=row["ended_at"],
                steps=self._steps(row["id"]),
                host=row["host"],
                rollout=row["rollout"],
            )
            for row in rows
        ]

    def _steps(self, deployment: int) -> tuple[StepRecord, ...]:
        rows = self._read("SELECT * FROM steps WHERE deployment = ? ORDER BY seq", (deployment,))
        return tuple(
            StepRecord(
                seq=row["seq"],
                kind=row["kind"],
                detail=row["detail"],
                outcome=Outcome(row["outcome"]),
                started_at=row["started_at"],
                ended_at=row["ended_at"],
            )
            for row in rows
        )

    def _read(self, statement: str, values: tuple[object, ...] = ()) -> list[sqlite3.Row]:
        with self._lock:
            return self._db.execute(statement, values).fetchall()

    # Each statement is a transaction of its own: committed when this returns.
    _write = _read


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, timeout=10, check_same_thread=False)
    try:
        db.row_factory = sqlite3.Row
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA foreign_keys=ON")
        migrate(db)
    except BaseException:
        db.close()
        raise
    return db
