"""Real LoRA adapters for the lab's model, in its registry, and load on the name that clients request."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from demo.load import Load
from tests.system.served import Served

# The room for adapters, which a version has from its first deployment on.
LORA = "    lora: {max_active: 2, max_rank: 8}\n"
NAME = "tiny-turned"


def known_answers(served: Served) -> dict[str, dict[str, str]]:
    """Return prompt -> what gave the answer -> the answer: the base `v1`, and each turn of the adapter."""
    short = {p: each["v1"] for p, each in served.answers.items() if len(each["v1"]) < 80}
    texts = list(short.values())
    return {
        prompt: {
            f"turn{turn}" if turn else "v1": texts[(place + turn) % len(texts)] for turn in range(3)
        }
        for place, prompt in enumerate(short)
    }


class Adapted:
    """The adapter's directory beside the registry, whose content turns change, and its entry in the registry."""

    def __init__(self, served: Served) -> None:
        self.served, self.lab = served, served.lab
        self.directory = served.lab.directory / "adapter"
        self._before = served.lab.registry.read_text("utf-8")

    def pin(self, turn: int) -> None:
        """Let the adapter's directory hold a turn, and pin it."""
        shutil.rmtree(self.directory, ignore_errors=True)
        shutil.copytree(self.lab.upstream / f"turn{turn}", self.directory)
        entry = "{source: {path: ./adapter}, revision: new, checks: [{prompt: Say hello.}]}"
        if NAME not in self.lab.registry.read_text("utf-8"):
            self.lab.registry.write_text(
                self._before.replace(LORA, f"{LORA}    adapters:\n      {NAME}: {entry}\n"), "utf-8"
            )
        self.lab.toolkit("registry", "pin", NAME)

    def remove(self) -> None:
        """Take the adapter out of the registry."""
        self.lab.registry.write_text(self._before, "utf-8")

    @contextmanager
    def load(self, known: Mapping[str, Mapping[str, str]]) -> Iterator[Load]:
        """Put short requests and streams on the adapter's name."""
        load = Load(self.lab.base_url, NAME, known, short_workers=2, stream_workers=1, pause=0.05)
        load.start()
        try:
            yield load
        finally:
            load.stop()
