"""Refuse empty values: an unset variable of a script must not mean this machine, or all keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import click
from click.core import ParameterSource


def refuse_empty(command: click.Command) -> click.Command:
    """Let the options and arguments of a command, and of its own commands, refuse an empty value; return the command.

    `--fleet "$FLEET"` without the variable would mean this machine, and `registry pin MODEL "$TAG"` the tracked branch.
    A variable of the environment that is empty counts as none.
    """
    for each in _with_values(command):
        if not isinstance(each.callback, _Refusing):
            each.callback = _Refusing(each.callback)
    return command


def _with_values(command: click.Command) -> Iterator[click.Parameter]:
    for parameter in command.params:
        if not (isinstance(parameter, click.Option) and parameter.is_flag):
            yield parameter
    if isinstance(command, click.Group):
        for each in command.commands.values():
            yield from _with_values(each)


class _Refusing:
    """A callback of a parameter that refuses an empty value before the parameter's own `callback`."""

    def __init__(self, callback: Callable[[click.Context, click.Parameter, Any], Any] | None):
        self._callback = callback

    def __call__(self, context: click.Context, parameter: click.Parameter, value: Any) -> Any:
        given = value if isinstance(value, tuple) else (value,)
        source = context.get_parameter_source(parameter.name or "")
        if "" in given and source is ParameterSource.COMMANDLINE:
            raise click.BadParameter("it is empty.", context, parameter)
        return self._callback(context, parameter, value) if self._callback else value
