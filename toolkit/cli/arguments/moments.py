"""Times that a person types: a length of time before now, or a date."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from toolkit.errors import InputError

_UNITS = {"min": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}


def since(text: str, now: float) -> float:
    """Return the time of `--since` in seconds since the epoch: `7d` before `now`, or `2026-11-01`; 0 without a text.

    Raises InputError where it is neither.
    """
    if not text:
        return 0.0
    if found := re.fullmatch(r"([0-9]{1,6})(min|h|d|w)", text):
        return now - int(found[1]) * _UNITS[found[2]]
    return moment("--since", text, "--since 7d, or 2026-11-01")


def moment(option: str, text: str, hint: str) -> float:
    """Return a date of `option`, which is of UTC where it names no zone, in seconds since the epoch.

    Raises InputError, with `hint`, where it is none, or has no year from 1 to 9999 in UTC.
    """
    try:
        at = datetime.fromisoformat(text)
        return (at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise InputError(f"{option} {text!r} is no time", hint=hint) from None
