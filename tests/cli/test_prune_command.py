"""What `prune` shows of hosts, asks for, and removes."""

from __future__ import annotations

import pytest

from tests.cli.shell import Prompt
from tests.cli.test_json import Fleet
from toolkit.domain.hosts.leftover import Leftover, LeftoverKind

PACKAGES = Leftover("wheelhouse/vllm-9", LeftoverKind.PACKAGES, "vllm-9", 3 * 2**30, 3 * 86_400.0)
RUNNING = Leftover(
    "snapshots/.a.partial", LeftoverKind.TRANSFER, "a", 5, 9.0, "a transfer is running"
)
SHOWN = """\
remove wheelhouse/vllm-9 on gpu1, 3.22 GB, packages that came 3 d ago
keep tiny #1 (v1): in a slot
keep snapshots/.a.partial: a transfer is running
"""


@pytest.fixture
def fleet(prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    found = Fleet(prompt, monkeypatch, 1)
    assert found("deploy tiny@v1 --yes").code == 0
    found.world.host.left = [PACKAGES, RUNNING]
    return found


def test_a_dry_run_shows_what_was_cut_short_and_removes_nothing(fleet: Fleet) -> None:
    said = fleet.prompt("prune", "--dry-run")
    assert said == (0, "dry run: nothing was removed\n", SHOWN)
    document = fleet("prune --dry-run").json()
    assert document["remove"]["hosts"]["gpu1"]["leftovers"] == [
        {"path": "wheelhouse/vllm-9", "kind": "packages", "bytes": 3 * 2**30, "age": 3 * 86_400.0}
    ]
    assert fleet.world.host.left == [PACKAGES, RUNNING]


def test_without_a_yes_it_stays(fleet: Fleet) -> None:
    said = fleet.prompt("prune", stdin="n\n")
    assert said.code != 0
    assert fleet.world.host.left == [PACKAGES, RUNNING]


def test_with_a_yes_it_goes_and_what_is_busy_stays(fleet: Fleet) -> None:
    said = fleet.prompt("prune", "--yes")
    assert (said.code, said.out) == (0, "removed; 3.22 GB of files on the host\n")
    assert fleet.world.host.left == [RUNNING]
    said = fleet.prompt("prune", "--yes")
    assert said.out == "nothing to remove: everything is in use or recent\n"
