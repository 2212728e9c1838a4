"""A host tells Prometheus what its ledger counts: each request once, by counters that never fall but to 0."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.hostside.router_lab import REPO

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import tally_figures
from use_ledger import Ledger

HOUR = 498_000


class Host:
    """A host whose ledger a test writes."""

    def __init__(self, root: Path) -> None:
        self.root, self.ledger = root, Ledger(str(root))
        self.number, self.until = 0, HOUR * 3600.0
        self.restart()

    def restart(self) -> None:
        self.figures = tally_figures.TallyFigures(str(self.root))

    def ended(self, how: str, requests: int, model: str = "tiny", release: int = 3) -> None:
        since, self.until = self.until, self.until + 15
        row = [HOUR, model, "1.0" if release else "", release, how, requests]
        self._append({"tally": [row], "log": {}, "since": since, "until": self.until, "gap": False})

    def answered(self, **fields: Any) -> None:
        self.number += 1
        self._append(
            {
                "program": "tiny-blue", "run": "a" * 16, "version": "1.0", "release": 3, "n": self.number,
                "at": HOUR * 3600.0, "key": "ann", "model": "tiny", "in": 10, "out": 5, "asked": 10,
                "end": "whole", "seconds": 0.5, "first": 0.1, **fields,
            }
        )  # fmt: skip

    def _append(self, line: dict[str, Any]) -> None:
        with self.ledger.held(0.0):
            self.ledger.append([line])

    def told(self) -> dict[str, float]:
        """Return {sample: value}, after Prometheus's own check of the text."""
        self.figures.look()
        text = "".join(f"{line}\n" for line in self.figures.lines(["tiny", "other"]))
        checked = subprocess.run(
            ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=30
        )
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def ended(status: str, reason: str = "", model: str = "tiny", release: str = "3") -> str:
    version = "1.0" if release else ""
    return (
        f'toolkit_requests_total{{model="{model}",version="{version}",release="{release}",'
        f'status="{status}",reason="{reason}"}}'
    )


def within(name: str, bound: str) -> str:
    return f'toolkit_{name}_seconds_bucket{{model="tiny",version="1.0",release="3",le="{bound}"}}'


def test_requests_are_told_by_how_they_ended_and_times_as_histograms(host: Host) -> None:
    host.told()
    host.ended("200", 40)
    host.ended("200", 2)
    host.ended("503:no_replica", 7, release=0)
    host.answered()
    host.answered(first=3.7, seconds=3.9)
    host.answered(key="probe")
    host.answered(first=None, out=0, end="left", seconds=2.2)
    found = host.told()
    assert found[ended("200")] == 42
    assert found[ended("503", "no_replica", release="")] == 7
    assert [found[within("first_token", each)] for each in ("0.08", "0.1", "3", "4", "+Inf")] == [
        *(0, 1, 1, 2, 2)
    ]
    assert [found[within("left_waiting", each)] for each in ("2", "2.5", "+Inf")] == [0, 1, 1]
    assert [found[within("between_tokens", each)] for each in ("0.04", "0.05", "0.1", "+Inf")] == [
        *(0, 1, 2, 2)
    ]
    assert found["toolkit_log_read_seconds_total"] == 45


def test_refusals_of_a_sleeping_model_begin_at_0_for_each_model_of_the_routes(host: Host) -> None:
    assert host.told() == {
        "toolkit_log_read_seconds_total": 0,
        ended("503", "model_asleep", release=""): 0,
        ended("503", "model_asleep", "other", ""): 0,
    }
    host.ended("503:model_asleep", 3, release=0)
    assert host.told()[ended("503", "model_asleep", release="")] == 3


def test_a_watch_that_is_killed_and_starts_again_counts_each_line_once(host: Host) -> None:
    host.told()
    host.ended("200", 5)
    assert host.told()[ended("200")] == 5
    host.restart()
    assert host.told()[ended("200")] == 5
    host.ended("200", 1)
    # Killed before it wrote its place down.
    host.figures._keep = lambda: None  # type: ignore[method-assign]
    assert host.told()[ended("200")] == 6
    host.restart()
    assert host.told()[ended("200")] == 6


def test_a_host_begins_at_the_end_of_a_ledger_that_was_there_before(host: Host) -> None:
    host.ended("200", 1000)
    assert ended("200") not in host.told()
    host.ended("200", 2)
    assert host.told()[ended("200")] == 2


def test_counters_begin_at_0_where_the_disk_was_set_back_to_fewer_files(host: Host) -> None:
    host.told()
    host.ended("200", 5)
    host.told()
    (host.root / "use/000001.jsonl").rename(host.root / "use/000005.jsonl")
    host.figures._file = 9
    assert ended("200") not in host.told()
    host.ended("200", 2)
    assert host.told()[ended("200")] == 2


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", '{"ledger": "another"}', '{"ledger": 1, "file": "x"}']
)
def test_counters_begin_at_0_where_what_was_written_down_is_damaged(
    host: Host, damage: str
) -> None:
    host.told()
    host.ended("200", 5)
    host.told()
    (host.root / "watch" / "tallies.json").write_text(damage)
    host.restart()
    assert ended("200") not in host.told()
    host.ended("200", 2)
    assert host.told()[ended("200")] == 2


def test_counters_begin_at_0_where_the_ledger_lost_its_end(host: Host) -> None:
    host.told()
    host.ended("200", 5)
    host.told()
    file = host.root / "use" / "000001.jsonl"
    file.write_bytes(file.read_bytes()[:-10])
    assert ended("200") not in host.told()


def test_the_releases_that_were_quiet_for_longest_are_forgotten(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tally_figures, "MOST_RELEASES", 2)
    host.told()
    for release in (1, 2, 1, 3):
        host.ended("200", 1, release=release)
        found = host.told()
    assert (found[ended("200", release="1")], found[ended("200", release="3")]) == (2, 1)
    assert ended("200", release="2") not in found
