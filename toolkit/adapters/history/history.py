"""The history that commands share: releases, deployments and their steps, in SQLite or in PostgreSQL.

The lock of a host, not the history, ensures that one command at a time changes the host. Readers (`status`, `releases`)
never block. A deployment and each of its steps are committed *before* they start, so a killed command leaves an open
deployment, and the next command finds it with `unfinished`. The threads of a command may share one History; it does
one operation at a time.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from operator import attrgetter
from typing import TYPE_CHECKING

from toolkit.adapters.history.database import Row
from toolkit.adapters.history.opening import OpenHistory
from toolkit.adapters.history.records import (
    dated_release_of,
    fit_of,
    gate_of,
    host_of,
    model_of,
    record_of,
    release_of,
    seconds_of,
    start_of,
    step_of,
)
from toolkit.domain.deployment.release import Attempt, Deployment, Outcome, Release
from toolkit.domain.gates.verdict import GateRecord, Verdict
from toolkit.domain.replicas.start import StartRecord
from toolkit.errors import BusyError

# A rollback must start at once, so types that no change of releases reads are loaded where they are used.
if TYPE_CHECKING:
    from toolkit.domain.clients.tally import Tally, WatchedHour
    from toolkit.domain.clients.use import UseChunk, UseCursor, UseRow, UseRun
    from toolkit.domain.engines.fit import FitRecord


class History(OpenHistory):
    """Releases, deployments, what both proved and took, and the use of models; see `OpenHistory` for its arguments."""

    # releases

    def add_release(self, release: Release) -> None:
        """Store a release, unless the same release is stored already.

        Raises BusyError where another command has just stored a different release under its number.
        """
        body = json.dumps(release.as_json())
        self._run(
            "INSERT INTO releases (model, number, body, created_at) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            (release.model, release.number, body, self._clock()),
        )
        if self.release(release.model, release.number) != Release.from_json(json.loads(body)):
            raise BusyError(
                f"another command has just recorded another release #{release.number} of {release.model}",
                hint="type the command again: it takes the next number",
            )

    def release(self, model: str, number: int) -> Release | None:
        """Return the release, or None."""
        query = "SELECT body FROM releases WHERE model = ? AND number = ?"
        found = self._read(release_of, query, (model, number))
        return found[0] if found else None

    def releases(self, model: str) -> list[tuple[Release, float]]:
        """Return the model's releases with their creation times (seconds since the epoch), newest first."""
        query = "SELECT body, created_at FROM releases WHERE model = ? ORDER BY number DESC"
        return self._read(dated_release_of, query, (model,))

    def models(self) -> list[str]:
        """Return the names of all models that have had a release."""
        return sorted(self._read(model_of, "SELECT DISTINCT model FROM releases", ()))

    # deployments

    def open_deployment(self, begun: Attempt) -> int:
        """Record a deployment that is about to start; return its id."""
        (row,) = self._run(
            "INSERT INTO deployments (model, action, release_number, previous, slot, actor, host,"
            " rollout, kept, outcome, reason, started_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', ?)"
            " RETURNING id",
            (begun.model, begun.action, begun.release, begun.previous, begun.slot, begun.actor, begun.host,
             begun.rollout, int(begun.kept), str(Outcome.RUNNING), self._clock()),
        )  # fmt: skip
        return int(row["id"])

    def end_deployment(self, id: int, outcome: Outcome, reason: str = "") -> None:
        """Record how a deployment ended."""
        self._run(
            "UPDATE deployments SET outcome = ?, reason = ?, ended_at = ? WHERE id = ?",
            (str(outcome), reason, self._clock(), id),
        )

    def start_step(self, deployment: int, kind: str, detail: str) -> int:
        """Record a step that is about to start; return its number within the deployment."""
        (row,) = self._run(
            "INSERT INTO steps (deployment, seq, kind, detail, outcome, started_at)"
            " SELECT ?, COALESCE(MAX(seq), 0) + 1, ?, ?, ?, ? FROM steps WHERE deployment = ?"
            " RETURNING seq",
            (deployment, kind, detail, str(Outcome.RUNNING), self._clock(), deployment),
        )
        return int(row["seq"])

    def end_step(self, deployment: int, seq: int, outcome: Outcome) -> None:
        """Record how a step ended."""
        self._run(
            "UPDATE steps SET outcome = ?, ended_at = ? WHERE deployment = ? AND seq = ?",
            (str(outcome), self._clock(), deployment, seq),
        )

    def unfinished(self) -> list[Deployment]:
        """Return deployments without an outcome, oldest first."""
        return self._select("WHERE outcome = ? ORDER BY id", (str(Outcome.RUNNING),))

    def deployments(
        self, model: str, limit: int | None = None, *, steps: bool = True
    ) -> list[Deployment]:
        """Return the model's deployments, newest first, at most `limit` of them.

        There is one for each host of a rollout and each failed attempt, so no number of the newest has what a model or
        a host did last. All of them without their `steps` are read as fast as some with them.
        """
        most, values = ("", (model,)) if limit is None else (" LIMIT ?", (model, limit))
        return self._select(f"WHERE model = ? ORDER BY id DESC{most}", values, steps)

    def deployments_until(self, until: float) -> list[Deployment]:
        """Return the deployments of all models that began until then, oldest first, without their steps."""
        return self._select("WHERE started_at <= ? ORDER BY id", (until,), steps=False)

    def is_recorded(self, model: str, host: str, rollout: str) -> bool:
        """Whether the history has a deployment of the model on `host` in `rollout`."""
        query = "SELECT id FROM deployments WHERE model = ? AND host = ? AND rollout = ? LIMIT 1"
        return bool(self._run(query, (model, host, rollout)))

    def hosts(self) -> set[str]:
        """Return the names of all hosts that have had a deployment."""
        return set(self._read(host_of, "SELECT DISTINCT host FROM deployments", ()))

    def last_start(self, model: str) -> float | None:
        """Return how long the newest start of a replica of the model took, in seconds; None where none succeeded.

        One in which the clock was set back tells no time.
        """
        found = self._read(
            seconds_of,
            "SELECT steps.ended_at - steps.started_at AS seconds FROM steps"
            " JOIN deployments ON deployments.id = steps.deployment"
            " WHERE model = ? AND kind = ? AND steps.outcome = ? AND steps.ended_at >= steps.started_at"
            " ORDER BY steps.deployment DESC, seq DESC LIMIT 1",
            (model, "start", str(Outcome.DONE)),
        )
        return found[0] if found else None

    # memory of replicas, predicted and actual

    def add_fit(self, record: FitRecord) -> None:
        """Store the prediction for a start and the figures that its engine logged."""
        self._run(
            "INSERT INTO fits (model, release_number, host, predicted, actual, at)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (record.model, record.release, record.host, json.dumps(record.predicted.as_json()),
             json.dumps(record.actual.as_json()), record.at),
        )  # fmt: skip

    def fits(self, model: str) -> list[FitRecord]:
        """Return the records of the model's starts, newest first."""
        return self._read(fit_of, "SELECT * FROM fits WHERE model = ? ORDER BY id DESC", (model,))

    # what starts took

    def add_start(self, record: StartRecord) -> None:
        """Store how long each phase of a start took."""
        self._run(
            "INSERT INTO starts (model, release_number, host, engine, phases, at)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (record.model, record.release, record.host, record.engine, json.dumps(dict(record.phases)),
             record.at),
        )  # fmt: skip

    def starts(self, model: str, limit: int = 50) -> list[StartRecord]:
        """Return the model's last starts, newest first."""
        query = "SELECT * FROM starts WHERE model = ? ORDER BY id DESC LIMIT ?"
        return self._read(start_of, query, (model, limit))

    # what releases proved

    def add_gate(self, record: GateRecord) -> bool:
        """Store the result of a gate, once: whoever asks its host later finds the same result there.

        Return whether it was not known yet.
        """
        key = (record.model, record.release, record.host, record.rollout)
        result = json.dumps(record.result.as_json())
        added = self._run(
            "INSERT INTO gates (model, release_number, host, rollout, at, result)"
            " SELECT ?, ?, ?, ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM gates WHERE model = ?"
            " AND release_number = ? AND host = ? AND rollout = ? AND result = ?) RETURNING id",
            (*key, record.at, result, *key, result),
        )
        return bool(added)

    def gates(self, model: str, release: int | None = None) -> list[GateRecord]:
        """Return the results of the gates of a model's releases, or of one of them, newest first."""
        one, which = ("", ()) if release is None else (" AND release_number = ?", (release,))
        query = f"SELECT * FROM gates WHERE model = ?{one} ORDER BY id DESC"  # noqa: S608
        return self._read(gate_of, query, (model, *which))

    def gates_of(self, model: str, host: str, rollout: str) -> list[GateRecord]:
        """Return the results of the model's gates on a host in a rollout, newest first."""
        query = "SELECT * FROM gates WHERE model = ? AND host = ? AND rollout = ? ORDER BY id DESC"
        return self._read(gate_of, query, (model, host, rollout))

    def gates_since(self, since: float) -> list[GateRecord]:
        """Return the results of all gates since then (seconds since the epoch), oldest first."""
        return self._read(gate_of, "SELECT * FROM gates WHERE at >= ? ORDER BY id", (since,))

    def failure(self, model: str, number: int) -> GateRecord | None:
        """Return the latest gate that a release failed; None where it passed all, or had none."""
        found = self.gates(model, number)
        return next((each for each in found if each.result.verdict is Verdict.FAILED), None)

    # use

    def add_use(self, chunk: UseChunk) -> bool:
        """Store a chunk of a host's ledger and where it ends, both or nothing; see `use.add_chunk`.

        Returns False, with nothing stored, where another command has stored it before. Never goes on in memory.
        """
        from toolkit.adapters.history import use

        with self._lock, self._whole():
            return use.add_chunk(self._db, chunk, self._clock())

    def use(
        self,
        since: str | None = None,
        until: str | None = None,
        *,
        by: Sequence[str] | None = None,
        model: str = "",
        key: str = "",
        probes: bool = False,
        sums: Sequence[str] | None = None,
    ) -> tuple[UseRow, ...]:
        """Return the use from day to day, both included (`2026-11-27`, UTC), sums over all kinds not in `by`.

        `model` and `key` choose; a model has its adapters with it. The toolkit's own requests are in it with `probes`.
        Of numbers that are not among `sums` rows have none. Without `by` and `sums` it is all kinds and all numbers.
        """
        from toolkit.adapters.history import use
        from toolkit.domain.clients.use import KINDS, SUMS

        by, sums = KINDS if by is None else by, SUMS if sums is None else sums
        with self._lock:
            wanted = use.UseQuery(since, until, by, model, key, probes, sums)
            rows = use.rows(self._db, wanted)
        found = (each for row in rows for each in self._readable(use.use_of, row))
        # Databases differ in their order of texts.
        return tuple(sorted(found, key=attrgetter(*KINDS)))

    def use_runs(self) -> tuple[UseRun, ...]:
        """Return the runs of all replicas with their records and counters, the oldest first."""
        from toolkit.adapters.history import use

        return self._read_whole(use.run_of, use.RUNS)

    def use_last(self, ledger: str) -> dict[str, int]:
        """Return {"PROGRAM/RUN": number of its last record} of the runs that were collected from a ledger."""
        from toolkit.adapters.history import use

        return dict(self._read_whole(use.last_of, use.LAST, ledger))

    def use_cursors(self) -> tuple[UseCursor, ...]:
        """Return how far each host's ledger was read."""
        from toolkit.adapters.history import use

        return self._read_whole(use.cursor_of, use.CURSORS)

    def tallies(
        self, since: int, until: int, models: Sequence[str]
    ) -> tuple[tuple[Tally, ...], tuple[WatchedHour, ...]]:
        """Return the tallies of models, and the hours in which hosts counted: hours since the epoch, both included."""
        from toolkit.adapters.history import tallies

        with self._lock:
            rows = tallies.rows(self._db, since, until, models)
        found = tuple(one for row in rows for one in self._readable(tallies.tally, row))
        return found, self._read_whole(tallies.watched_of, tallies.WATCHED, since, until)

    def asleep(self, since: int, until: int) -> dict[tuple[str, str], int]:
        """Return {(host, model): seconds in which it slept there}, of hours since the epoch, both included."""
        from toolkit.adapters.history import tallies

        with self._lock:
            rows = tallies.asleep(self._db, since, until)
        found: dict[tuple[str, str], int] = {}
        for one in (each for row in rows for each in self._readable(tallies.tally, row)):
            place = (one.host, one.model)
            found[place] = found.get(place, 0) + one.counts.get("asleep", 0)
        return found

    def _select(
        self, where: str, values: tuple[object, ...], steps: bool = True
    ) -> list[Deployment]:
        found = self._run(f"SELECT * FROM deployments {where}", values)  # noqa: S608
        known: dict[int, list[Row]] = {}
        if steps:
            for row in self._run(
                "SELECT * FROM steps WHERE deployment IN"  # noqa: S608
                f" (SELECT id FROM deployments {where}) ORDER BY seq",
                values,
            ):
                known.setdefault(row["deployment"], []).append(row)

        def read(row: Row) -> Deployment:
            return record_of(Deployment, row, steps=tuple(map(step_of, known.get(row["id"], ()))))

        return [each for row in found for each in self._readable(read, row)]
