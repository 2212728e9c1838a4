"""`toolkit registry` in a directory of its own, with a Hub in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.shell import Prompt, Said
from toolkit.adapters.fakes.hub import FakeHub


class Desk(Prompt):
    """`toolkit registry`, in a directory that has no registry yet, with a Hub of its own."""

    def __init__(
        self, place: Path, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch
    ) -> None:
        super().__init__(place, capsys, patch)
        self.file = place / "model_registry.yaml"
        self.hub = FakeHub()
        patch.setattr("toolkit.cli.commands.registry.open_hub", lambda: self.hub)

    def __call__(self, *words: str, stdin: str | None = None) -> Said:
        return super().__call__("registry", *words, stdin=stdin)
