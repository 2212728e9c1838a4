"""Write a recording of the demo into README.md: the lines of its output that tell the story.

    make demo | tee demo.log
    python demo/record.py demo.log

A line is kept word for word, folded at 80 columns; nothing is added to what the demo printed.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"
BEGIN, END = "<!-- recording: demo/record.py -->\n", "<!-- end of the recording -->\n"
COLUMNS = 80
MOST_LINES = 40
# The lines before the upgrade are those of an installation, which take the most space and say the least.
FROM = re.compile(r"\$ toolkit upgrade ")
KEPT = re.compile(
    r"\$ toolkit (upgrade|rollback|status)"
    r"|(start|gate|bake) took"
    r"|  (start|gate|bake) took|  (shape|health|answers|speed|bake): "
    r"|\S+ #\d+ \(\S+\) is live"
    r"|\[ *\d+ s\] What happened|  +sent +right|  (short requests|long streams|upgrade:|rollback:)"
    r"|MODEL +VERSION|demo-qwen +v\d"
)


def recording(output: Iterable[str]) -> str:
    """Return the kept lines of the demo's output, as they stand in the README.

    Raises ValueError where they are none, or too many for a first screen.
    """
    lines = [folded for line in _kept(output) for folded in _folded(line)]
    if not 0 < len(lines) <= MOST_LINES:
        raise ValueError(f"{len(lines)} lines are no recording")
    return f"{BEGIN}\n```text\n" + "".join(f"{line}\n" for line in lines) + f"```\n\n{END}"


def insert(readme: str, block: str) -> str:
    """Return the text of the README with `block` in place of the former recording."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError("README.md has no place for the recording")
    return before + block + after


def _kept(output: Iterable[str]) -> Iterator[str]:
    told = False
    for line in output:
        told = told or bool(FROM.match(line))
        if told and KEPT.match(line):
            yield line.rstrip()


def _folded(line: str) -> list[str]:
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    return textwrap.wrap(
        line, COLUMNS, subsequent_indent=indent, drop_whitespace=True, replace_whitespace=False
    )


if __name__ == "__main__":
    block = recording(Path(sys.argv[1]).read_text("utf-8").splitlines())
    README.write_text(insert(README.read_text("utf-8"), block), "utf-8")
