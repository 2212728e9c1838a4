"""Make the history's records from the rows of its tables."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

from toolkit.adapters.history.database import Row
from toolkit.domain.deployment.release import Deployment, Outcome, Release, StepRecord
from toolkit.domain.gates.verdict import GateRecord, GateResult
from toolkit.domain.outside import checked, parse_unbounded, text_of
from toolkit.domain.replicas.start import StartRecord

if TYPE_CHECKING:
    from toolkit.domain.clients.use import UseRun
    from toolkit.domain.engines.fit import FitRecord

Record = TypeVar("Record", Deployment, StepRecord, "FitRecord", GateRecord, StartRecord, "UseRun")


def step_of(row: Row) -> StepRecord:
    """Return the step in a row."""
    return record_of(StepRecord, row)


def release_of(row: Row) -> Release:
    """Return the release in a row."""
    return checked(Release.from_json(parse_unbounded(row["body"])))


def dated_release_of(row: Row) -> tuple[Release, float]:
    """Return the release in a row with its creation time (seconds since the epoch)."""
    return release_of(row), float(row["created_at"])


def model_of(row: Row) -> str:
    """Return the name of a model in a row."""
    return text_of(row["model"], "model")


def host_of(row: Row) -> str:
    """Return the name of a host in a row."""
    return text_of(row["host"], "host")


def seconds_of(row: Row) -> float:
    """Return the seconds in a row."""
    return float(row["seconds"])


def fit_of(row: Row) -> FitRecord:
    """Return the record of a prediction in a row."""
    from toolkit.domain.engines.fit import Actual, FitRecord, Prediction

    return record_of(
        FitRecord,
        row,
        predicted=Prediction.from_json(parse_unbounded(row["predicted"])),
        actual=Actual.from_json(parse_unbounded(row["actual"])),
    )


def start_of(row: Row) -> StartRecord:
    """Return the record of a start in a row."""
    phases = {str(name): float(each) for name, each in parse_unbounded(row["phases"]).items()}
    return record_of(StartRecord, row, phases=phases)


def gate_of(row: Row) -> GateRecord:
    """Return the record of a gate in a row."""
    return record_of(GateRecord, row, result=GateResult.from_json(parse_unbounded(row["result"])))


def record_of(kind: type[Record], row: Row, **others: object) -> Record:
    """Return the dataclass `kind` with the row's columns of the same names, and with the fields in `others`.

    Raises ValueError where a field has a value of another type.
    """
    known: dict[str, Any] = {**row, **others}
    if "release_number" in row:
        known["release"] = row["release_number"]
    if "kept" in row:
        known["kept"] = bool(row["kept"])
    if "outcome" in row:
        known["outcome"] = Outcome(row["outcome"])
    return checked(kind(**{field.name: known[field.name] for field in fields(kind)}))
