"""A history that is filled from the files of a week, as deployments and the collection of use leave it."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from itertools import groupby
from pathlib import Path

from tests.planning.facts import GB, release
from toolkit.adapters.history.history import History
from toolkit.config.costs.meter import load_readings
from toolkit.config.costs.reading import load_costs
from toolkit.domain.clients.use import LedgerPlace, UseChunk, UseRow
from toolkit.domain.costs.economics import Metered
from toolkit.domain.deployment.release import Attempt, Outcome
from toolkit.planning.economics.account import account
from toolkit.planning.economics.bills import Account
from toolkit.workflows.fleet.recorded import recorded, window

WEEKS = Path(__file__).with_name("weeks")
MEMORY = {"small": 20 * GB, "large": 60 * GB}


class Week:
    """A history that is filled from the files of a week."""

    def __init__(self, name: str, place: Path) -> None:
        self.files, self.now = WEEKS / name, 0.0
        self.history = History(place / "history.db", lambda: self.now)
        for _, steps in groupby(
            self.rows("steps.csv"),
            key=lambda row: (row["host"], row["model"], row["release"], row["action"]),
        ):
            self._deploy(list(steps))
        self._use()

    def rows(self, name: str) -> Iterator[dict[str, str]]:
        with (self.files / name).open(newline="") as file:
            yield from csv.DictReader(file)

    def _deploy(self, steps: list[dict[str, str]]) -> None:
        first = steps[0]
        number, model = int(first["release"]), first["model"]
        self.now = moment(first["started"])
        self.history.add_release(replace(release(number, memory=MEMORY[model]), model=model))
        opened = self.history.open_deployment(
            Attempt(
                model=model,
                action=first["action"],
                release=number,
                previous=int(first["previous"]) if first["previous"] else None,
                slot=first["slot"],
                actor="ann",
                host=first["host"],
            )
        )
        for each in steps:
            self.now = moment(each["started"])
            seq = self.history.start_step(opened, each["kind"], each["step_slot"])
            self.now = moment(each["ended"])
            self.history.end_step(opened, seq, Outcome.DONE)
        self.history.end_deployment(
            opened, Outcome.DONE if first["action"] == "stop" else Outcome.LIVE
        )

    def _use(self) -> None:
        rows: dict[str, list[UseRow]] = {}
        for row in self.rows("use.csv"):
            counts = (int(row[name]) for name in ("requests", "tokens_in", "cached", "tokens_out"))
            rows.setdefault(row["host"], []).append(
                UseRow(row["day"], row["host"], row["key"], row["model"], "v1", 1, *counts, 0, 0,
                       base=row["model"], ended="whole")
            )  # fmt: skip
        for host, found in rows.items():
            ledger = host.ljust(16, "0")
            self.history.add_use(
                UseChunk(host, LedgerPlace(ledger), LedgerPlace(ledger, 1, 9), tuple(found))
            )

    def bill(self) -> Account:
        meter = self.files / "meter.csv"
        metered: tuple[Metered, ...] = (
            load_readings(meter, math.inf).metered if meter.exists() else ()
        )
        span = window(date(2026, 11, 2), date(2026, 11, 8), 2**40)
        situation, notes = recorded(
            self.history, load_costs(self.files / "costs.yaml", date.max), span, metered
        )
        assert notes == ()
        return account(situation)


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
