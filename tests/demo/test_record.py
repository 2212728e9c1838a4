"""The README's recording of the demo is cut from its output, and fits on a screen."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def record() -> ModuleType:
    spec = importlib.util.spec_from_file_location("record", ROOT / "demo" / "record.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["record"] = module
    spec.loader.exec_module(module)
    return module


def test_a_recording_has_the_story_and_none_of_the_noise(record: ModuleType) -> None:
    output = [
        "$ toolkit deploy demo-qwen@v1 --yes",
        "demo-qwen #1 (v1) is live, after 50 s",
        "$ toolkit upgrade demo-qwen --yes",
        "  starting for 10 s: loading weights",
        "  start took 40 s",
        "demo-qwen #2 (v2) is live, after 48 s",
        f"  rollback: {'words ' * 20}".rstrip(),
    ]
    assert record.recording(output).splitlines() == [
        "<!-- recording: demo/record.py -->",
        "",
        "```text",
        "$ toolkit upgrade demo-qwen --yes",
        "  start took 40 s",
        "demo-qwen #2 (v2) is live, after 48 s",
        "  rollback: " + " ".join(["words"] * 11),
        "    " + " ".join(["words"] * 9),
        "```",
        "",
        "<!-- end of the recording -->",
    ]


def test_an_output_without_an_upgrade_is_no_recording(record: ModuleType) -> None:
    with pytest.raises(ValueError, match="0 lines"):
        record.recording(["demo-qwen #1 (v1) is live, after 50 s"])


def test_the_readme_has_a_whole_recording_without_a_failed_request(record: ModuleType) -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    _, _, rest = text.partition(record.BEGIN)
    block, end, _ = rest.partition(record.END)
    assert end
    lines = block.splitlines()
    assert max(map(len, lines)) <= record.COLUMNS
    head = next(line.split() for line in lines if "failed" in line and "right" in line)
    rows = [line for line in lines if line.startswith(("  short requests", "  long streams"))]
    assert len(rows) == 2
    for row in rows:
        counts = dict(zip(head[:5], map(int, row.split()[2:7]), strict=True))
        assert counts["sent"] == counts["right"] > 0
        assert counts["failed"] == counts["cut"] == counts["mixed"] == 0


def test_an_old_recording_is_replaced(record: ModuleType) -> None:
    readme = f"top\n{record.BEGIN}old\n{record.END}rest\n"
    block = record.recording(["$ toolkit upgrade m --yes"])
    assert record.insert(readme, block) == f"top\n{block}rest\n"
    with pytest.raises(ValueError, match="no place"):
        record.insert("top\n", block)
