"""Times and days that a person types: a length of time before now, a number of days up to today, or a date."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from toolkit.errors import InputError

_UNITS = {"min": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_BACK = re.compile(r"([1-9][0-9]{0,4})([dw])")
# Python reads other forms too, of which one looks like a number of days.
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


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


def first_and_last(since: str, until: str | None, today: date) -> tuple[date, date]:
    """Return the first and the last day that --since and --until name, by default today; raises InputError."""
    last = today if until is None else _day("--until", until, today)
    first = _day("--since", since, today)
    if last > today:
        raise InputError(f"--until {until} has not come yet", hint="leave it out, for today")
    if first > last:
        after = "today" if until is None else f"--until {last}"
        raise InputError(f"--since {first} is after {after}", hint="--since 7d")
    return first, last


def _day(option: str, text: str, today: date) -> date:
    """Return a day: `7d` is the first of the seven that end today."""
    if found := _BACK.fullmatch(text):
        return today - timedelta(days=int(found[1]) * (7 if found[2] == "w" else 1) - 1)
    try:
        if not _DATE.fullmatch(text):
            raise ValueError
        return date.fromisoformat(text)
    except ValueError:
        raise InputError(
            f"{option} {text!r} is no day", hint=f"{option} 7d, {option} 4w, or {option} {today}"
        ) from None
