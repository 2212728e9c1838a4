"""A host whose journal has no lines of its router: nothing hangs, and what was not counted is no zero."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.hostside.router_lab import REPO, until
from tests.hostside.router_site import Site
from tests.hostside.test_router_log import line as logged
from tests.hostside.test_tally_log import line
from tests.hostside.use_lab import handed_out
from tests.pace import Pace

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import log_places
import observe
import request_log
import router_socket
import tally_log
import unlogged
from use_ledger import Ledger

HANGS = "exec sleep 600"


class Host:
    """A host under systemd; `journal` says what stands in for journalctl, `answered` what its router has answered."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.root = root / "toolkit"
        self.root.mkdir()
        self.program = root / "journalctl"
        self.answered: int | None = 0
        patch.setattr(log_places, "_JOURNAL", (str(self.program),))
        patch.setattr(log_places.processes, "init_system", lambda: "systemd")
        patch.setattr(log_places, "SECONDS", 60.0)
        patch.setattr(tally_log, "SECONDS", 0.0)
        patch.setattr(tally_log, "SECONDS_OF_FAULT", 0.0)
        patch.setattr(router_socket, "answered", lambda _: self.answered)
        self.restart()

    def restart(self) -> None:
        self.counting = tally_log.TallyLog(str(self.root), Ledger(str(self.root)))

    def journal(self, script: str) -> None:
        self.program.write_text(f"#!/bin/sh\n{script}\n")
        self.program.chmod(0o755)

    def has(self, *lines: str) -> None:
        """Let the journal have these lines from the beginning on, each with a place of its own."""
        entries = [
            json.dumps({"__CURSOR": str(number), "MESSAGE": each.strip()})
            for number, each in enumerate(lines)
        ]
        (self.root / "journal").write_text("".join(f"{each}\n" for each in entries))
        self.journal(
            f'case "$*" in *--lines=1) tail -n 1 {self.root}/journal;; '
            f'*--cursor=*) at=${{3#--cursor=}}; grep -F "" {self.root}/journal | tail -n +$((at+1));; '
            f"*) cat {self.root}/journal;; esac"
        )

    def look(self) -> list[str]:
        return self.counting.look()

    def lines(self) -> list[Any]:
        text = (self.root / "use" / "000001.jsonl").read_text().splitlines()
        return [each for each in map(json.loads, text) if "tally" in each]

    @property
    def unlogged(self) -> str:
        return unlogged.read(str(self.root))


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (HANGS, "journalctl did not end within 0.5 s"),
        ("echo 'Failed to open files: Permission denied' >&2; exit 1", "journalctl ended with 1"),
        (None, "journalctl is not installed"),
    ],
    ids=["hangs", "fails", "is absent"],
)
def test_a_journal_that_cannot_be_read_is_said_once_and_counts_as_no_time(
    host: Host, script: str | None, words: str, monkeypatch: pytest.MonkeyPatch, pace: Pace
) -> None:
    host.has()
    host.look()
    host.program.unlink()
    if script is not None:
        host.journal(script)
    if script == HANGS:
        monkeypatch.setattr(log_places, "SECONDS", 0.5)
    began = pace()
    (said,) = host.look()
    assert pace() - began < 5
    assert words in said and words in host.unlogged
    assert host.look() == []
    monkeypatch.setattr(log_places, "SECONDS", 60.0)
    # What the journal has once it can be read again was not lost.
    host.has(line(), line(500))
    (said,) = host.look()
    assert "again" in said
    assert host.unlogged == ""
    (part,) = handed_out(host.root)
    assert part["tallies"][0][4] == {"200": 1, "500": 1}


def test_requests_that_were_answered_and_never_logged_are_a_gap_and_no_silence(host: Host) -> None:
    host.has()
    host.look()
    # Nothing was asked for, so nothing is missing.
    for _ in range(3):
        assert host.look() == []
    host.answered = 7
    # Their lines may still be on their way.
    assert host.look() == []
    (said,) = host.look()
    assert "the journal has no line of what the router answers" in said
    assert host.unlogged
    assert host.lines()[-1]["gap"] is True
    assert handed_out(host.root)[0]["tallies"] == []
    # A pause of the requests mends nothing, and neither does a new watch.
    assert host.look() == [] and host.unlogged
    host.restart()
    assert host.look() == [] and host.unlogged
    assert host.lines()[-1]["gap"] is True
    # It has lines again.
    host.answered = 8
    host.has(line())
    (said,) = host.look()
    assert "again" in said and host.unlogged == ""
    assert host.lines()[-1]["gap"] is False


def test_a_router_that_does_not_answer_or_starts_anew_has_answered_nothing(host: Host) -> None:
    host.has()
    for host.answered in (9, 9, None, None, 2, 2):
        assert host.look() == []
    assert host.unlogged == ""


def test_a_vacuumed_journal_is_one_gap_and_then_read_on(host: Host) -> None:
    host.has(line(), line())
    host.look()
    host.has()
    host.look()
    assert host.lines()[-1]["gap"] is True
    before = len(host.lines())
    host.look()
    host.look()
    assert len(host.lines()) == before
    host.has(line(502))
    host.look()
    assert host.lines()[-1]["gap"] is False
    assert handed_out(host.root)[0]["tallies"][0][4] == {"502": 1}


def test_whoever_reads_requests_learns_that_the_log_lacks_some(host: Host) -> None:
    host.has()
    host.look()
    assert request_log.read(str(host.root), "", 0, None)["unlogged"] == ""
    host.answered = 3
    for _ in range(3):
        host.look()
    told = request_log.read(str(host.root), "", 0, None)
    assert (told["requests"], told["unlogged"]) == ([], host.unlogged)
    assert observe.observe(str(host.root))["unlogged"] == host.unlogged


def test_the_router_counts_what_it_has_answered_to_clients(site: Site, tmp_path: Path) -> None:
    directory = str(site.lab.root / "router")
    site.shift(blue=99)
    before = router_socket.answered(directory)
    assert before is not None
    logged(site.lab, {"model": "tiny"})
    assert until(lambda: router_socket.answered(directory) == before + 1)
    assert router_socket.answered(str(tmp_path / "router")) is None
