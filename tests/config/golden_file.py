"""A file of golden prompts, as tests write and read it."""

from __future__ import annotations

from pathlib import Path

from toolkit.config.golden.reading import read_golden
from toolkit.domain.gates.golden import Fits, GoldenPrompt


def read(tmp_path: Path, fits: Fits, text: str, name: str = "x.yaml") -> tuple[GoldenPrompt, ...]:
    (tmp_path / name).write_text(text, "utf-8")
    return read_golden(tmp_path / name, fits)
