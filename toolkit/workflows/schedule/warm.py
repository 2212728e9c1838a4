"""Keep models up in their warm hours and asleep outside of them.

A run acts where hours begin and where they end, and once for each: in between, a person and clients have their way.
A model with `idle_after` falls asleep again once nobody has asked it for so long.
"""

from __future__ import annotations

from toolkit.domain.deployment.schedule import Schedule, WarmHours
from toolkit.domain.quantity import format_seconds
from toolkit.errors import BusyError, HostError
from toolkit.planning.upkeep.idle_after import Idle, look
from toolkit.planning.upkeep.warm_hours import UP, Warmth, wanted
from toolkit.workflows.schedule.desk import RunReport, Site

# Errors that may go away by themselves: the next call of the timer tries again.
_TRIED_AGAIN = (BusyError.exit_code, HostError.exit_code)


def keep_warm(schedule: Schedule, site: Site, report: RunReport) -> None:
    """Wake models at the beginning of their hours and put them to sleep at the end; report and record both."""
    known = site.record.read().warm
    for hours in schedule.warm.values():
        want = plan_of(hours, site)
        if want is None or known.get(hours.model) == (want.state, want.since):
            continue
        words, again = _act(hours, want, site)
        report.warm[hours.model] = words
        site.say(f"{hours.model}: {words}")
        if not again:
            site.record.keep_warm(hours.model, want.state, want.since)

    _rest_idle(schedule, site, report)


def plan_of(hours: WarmHours, site: Site) -> Warmth | None:
    """Return the state that a model shall have now, by its hours and its last start; None where it has no hours."""
    if hours.window is None:
        return None
    return wanted(hours.window, site.now(), site.desk.start_seconds(hours.model))


def _rest_idle(schedule: Schedule, site: Site, report: RunReport) -> None:
    """Put models to sleep that had no request for their idle time, but not in their hours."""
    watched = [each for each in schedule.warm.values() if each.idle_after]
    if not watched:
        site.record.keep_idle({})
        return
    try:
        counts = site.desk.counted()
    except HostError as error:
        # The router of a silent host may have had requests, so no model falls asleep.
        site.say(f"whether models are idle is not known: {error.message}")
        return
    known = site.record.read().idle
    kept: dict[str, tuple[str, float]] = {}
    for hours in watched:
        if hours.model not in counts:
            continue
        before = Idle(*known[hours.model]) if hours.model in known else None
        idle, over = look(before, counts[hours.model], site.now(), hours.idle_after)
        kept[hours.model] = (idle.requests, idle.since)
        want = plan_of(hours, site)
        acted = hours.model in report.warm
        if over and not acted and (want is None or want.state != UP):
            words = _rest(hours, site)
            report.warm[hours.model] = words
            site.say(f"{hours.model}: {words}")
    site.record.keep_idle(kept)


def _rest(hours: WarmHours, site: Site) -> str:
    after = format_seconds(hours.idle_after)
    reason = f"schedule, no request for {after}"
    ended = site.desk.put_to_sleep(hours.model, str(hours.when_asleep), reason)
    words = f"asleep, after {after} without a request"
    return words if ended.code == 0 else f"not {words}: {ended.message}"


def _act(hours: WarmHours, want: Warmth, site: Site) -> tuple[str, bool]:
    """Return the act in words, and whether to try it again."""
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
