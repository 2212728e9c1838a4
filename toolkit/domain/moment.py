"""Moments as people read them: always in UTC, with the zone, so that lines of several machines can be compared."""

from __future__ import annotations

from datetime import UTC, datetime


def moment_text(at: float) -> str:
    """Return a moment, in seconds since the epoch, as `2026-12-01 01:00:00 UTC`.

    A host's clock can claim any number: `?` stands for one beyond the years 1 to 9999.
    """
    try:
        found = datetime.fromtimestamp(at, UTC)
    except (ValueError, OverflowError, OSError):
        return "?"
    # Not by `strftime`, which gives years before 1000 fewer digits.
    return f"{found.replace(tzinfo=None).isoformat(' ', 'seconds')} UTC"
