"""The changes of a plan, line by line, and the question about a protection that it turns off."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Collection, Iterable, Sequence

import click

from toolkit.cli.arguments.options import Decorator
from toolkit.cli.terminal.columns import columns, padded
from toolkit.cli.terminal.table import folded_line, terminal_width
from toolkit.domain.deployment.change import Change
from toolkit.errors import RefusedError
from toolkit.planning.change.protections import PROTECTIONS

_WIDTH = 80
# A subject of this length leaves room for both values in a line of 80 columns.
_SUBJECT = 34


def turn_off_option() -> Decorator:
    """`--turn-off PROTECTION`, again for each further one: what `--yes` does not answer."""
    return click.option(
        "--turn-off",
        "turn_off",
        multiple=True,
        type=click.Choice(tuple(PROTECTIONS)),
        metavar="PROTECTION",
        help="Agree that the plan turns this protection off, by the name that the plan states; may be given again.",
    )


def change_lines(changes: Sequence[Change], width: int = _WIDTH) -> tuple[str, ...]:
    """Return the changes as lines of at most `width` columns; a long subject or value takes lines of its own."""
    most = width * _SUBJECT // _WIDTH
    column = max((wide for each in changes if (wide := columns(each.subject)) <= most), default=0)
    return tuple(
        line
        for each in changes
        for text in _lines(each, column, width)
        for line in folded_line(text, width)
    )


def _lines(change: Change, column: int, width: int) -> Iterable[str]:
    before, after = change.before or "absent", change.after or "absent"
    where = f"  [{', '.join(change.hosts)}]" if change.hosts else ""
    line = f"  {padded(change.subject, column)}  {before} -> {after}{where}"
    if columns(change.subject) <= column and columns(line) <= width:
        yield line
    else:
        yield f"  {change.subject}{where}"
        yield f"    - {before}"
        yield f"    + {after}"
    if change.turns_off:
        yield f"    this turns off {change.turns_off}: {PROTECTIONS[change.turns_off]}"


def agreed_to(
    changes: Sequence[Change], given: Collection[str], *, unattended: bool = False
) -> bool:
    """Return whether a person agrees to each protection that the changes turn off, by its name.

    `given` are the names of `--turn-off`; for others the person types the name. Without a terminal it raises
    RefusedError, whose hint is the command with the options; `unattended` asks nobody.
    """
    off = list(dict.fromkeys(each.turns_off for each in changes if each.turns_off))
    missing = [name for name in off if name not in given]
    if not missing:
        return True
    if unattended or not at_terminal():
        words = "; ".join(f"{name}: {PROTECTIONS[name]}" for name in missing)
        typed = " ".join(["toolkit", *map(shlex.quote, sys.argv[1:])])
        options = " ".join(f"--turn-off {name}" for name in missing)
        raise RefusedError(
            f"the plan turns protection off, and --yes does not agree to that: {words}",
            hint=f"{typed} {options}",
        )
    return all(_typed(name) for name in missing)


def at_terminal() -> bool:
    """Whether a person can be asked."""
    return sys.stdin is not None and sys.stdin.isatty()


def _typed(name: str) -> bool:
    prompt = f"this turns off {name}; type {name} to agree"
    answer: str = click.prompt(prompt, default="", show_default=False, err=True)
    return answer.strip() == name


def show_changes(changes: Sequence[Change], show: Callable[[str], None]) -> None:
    """Print what changes; nothing where nothing does."""
    if changes:
        show("changes:")
    for line in change_lines(changes, min(_WIDTH, terminal_width())):
        show(line)
