"""Compare what a document shows of a command's output with what the command says.

Words are exact. Figures, durations, sizes, dates and ids differ from run to run, and so does the width of columns.
"""

from __future__ import annotations

import re

# What differs from run to run -> what it may be. The first that fits a piece of the shown text decides.
_NUMBER = r"\d+(?:[.,]\d+)*"
_DURATION = rf"(?:{_NUMBER} (?:h|min|d) )?{_NUMBER} (?:ms|s|min|h|d)\b"
VARIABLE = (
    (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:Z|[+-]\d\d:?\d\d)?", None),
    (r"\b(?=[0-9a-f]*\d)[0-9a-f]{7,64}\b", r"[0-9a-f]{7,64}"),
    (_DURATION, _DURATION),
    (rf"{_NUMBER} [kMGT]?i?B\b", rf"{_NUMBER} [kMGT]?i?B\b"),
    # A version, a release or a slot's name has a figure that is fixed: only those that stand alone differ.
    (rf"(?<![\w#@.:/-]){_NUMBER}(?![\w/:-])", _NUMBER),
)
_ANY = re.compile("|".join(f"({pattern})" for pattern, _ in VARIABLE))


def pattern_of(shown: str) -> str:
    """Return the regular expression of a shown text; a line `…` stands for any number of lines."""
    lines = shown.strip("\n").splitlines()
    return "^" + "".join(
        r"(?:.*\n)*?" if line.strip() == "…" else _line(line) + r"[ ]*\n" for line in lines
    )


def _line(line: str) -> str:
    made, at = "", 0
    for found in _ANY.finditer(line):
        made += _exactly(line[at : found.start()])
        source, allowed = VARIABLE[(found.lastindex or 1) - 1]
        made += allowed or source
        at = found.end()
    return made + _exactly(line[at:])


def _exactly(text: str) -> str:
    """Return the pattern of fixed words, between which there may be more blanks or fewer."""
    return re.sub(r"(?:\\ |\\-|─)*\\ (?:\\ )*", r"[ ]+", re.escape(text))


def like(shown: str, said: str) -> bool:
    """Whether a command said, somewhere in its output, what a document shows."""
    return re.search(pattern_of(shown), said + "\n", re.MULTILINE) is not None
