"""The times at which the windows of a schedule are open: a pure function of the schedule, the time zone and a moment.

Where the clocks go forward, a window that would open within the hour that does not exist opens at its end. Where they
go back, a window opens at the first of the two equal times, once. Its length is elapsed time, so it is as long as on
any other day. `datetime` tells the two cases apart by `fold`, see PEP 495.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from toolkit.domain.deployment.schedule import Blackout, Opening, Schedule, Window

# Days that a search for the next opening looks ahead: longer than any sensible freeze.
HORIZON = 800
# A window is open for a day at most, and its day may begin up to 14 h before that of UTC.
_BACK = timedelta(days=3)


def open_now(schedule: Schedule, now: float) -> tuple[Opening, ...]:
    """Return the openings that hold at `now` (seconds since the epoch), in the order in which they began."""
    found = [
        opening
        for window in schedule.windows.values()
        for opening in openings(window, schedule.blackouts, now - 86_400, days=3)
        if opening.holds(now)
    ]
    return tuple(sorted(found, key=lambda each: each.opens))


def next_opening(window: Window, blackouts: Sequence[Blackout], now: float) -> Opening | None:
    """Return the next opening that begins after `now`; None where there is none within `HORIZON` days."""
    return next((each for each in openings(window, blackouts, now) if each.opens > now), None)


def missed(
    schedule: Schedule, since: float, now: float, known: Sequence[tuple[str, float]]
) -> tuple[Opening, ...]:
    """Return the openings that ended between `since` and `now` without a run.

    `known` has window and beginning of those that had one, or were told as missed before.
    """
    days = int((now - since) / 86_400) + 3
    found = [
        opening
        for window in schedule.windows.values()
        if schedule.rules_of(window.name)
        for opening in openings(window, schedule.blackouts, since, days=days)
        if since <= opening.opens
        and opening.closes <= now
        and (window.name, opening.opens) not in known
    ]
    return tuple(sorted(found, key=lambda each: each.opens))


def due(schedule: Schedule, since: float, known: Sequence[tuple[str, float]]) -> dict[str, float]:
    """Return for each window with models when its first opening from `since` on ends that had no run.

    Where that time has passed, the opening was missed. `known` is that of `missed`.
    """
    found = {}
    for window in schedule.windows.values():
        if schedule.rules_of(window.name):
            for opening in openings(window, schedule.blackouts, since):
                if since <= opening.opens and (window.name, opening.opens) not in known:
                    found[window.name] = opening.closes
                    break
    return found


def openings(
    window: Window, blackouts: Sequence[Blackout], after: float, *, days: int = HORIZON
) -> Iterator[Opening]:
    """Yield the openings of a window that end after `after`, of `days` days, in their order."""
    zone = ZoneInfo(window.zone)
    first = datetime.fromtimestamp(after, zone).date() - _BACK
    for number in range(days + _BACK.days):
        day = first + timedelta(days=number)
        if not _is_day(window, day) or any(each.covers(day) for each in blackouts):
            continue
        opens = instant(day, window.at, zone)
        closes = min(opens + window.seconds, _next_blackout(blackouts, day, zone, opens))
        if closes > after and closes > opens:
            yield Opening(window.name, opens, closes)


def never_opens(window: Window, blackouts: Sequence[Blackout], now: float) -> bool:
    """Whether a window cannot open: all its dates are in a blackout, or all its days from `now` on.

    Dates that are over are no fault: the window did open.
    """
    if window.dates:
        return all(any(each.covers(day) for each in blackouts) for day in window.dates)
    return next_opening(window, blackouts, now) is None


def start_of(opening: Opening, window: Window, machine: str) -> float:
    """Return when `machine` begins its work in an opening: the same part of the jitter in every opening of a window.

    An opening that a blackout cuts short has a jitter of at most half of its length, as a schedule's windows have.
    """
    jitter = min(window.jitter, (opening.closes - opening.opens) / 2)
    drawn = hashlib.sha256(f"{machine}\0{window.name}".encode()).digest()
    return opening.opens + jitter * (int.from_bytes(drawn[:4]) / 2**32)


def instant(day: date, at: time, zone: ZoneInfo) -> float:
    """Return the moment at which a wall clock of `zone` shows `at` on `day`, in seconds since the epoch.

    The first one where it does so twice; the moment at which the clock jumps over it where it never does.
    """
    wall = datetime.combine(day, at, zone)
    moment = int(wall.timestamp())
    shown = datetime.fromtimestamp(moment, zone)
    if shown.replace(tzinfo=None, fold=0) == wall.replace(tzinfo=None):
        return float(moment)
    # PEP 495: in a gap, fold=0 gives a moment after the jump and fold=1 one before it.
    early, late = int(wall.replace(fold=1).timestamp()), moment
    offset = _offset(late, zone)
    while late - early > 1:
        middle = (early + late) // 2
        if _offset(middle, zone) == offset:
            late = middle
        else:
            early = middle
    return float(late)


def wall_text(moment: float, zone: str) -> str:
    """Return a moment as a wall clock of `zone` shows it: `Tue 2026-12-01 02:00 CET`."""
    return datetime.fromtimestamp(moment, ZoneInfo(zone)).strftime("%a %Y-%m-%d %H:%M %Z")


def utc_text(moment: float) -> str:
    """Return a moment in UTC as ISO 8601 has it: `2026-12-01T01:00:00Z`."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _is_day(window: Window, day: date) -> bool:
    return day in window.dates if window.dates else day.weekday() in window.weekdays


def _offset(moment: int, zone: ZoneInfo) -> timedelta | None:
    return datetime.fromtimestamp(moment, zone).utcoffset()


def _next_blackout(blackouts: Sequence[Blackout], day: date, zone: ZoneInfo, opens: float) -> float:
    """Return the first midnight after `day` at which a blackout begins and the window would be open; else infinity."""
    begins = [each.first for each in blackouts if day < each.first <= day + timedelta(days=2)]
    moments = [instant(each, time(0), zone) for each in begins]
    return min((each for each in moments if each > opens), default=float("inf"))
