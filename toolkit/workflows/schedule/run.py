"""One run of the schedule: in each open window, pin and upgrade what its rules ask for, or say why not.

The run does nothing where it meets anything that its rules do not foresee. The upgrade itself is the command that a
person types, so it has the same gates, guard and undoing.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from toolkit.adapters.schedule_record import WindowRun
from toolkit.domain.deployment.schedule import Opening, Schedule
from toolkit.errors import InterruptionError, RefusedError, ToolkitError
from toolkit.planning.upkeep.unattended import Decision
from toolkit.planning.upkeep.warm_hours import EACH
from toolkit.planning.upkeep.windows import missed, next_opening, open_now, start_of, wall_text
from toolkit.workflows.schedule.desk import RunReport, Site
from toolkit.workflows.schedule.warm import keep_warm
from toolkit.workflows.schedule.working import Working, decided, reason_of


def run_schedule(schedule: Schedule, site: Site, *, by_timer: bool = False) -> RunReport:
    """Work in every window that is open and has had no run, one after the other; return what was done.

    First the models with warm hours are brought to what these say.

    With `by_timer` the run does nothing where no window is open or where it is too early for its part of the jitter.
    Raises BusyError where another run works, and, without `by_timer`, RefusedError where no window is open.
    """
    report = RunReport()
    with site.record.locked():
        report.missed = _tell_missed(schedule, site)
        keep_warm(schedule, site, report)
        while report.failure is None:
            opening = _next_to_work_in(schedule, site)
            if opening is None or (by_timer and not _is_time(schedule, opening, site)):
                break
            _work(schedule, opening, site, report)
    if not report.openings and not by_timer and not schedule.warm:
        _require_open(schedule, site)
    return report


def preview(schedule: Schedule, window: str, site: Site) -> Mapping[str, Decision]:
    """Return the present decisions of a run for the models of a window; changes nothing."""
    rules = schedule.rules_of(window)
    found = site.desk.currencies([rule.model for rule in rules])
    return {rule.model: decided(rule, found[rule.model], site) for rule in rules}


def _work(schedule: Schedule, opening: Opening, site: Site, report: RunReport) -> None:
    """Work in one opening, and record the run whatever happens."""
    lines: list[str] = []

    def tell(words: str) -> None:
        lines.append(words)
        site.say(words)

    run = WindowRun(opening.window, opening.opens, site.now())
    site.record.begin(run)
    report.openings.append(opening)
    code = InterruptionError.exit_code
    try:
        report.failure = Working(schedule, opening, site, tell, report).act()
        code = report.failure.exit_code if report.failure else 0
    except ToolkitError as error:
        tell(error.message)
        code, report.failure = error.exit_code, error
        # People learn of it, however early it came.
        with suppress(ToolkitError):
            site.desk.begin(reason_of(opening))
    finally:
        ended = WindowRun(run.window, run.opens, run.begun_at, site.now(), code, tuple(lines))
        site.record.end(ended)


def _tell_missed(schedule: Schedule, site: Site) -> tuple[Opening, ...]:
    """Say and record which openings went by without a run. They are not made up for."""
    known, now = site.record.read(), site.now()
    if not known.since or known.since > now:
        site.record.since(now)
        return ()
    found = missed(schedule, known.since, now, known.known)
    missing = [
        f"the window {each.window} of {wall_text(each.opens, schedule.windows[each.window].zone)}"
        for each in found
    ]
    for words in missing:
        site.say(f"missed: {words}; not made up for")
    if missing:
        # Without a record, the words of the run and `schedule list` still tell of it.
        with suppress(ToolkitError):
            site.desk.begin(f"schedule, missed: {', '.join(missing)}")
    following = min([each.opens for each in open_now(schedule, now)], default=now)
    site.record.tell_missed(tuple((each.window, each.opens) for each in found), following)
    return found


def _next_to_work_in(schedule: Schedule, site: Site) -> Opening | None:
    """Return the open window without a run in which this machine is to begin first."""
    known = site.record.read()
    unworked = [
        each
        for each in open_now(schedule, site.now())
        if known.run_in(each.window, each.opens) is None and schedule.rules_of(each.window)
    ]
    return min(unworked, key=lambda each: _begin(schedule, each, site), default=None)


def _begin(schedule: Schedule, opening: Opening, site: Site) -> float:
    return start_of(opening, schedule.windows[opening.window], site.machine)


def _is_time(schedule: Schedule, opening: Opening, site: Site) -> bool:
    """Wait for this machine's part of the jitter, where no later call comes in time; whether the window is open then.

    A run that waits keeps other runs out, a person's as well, and looks after no warm hours.
    """
    begin = _begin(schedule, opening, site)
    if begin - site.now() >= EACH:
        return False
    while (left := begin - site.now()) > 0:
        site.sleep(left)
    return opening.holds(site.now())


def _require_open(schedule: Schedule, site: Site) -> None:
    """Say why nothing was done in the windows that are open; raises RefusedError where none is."""
    holding = open_now(schedule, site.now())
    for opening in holding:
        site.say(_had(schedule, opening, site))
    if holding:
        return
    following = [
        each
        for window in schedule.windows.values()
        if (each := next_opening(window, schedule.blackouts, site.now()))
    ]
    first = min(following, key=lambda each: each.opens, default=None)
    when = (
        f"{first.window} opens {wall_text(first.opens, schedule.windows[first.window].zone)}"
        if first
        else "none opens again"
    )
    raise RefusedError(
        f"no window is open: {when}; nothing was changed",
        hint="toolkit schedule run --dry-run; a person upgrades with: toolkit upgrade MODEL --to VERSION",
    )


def _had(schedule: Schedule, opening: Opening, site: Site) -> str:
    zone = schedule.windows[opening.window].zone
    run = site.record.read().run_in(opening.window, opening.opens)
    if run is None:
        return f"the window {opening.window} has no model to act for"
    at = wall_text(run.begun_at, zone)
    if run.ended_at is None:
        return f"the run of {at} in the window {opening.window} was cut short; it is not begun again in this window"
    return f"the window {opening.window} had its run at {at}"
