"""Whether a model is to be up now, by its warm hours: a pure function of hours, clock and usual start."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time

from toolkit.domain.deployment.schedule import Opening, Window
from toolkit.planning.upkeep.windows import openings

# Seconds between two calls of a crontab, and of a timer within a window. With warm hours a timer calls twice as often.
EACH = 600.0
# A start may take longer than the last one.
MARGIN = 1.25
UP, ASLEEP = "up", "asleep"
# Seconds around now in which the openings of weekdays are looked for: back over a week and a day of any length. Hours
# without an end reach over the whole of the time before. Of single dates all are looked at: they may be far apart, and
# many in a row do end.
BACK, SPAN = 10 * 86_400, 20
ENDLESS = BACK - 86_400


@dataclass(frozen=True, slots=True)
class Warmth:
    """The state that a model is to have, `up` or `asleep`, and since when by its hours, in seconds since the epoch."""

    state: str
    since: float


def wanted(hours: Window, now: float, starts: float) -> Warmth:
    """Return the state that the model shall have at `now`, where a start takes `starts` seconds.

    It is to be up a start before its hours, so that it serves when they begin: of two calls of the timer, the last one
    that is in time. Hours that follow each other within that time are one; such without an end have begun at 0.
    Blackouts concern upgrades alone.
    """
    ahead = EACH + MARGIN * starts
    last = 0.0
    for opening in _merged(hours, now, ahead):
        if opening.opens - ahead <= now < opening.closes:
            endless = not hours.dates and opening.opens <= now - ENDLESS
            return Warmth(UP, 0.0 if endless else opening.opens)
        if opening.closes <= now:
            last = opening.closes
    return Warmth(ASLEEP, last)


def _merged(hours: Window, now: float, ahead: float) -> list[Opening]:
    """Return the hours around `now`, those as one between which there is no time to sleep."""
    after, days = now - BACK, SPAN
    # Dates at the ends of the calendar, which no clock shows, are none.
    if dates := [each for each in hours.dates if 1970 < each.year < 9999]:
        first, last = min(dates), max(dates)
        after = datetime.combine(first, time(), UTC).timestamp() - 86_400
        days = (last - first).days + 5
    found: list[Opening] = []
    for each in openings(hours, (), after, days=days):
        if found and each.opens - ahead <= found[-1].closes:
            each = Opening(each.window, found[-1].opens, max(each.closes, found[-1].closes))
            found.pop()
        found.append(each)
    return found
