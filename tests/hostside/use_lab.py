"""A replica's writer of records, as `toolkit_recorder` writes them, and a reader of the ledger."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.hostside.router_lab import REPO

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import use_hand_out

AT = 1_795_000_000.0
START = {"ledger": "", "file": 0, "offset": 0}


class Replica:
    """The process of one run in the slot `program` of the host at `root`."""

    def __init__(self, root: Path, program: str = "tiny-blue", run: str = "a" * 16) -> None:
        self.run, self.number = run, 0
        self.folder = root / "caches" / program / "use"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.head = {
            "run": run,
            "program": program,
            "model": program.rpartition("-")[0],
            "version": "1.0",
            "release": 3,
            "engine": "vllm 0.32.0",
            "started": AT - 60,
        }
        self.begin(0)

    def begin(self, part: int) -> None:
        self.path = self.folder / (f"{self.run}.{part}.jsonl" if part else f"{self.run}.jsonl")
        self.write({**self.head, "part": part})

    def write(self, line: Any) -> None:
        text = line if isinstance(line, str) else json.dumps(line, separators=(",", ":")) + "\n"
        with self.path.open("a") as file:
            file.write(text)

    def line(self, **fields: Any) -> dict[str, Any]:
        self.number += 1
        return {
            "n": self.number,
            "at": AT + self.number,
            "key": "ann",
            "model": "tiny",
            "api": "/v1/chat/completions",
            "id": f"request-{self.number}",
            "in": 10,
            "cached": 4,
            "out": 3,
            "reasoning": 1,
            "asked": 10,
            "end": "whole",
            "seconds": 0.5,
            "first": 0.1,
            **fields,
        }

    def record(self, **fields: Any) -> None:
        self.write(self.line(**fields))

    def count(
        self, asked: int, out: int, *, open: int = 0, running: tuple[int, int] = (0, 0)
    ) -> None:
        self.write(
            {
                "counters": {"in": asked, "out": out},
                "running": {"in": running[0], "out": running[1]},
                "n": self.number,
                "open": open,
                "at": AT + self.number,
                "faults": 0,
            }
        )


def ledger(root: Path) -> list[dict[str, Any]]:
    """Return the lines of the ledger but the first of each file."""
    lines = [
        json.loads(line)
        for path in sorted((root / "use").glob("*.jsonl"))
        for line in path.read_text().splitlines()
    ]
    return [each for each in lines if "ledger" not in each]


def numbers(root: Path, run: str = "a" * 16) -> list[int]:
    """Return the numbers of a run's records in the ledger."""
    return [each["n"] for each in ledger(root) if each.get("run") == run and "api" in each]


def handed_out(
    root: Path, place: dict[str, Any] = START, most: int = 2**23
) -> list[dict[str, Any]]:
    """Return all parts that the host hands out from `place` on."""
    parts = []
    while True:
        part = use_hand_out.hand_out(str(root), place, most)
        parts.append(part)
        place = {"ledger": part["ledger"], **part["end"]}
        if not part["more"]:
            return parts
