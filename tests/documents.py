"""The documents, and the code in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
# Written from the source itself; commands in it are usage lines.
HAND_WRITTEN = [path for path in DOCS if path.name != "commands.md"]


def fenced(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield (number, kind of block, line) of all lines in code blocks, continued lines joined."""
    inside, kind, held, first = False, "", "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("```"):
            inside, kind = not inside, line.strip().removeprefix("```")
            continue
        if inside:
            first = first if held else number
            held += line.removesuffix("\\")
            if not line.endswith("\\"):
                yield first, kind, held
                held = ""


def inline_code(path: Path) -> list[str]:
    """Return what stands between backticks in the sentences of a document."""
    text = re.sub(r"^\s*```.*?^\s*```", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", text)]


def table_rows(text: str, heading: str, columns: int, table: int = 0) -> list[tuple[str, ...]]:
    """Return the first `columns` cells of each row of a table under a heading, by default of the first table."""
    section = re.split(rf"^#+ {re.escape(heading)}$", text, flags=re.MULTILINE)[1]
    section = re.split(r"^#", section, flags=re.MULTILINE)[0]
    tables = re.findall(r"(?:^\|.*\n)+", section, flags=re.MULTILINE)
    rows = tables[table].splitlines() if len(tables) > table else []
    assert len(rows) > 2, f"no table under {heading}"
    return [tuple(cell.strip() for cell in row.strip("|").split("|"))[:columns] for row in rows[2:]]
