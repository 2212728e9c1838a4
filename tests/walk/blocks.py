"""The code blocks of a document, in its order: what a newcomer types, writes into a file, or sees."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Kinds of blocks with commands; in the second one they begin with `$ `, and what they print follows.
COMMANDS = ("sh", "console")


@dataclass(frozen=True)
class Block:
    """A block of `kind` (`sh`, `yaml`, …) below `heading`; `line` is that of its first line, which is its name."""

    document: str
    heading: str
    line: int
    kind: str
    lines: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its first line, by which a walk names it."""
        return self.lines[0].strip()

    def is_called(self, key: str) -> bool:
        """Whether a key of a table means this block: its first line, or its heading, `: ` and its first line."""
        return key in (self.name, f"{self.heading}: {self.name}")

    @property
    def text(self) -> str:
        """All of it, as a file has it."""
        return "".join(f"{line}\n" for line in self.lines)

    @property
    def commands(self) -> tuple[str, ...]:
        """Its command lines, continued ones joined, without empty ones."""
        joined = "\n".join(self.lines).replace("\\\n", "")
        return tuple(line.strip() for line in joined.splitlines() if line.strip())

    def __str__(self) -> str:
        return f"{self.document}:{self.line} {self.name}"


def blocks_of(document: str) -> tuple[Block, ...]:
    """Return the blocks of a document, named by its path in the repository."""
    found, lines, heading, kind, first = [], [], "", "", 0
    inside = False
    for number, line in enumerate((ROOT / document).read_text("utf-8").splitlines(), start=1):
        if line.lstrip().startswith("```"):
            if inside and lines:
                found.append(Block(document, heading, first, kind, tuple(lines)))
            inside, kind, first = not inside, line.strip().removeprefix("```"), number + 1
            lines = []
        elif inside:
            lines.append(line)
        elif line.startswith("#"):
            heading = line.lstrip("# ")
    return tuple(found)
