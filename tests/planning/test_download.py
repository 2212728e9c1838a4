"""What has to be fetched, as a table."""

from __future__ import annotations

import pytest

from toolkit.domain.files.snapshot import FileDigest, Snapshot
from toolkit.errors import InputError
from toolkit.planning.upkeep.download import RESERVE, plan_download, shortfall

SMALL = FileDigest("config.json", 10, "c" * 64)
BIG = FileDigest("model.safetensors", 1000, "m" * 64)
TWIN = FileDigest("copy/config.json", 10, "c" * 64)
SNAPSHOT = Snapshot("acme/tiny", "a" * 40, (SMALL, BIG, TWIN))

CASES = [
    # present, partial -> missing, resumed, needed
    (set(), {}, (BIG, TWIN), 0, 1010),
    ({SMALL.sha256}, {}, (BIG,), 0, 1000),
    ({SMALL.sha256}, {BIG.sha256: 400}, (BIG,), 400, 600),
    (set(), {BIG.sha256: 5000}, (BIG, TWIN), 1000, 10),
    ({SMALL.sha256, BIG.sha256}, {BIG.sha256: 400}, (), 0, 0),
]


@pytest.mark.parametrize(("present", "partial", "missing", "resumed", "needed"), CASES)
def test_a_download_plan_counts_missing_and_resumed_bytes(
    present, partial, missing, resumed, needed
) -> None:
    plan = plan_download(SNAPSHOT, present, partial)
    assert (plan.missing, plan.resumed, plan.needed) == (missing, resumed, needed)
    assert plan.size == resumed + needed


@pytest.mark.parametrize(
    ("free", "lacking"), [(0, 1010 + RESERVE), (1010, RESERVE), (1010 + RESERVE, 0), (10**15, 0)]
)
def test_a_download_says_how_much_space_it_lacks(free: int, lacking: int) -> None:
    assert shortfall(plan_download(SNAPSHOT, set(), {}), free) == lacking


def test_nothing_needs_no_room() -> None:
    assert shortfall(plan_download(SNAPSHOT, {SMALL.sha256, BIG.sha256}, {}), 0) == 0


BAD = [
    (["../x"], "leads out"),
    (["/etc/passwd"], "leads out"),
    (["a//b"], "leads out"),
    (["a/./b"], "leads out"),
    (["a\\..\\b"], "leads out"),
    ([""], "leads out"),
    (["a\0b"], "leads out"),
    (["a", "a"], "twice"),
    (["a", "a/b"], "also a file"),
]


@pytest.mark.parametrize(("paths", "message"), BAD)
def test_paths_that_lead_elsewhere_are_refused(paths: list[str], message: str) -> None:
    files = tuple(FileDigest(path, 1, "d" * 64) for path in paths)
    with pytest.raises(InputError, match=message):
        plan_download(Snapshot("acme/tiny", "a" * 40, files), set(), {})
