"""A host's ledger and a Prometheus that reads the host say the same of a model's objectives."""

from __future__ import annotations

import random
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.hostside.router_lab import REPO
from tests.hostside.use_lab import START
from toolkit.adapters.fakes.prometheus import FakePrometheus
from toolkit.domain.clients.tally import Tally, WatchedHour
from toolkit.domain.registry.objective import Objective, Promise
from toolkit.planning.objectives.attained import attained
from toolkit.planning.objectives.sampled import READ, sampled, selections, watched

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import tally_figures
import use_hand_out
from use_ledger import Ledger

FIRST, HOURS = 498_000, 30
ENDED = (
    "200",
    "200",
    "200",
    "500",
    "502:replica_failed",
    "499:client_left",
    "429",
    "429:quota_exceeded",
    "400",
)
OBJECTIVES = (
    Objective(Promise.AVAILABILITY, 0.9),
    Objective(Promise.FIRST, 0.9, 0.5),
    Objective(Promise.BETWEEN, 0.9, 0.05),
)  # fmt: skip
_LABEL = re.compile(r'(\w+)="([^"]*)"')


class Lab:
    """A host whose requests are drawn, and a Prometheus that reads it at the end of each hour."""

    def __init__(self, root: Path) -> None:
        self.root, self.draw = root, random.Random(5)
        self.ledger, self.figures = Ledger(str(root)), tally_figures.TallyFigures(str(root))
        self.samples: dict[str, list[tuple[float, float]]] = {}
        self.number = 0

    def hour(self, hour: int, release: int) -> None:
        draw, at = self.draw, hour * 3600.0
        rows = [
            [hour, draw.choice(["tiny", "lora"]), "v", release, draw.choice(ENDED), draw.randint(1, 9)]
            for _ in range(6)
        ] + [[hour, "tiny", "", 0, "503:no_replica", draw.randint(0, 2)]]  # fmt: skip
        lines: list[dict[str, Any]] = [
            {"tally": rows, "log": {}, "since": at, "until": at + 3600, "gap": False}
        ]
        for _ in range(9):
            self.number += 1
            first = draw.choice([None, draw.random()])
            lines.append(
                {
                    "program": "tiny-blue", "run": "a" * 16, "version": "v", "release": release, "n": self.number,
                    "at": at + 60.0, "key": draw.choice(["ann", "probe"]), "model": "tiny", "in": 9, "asked": 9,
                    "cached": 0, "reasoning": None,
                    "out": draw.randint(0, 20), "end": draw.choice(["whole", "left"]),
                    "seconds": (first or 0.0) + draw.random(), "first": first,
                }
            )  # fmt: skip
        with self.ledger.held(0.0):
            self.ledger.append(lines)

    def read(self, hour: int) -> None:
        self.figures.look()
        for line in self.figures.lines(["tiny", "lora"]):
            if not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                self.samples.setdefault(name, []).append((hour * 3600.0 + 3000.0, float(value)))

    def prometheus(self) -> FakePrometheus:
        own = {"job": "toolkit-host", "host": "gpu1"}
        return FakePrometheus(
            series=[
                (name.partition("{")[0], {**dict(_LABEL.findall(name)), **own}, samples)
                for name, samples in self.samples.items()
            ]
        )

    def tallies(self, since: int, until: int) -> list[Tally]:
        found = use_hand_out.hand_out(str(self.root), START)
        return [
            Tally(hour, "gpu1", *rest)
            for hour, *rest in found["tallies"]
            if since <= hour <= until
        ]  # fmt: skip


@pytest.mark.parametrize("days", [1, 2])
def test_both_tell_the_same_also_where_the_watch_was_started_again(
    tmp_path: Path, days: int
) -> None:
    lab = Lab(tmp_path)
    lab.read(FIRST - 1)
    for hour in range(FIRST, FIRST + HOURS):
        lab.hour(hour, 3 if hour < FIRST + 20 else 4)
        lab.read(hour)
        if hour == FIRST + 12:
            lab.figures = tally_figures.TallyFigures(str(tmp_path))
    until = FIRST + HOURS - 1
    first = until - 24 * days + 1
    prometheus = lab.prometheus()
    read = prometheus.by_hour(READ, first - 1, until)
    for objective in OBJECTIVES:
        series = [
            prometheus.by_hour(wanted, first - 1, until)
            for wanted in selections(["lora", "tiny"], objective)
        ]
        theirs = attained(objective, sampled(objective, read, series, first), until)
        ours = attained(objective, lab.tallies(first, until), until)
        assert theirs == ours
        assert ours.bad and ours.good
    hours = range(max(first, FIRST), until + 1)
    assert watched(read, first) == [WatchedHour(hour, "gpu1", 3600.0) for hour in hours]
