"""Keep models up in their warm hours and asleep outside of them.

A run acts where hours begin and where they end, and once for each: in between, a person and clients have their way.
"""

from __future__ import annotations

from toolkit.domain.schedule import Schedule, WarmHours
from toolkit.errors import BusyError, HostError
from toolkit.planning.upkeep.warm_hours import UP, Warmth, wanted
from toolkit.workflows.schedule.desk import RunReport, Site

# These may go away by themselves; the next call of the timer tries again.
_TRIED_AGAIN = (BusyError.exit_code, HostError.exit_code)


def keep_warm(schedule: Schedule, site: Site, report: RunReport) -> None:
    """Wake the models whose hours come, and put those to sleep whose hours are over; says and records what was done."""
    known = site.record.read().warm
    for hours in schedule.warm.values():
        want = plan_of(hours, site)
        if known.get(hours.model) == (want.state, want.since):
            continue
        words, again = _act(hours, want, site)
        report.warm[hours.model] = words
        site.say(f"{hours.model}: {words}")
        if not again:
            site.record.keep_warm(hours.model, want.state, want.since)


def plan_of(hours: WarmHours, site: Site) -> Warmth:
    """Return what a model is to be now, by its hours and its last start."""
    return wanted(hours, site.now(), site.desk.start_seconds(hours.model))


def _act(hours: WarmHours, want: Warmth, site: Site) -> tuple[str, bool]:
    """Return what was done, in words, and whether to try it again."""
    if want.state == UP:
        ended, words = (
            site.desk.wake(hours.model, "schedule, its warm hours begin"),
            "up for its hours",
        )
    else:
        policy = str(hours.when_asleep)
        ended = site.desk.put_to_sleep(hours.model, policy, "schedule, its warm hours are over")
        words = "asleep until its hours"
    if ended.code == 0:
        return words, False
    return f"not {words}: {ended.message}", ended.code in _TRIED_AGAIN
