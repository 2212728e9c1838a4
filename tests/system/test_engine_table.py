"""The table of flags and variables that the toolkit ships is what the installed engine says of itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.system
ROOT = Path(__file__).resolve().parents[2]


def test_the_table_is_what_the_installed_engine_says(engine: Path) -> None:
    # It imports all of vLLM, beside the engines of the other worker's tests.
    said = subprocess.run(
        [engine / "bin" / "python", ROOT / "scripts" / "engine_table.py"],
        capture_output=True, text=True, timeout=280, check=True, env={"PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    table = ROOT / "toolkit" / "planning" / "engines" / "vllm_table_0_32.py"
    assert said.stdout == table.read_text()
