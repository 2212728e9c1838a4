"""A host that was set back to an earlier state, as by a snapshot of its disk, counts nothing twice."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.hostside.router_lab import REPO
from tests.workflows.ledger_host import LedgerHost, requests, wrote
from toolkit.adapters.history.history import History
from toolkit.planning.use.reconciled import reconciled
from toolkit.workflows.use.collect import collect

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import use_carry
import use_ledger


@pytest.mark.parametrize("most", [400, 10**6])
@pytest.mark.parametrize("files", [1, 3])
def test_a_host_that_was_set_back_to_an_earlier_state_is_counted_on_and_named(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: int, most: int
) -> None:
    """As by a snapshot of its disk: what was recorded then was collected, and nothing of it counts again."""
    if files > 1:
        monkeypatch.setattr(use_ledger, "FILE_BYTES", 3000)
    host = LedgerHost("gpu1", tmp_path / "gpu1", most)
    replica = wrote(host.root, 5)
    shutil.copytree(host.root, tmp_path / "snapshot")
    carrier = use_carry.Carrier(str(host.root))
    for _ in range(20):
        replica.record()
        carrier.look()
    assert (max(use_ledger.files(str(host.root / "use"))) > 1) is (files > 1)
    collect([host], history)
    assert requests(history) == 25
    shutil.rmtree(host.root)
    shutil.copytree(tmp_path / "snapshot", host.root)
    # What comes before a collection is told from what it has by the numbers of each run.
    wrote(host.root, 3, run="c" * 16)
    found = collect([host], history)
    assert (found.records, found.errors, found.skipped, requests(history)) == (3, {}, (), 28)
    wrote(host.root, 7, run="b" * 16)
    assert collect([host], history).records == 7
    assert requests(history) == 35
    assert [each.set_back for each in history.use_cursors()] == [1]
    (release,) = reconciled([each for each in history.use_runs() if each.run != "a" * 16])
    assert (release.exact, release.missing, release.records) == (True, 0, 10)


def test_a_host_of_an_older_toolkit_that_was_set_back_goes_on_at_its_end(
    history: History, tmp_path: Path
) -> None:
    """It cannot leave out what was collected, and nothing may count twice."""
    host = LedgerHost("gpu1", tmp_path / "gpu1", most=10**6)
    wrote(host.root, 5)
    shutil.copytree(host.root, tmp_path / "snapshot")
    wrote(host.root, 20, run="c" * 16)
    collect([host], history)
    shutil.rmtree(host.root)
    shutil.copytree(tmp_path / "snapshot", host.root)
    wrote(host.root, 3, run="b" * 16)
    host.older = True
    found = collect([host], history)
    assert (found.records, found.skipped, requests(history)) == (0, ("gpu1",), 25)
    (said,) = found.remarks()
    assert said.startswith("gpu1: its toolkit is older than this one")
    assert collect([host], history).skipped == ()
    assert requests(history) == 25


def test_a_host_that_was_set_back_is_read_whole_or_not_at_all(
    history: History, tmp_path: Path
) -> None:
    host = LedgerHost("gpu1", tmp_path / "gpu1", most=400)
    wrote(host.root, 5)
    shutil.copytree(host.root, tmp_path / "snapshot")
    wrote(host.root, 20, run="c" * 16)
    collect([host], history)
    before = history.use_cursors()
    shutil.rmtree(host.root)
    shutil.copytree(tmp_path / "snapshot", host.root)
    wrote(host.root, 8, run="b" * 16)
    times = iter([True, True, True, False])
    found = collect([host], history, lambda: next(times))
    assert (found.unfinished, requests(history), history.use_cursors()) == (("gpu1",), 25, before)
    assert collect([host], history).records == 8
    assert requests(history) == 33
