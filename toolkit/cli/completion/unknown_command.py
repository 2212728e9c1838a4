"""The commands that a person may have meant by one that is not there."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from toolkit.cli.completion.names import known_commands


def meant_by(words: Sequence[str]) -> list[str]:
    """Return what the `words` after the program's name may mean; nothing where nobody knows.

    `help`, `version`, and the command of a group without its group are habits from other programs; the rest are slips
    of the keyboard.
    """
    typed, *rest = words
    if typed == "help":
        return [" ".join([*(each for each in rest if not each.startswith("-")), "--help"])]
    if typed == "version":
        return ["--version"]
    known = [each for each in known_commands() if each]
    below = [each for each in known if each.partition(" ")[2] == typed]
    whole = [each for each in known if " " not in each]
    return below or get_close_matches(typed, whole, cutoff=0.5)
