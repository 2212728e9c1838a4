"""`--wait`: how long a command waits for another one that holds a host of the fleet."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import click

from toolkit.adapters.patience import Patience

_SPAN = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)(s|min|h)")
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}
_MOST = 24 * 3600.0
_KEPT = f"{__name__}.seconds"


class Seconds(click.ParamType[float]):
    """A length of time with its unit, `90s`, `10min` or `2h`, of at most a day; its value is in seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        found = _SPAN.fullmatch(str(value))
        if found is None:
            self.fail(f"{value!r} is no time; write it like 90s, 10min or 2h", param, ctx)
        seconds = float(found[1]) * _SECONDS[found[2]]
        if not 0 < seconds <= _MOST:
            self.fail(f"{value!r} is not more than 0 and at most 24h", param, ctx)
        return seconds


def wait_option() -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--wait TIME`: wait for another command that holds a host; `patience_now` has the value."""
    return click.option(
        "--wait",
        type=Seconds(),
        metavar="TIME",
        expose_value=False,
        callback=_keep,
        help="Wait so long, such as 10min, for another command that changes these hosts.  [default: end at once]",
    )


def _keep(context: click.Context, _: click.Parameter, value: float | None) -> None:
    context.meta[_KEPT] = value or 0.0


def patience_now(
    say: Callable[[str], None], sleep: Callable[[float], None] = time.sleep
) -> Patience:
    """Return the patience of the command that runs now; `say` takes its lines of progress."""
    # Here and not above: a command that waits for nothing needs it only as a default.

    context = click.get_current_context(silent=True)
    return Patience(context.meta.get(_KEPT, 0.0) if context else 0.0, sleep, say)
