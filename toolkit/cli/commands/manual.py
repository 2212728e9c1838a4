"""`toolkit man`: the manual page, made from the help of all commands (roff with the macros of man(7))."""

from __future__ import annotations

from collections.abc import Iterator

import click

from toolkit import __version__
from toolkit.cli.terminal.output import say_whole


@click.command()
def man() -> None:
    """Print the manual page: toolkit man | man -l -."""
    from toolkit.cli.main import cli

    say_whole("\n".join(page(cli)))


def page(root: click.Group) -> Iterator[str]:
    """Yield the lines of the manual page of a command line."""
    yield f'.TH TOOLKIT 1 "" "toolkit {__version__}"'
    yield ".SH NAME"
    yield f"toolkit \\- {_text(root.help or '')}"
    yield ".SH SYNOPSIS"
    yield ".B toolkit"
    yield "COMMAND [OPTION]... [ARGUMENT]..."
    yield ".SH COMMANDS"
    yield from _commands(root, click.Context(root, info_name="toolkit", **root.context_settings))
    yield ".SH EXIT STATUS"
    yield "0 where all went well; docs/operations.md has the meaning of each other code."


def _commands(group: click.Group, context: click.Context) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        below = click.Context(command, info_name=name, parent=context)
        if isinstance(command, click.Group):
            yield from _commands(command, below)
            if not command.invoke_without_command:
                continue
        yield f".SS {_text(below.command_path)}"
        yield _text(" ".join([below.command_path, *command.collect_usage_pieces(below)]))
        for part in (command.help or "").split("\n\n"):
            yield ".PP"
            yield _text(part)
        for each in command.get_params(below):
            record = each.get_help_record(below)
            if record and record[1]:
                yield ".TP"
                yield f"\\fB{_text(record[0])}\\fR"
                yield _text(record[1])


def _text(words: str) -> str:
    """Return words of a help as one line that roff takes for text."""
    line = " ".join(words.replace("\b", "").split())
    line = line.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{line}" if line.startswith((".", "'")) else line
