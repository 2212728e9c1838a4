"""Numbers of the command line: the digits of ASCII alone.

Python also reads the digits of other scripts, `1_000`, `nan` and `inf`. A number that looks like another one must not
decide about a fleet.
"""

from __future__ import annotations

import re
from typing import Any

import click

from toolkit.planning.change.batch_sizes import BatchSize, parse_sizes

_WHOLE = re.compile(r"-?[0-9]{1,12}")
_DECIMAL = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,9})?")


class Whole(click.IntRange):
    """A whole number, `Whole(1)` from 1 on."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and not _WHOLE.fullmatch(value):
            self.fail(f"{value!r} is no whole number.", param, ctx)
        return super().convert(value, param, ctx)


class Decimal(click.FloatRange):
    """A number, with or without a fraction, `Decimal(1)` from 1 on."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and not _DECIMAL.fullmatch(value):
            self.fail(f"{value!r} is no number.", param, ctx)
        return super().convert(value, param, ctx)


class BatchSizes(click.ParamType[tuple[BatchSize, ...]]):
    """The sizes of batches: `3`, `50%`, or `1,50%` for the first and each later one."""

    name = "sizes"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[BatchSize, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return parse_sizes(value)
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)
