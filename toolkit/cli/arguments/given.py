"""Refuse options that are given with nothing: an unset variable of a script must not mean this machine, or all keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import click
from click.core import ParameterSource


def refuse_empty(command: click.Command) -> click.Command:
    """Let the options of a command, and of its own commands, refuse an empty value; return the command.

    `--fleet "$FLEET"` without the variable would mean this machine. A variable of the environment that is empty counts
    as none.
    """
    for option in _options(command):
        if not isinstance(option.callback, _Refusing):
            option.callback = _Refusing(option.callback)
    return command


def _options(command: click.Command) -> Iterator[click.Option]:
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.is_flag:
            yield parameter
    if isinstance(command, click.Group):
        for each in command.commands.values():
            yield from _options(each)


class _Refusing:
    """A callback of an option that refuses an empty value before the option's own `callback`."""

    def __init__(self, callback: Callable[[click.Context, click.Parameter, Any], Any] | None):
        self._callback = callback

    def __call__(self, context: click.Context, parameter: click.Parameter, value: Any) -> Any:
        given = value if isinstance(value, tuple) else (value,)
        source = context.get_parameter_source(parameter.name or "")
        if "" in given and source is ParameterSource.COMMANDLINE:
            raise click.BadParameter("it is empty.", context, parameter)
        return self._callback(context, parameter, value) if self._callback else value
