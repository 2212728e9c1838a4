"""The commands that a person may have meant by one that is not there."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from toolkit.cli.completion.names import known_commands, takes_option, takes_word


def meant_by(words: Sequence[str]) -> list[str]:
    """Return the commands that the `words` after the program's name may mean, or nothing.

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


def place_of_option(option: str, words: Sequence[str]) -> str:
    """Return the right place of an option that stands before its command; empty where no command has it."""
    having = [each for each in known_commands() if each and takes_option(each, option)]
    if not having:
        return ""
    command = next((each for each in words if each in known_commands()), "")
    value = " ..." if takes_word(command or having[0], option) else ""
    return f"It stands after the command: toolkit {command or 'COMMAND'} {option}{value}"
