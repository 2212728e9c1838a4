"""Read `schedule.yaml` into `domain.deployment.schedule.Schedule`; a fault is an InputError with its place.

The schedule has a file of its own, beside the registry: the registry says what may run, is reviewed as such and may
serve several fleets, and `toolkit update` writes into it. The schedule says when one ops machine acts for one fleet.
"""

from __future__ import annotations

import difflib
import re
import zoneinfo
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, time
from functools import cache
from pathlib import Path
from typing import Any

from toolkit.config.schedule_examples import EXAMPLE, LISTED, example_of, in_words
from toolkit.config.text_file import read_text
from toolkit.config.yaml_text import Where, YamlText, parse_yaml
from toolkit.domain.deployment.schedule import (
    WEEKDAYS,
    Blackout,
    Rule,
    Schedule,
    Upkeep,
    WarmHours,
    Window,
)
from toolkit.domain.replicas.warmth import WhenAsleep
from toolkit.errors import InputError

MAX_BYTES = 2**18
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}\Z")
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])\Z")
_DURATION = re.compile(r"([0-9]{1,4}(?:\.[0-9]{1,2})?)\s*(min|h|d)\Z")
_UNITS = {"min": 60.0, "h": 3600.0, "d": 86_400.0}
_SHORTEST, _LONGEST = 900.0, 86_400.0
_LEAST_IDLE, _MOST_IDLE = 600.0, 30 * 86_400.0
# The years that systemd's calendar has, and clocks.
_YEARS = range(1970, 2200)
_MOST_SOAK = 366 * 86_400.0
_FIELDS = (
    *("time_zone", "windows", "blackouts", "models", "models_a_window", "unreachable_hosts"),
    "warm",
)
_WINDOW = ("days", "dates", "from", "for", "jitter", "time_zone")
_HOURS = ("days", "dates", "from", "for", "time_zone")
_WARM = (*_HOURS, "when_asleep", "idle_after", "in_turn_with")
_MODEL = ("policy", "windows", "soak")


@dataclass(frozen=True, slots=True)
class ScheduleFile:
    """A schedule together with its text, for faults that are found later."""

    document: YamlText
    schedule: Schedule

    def fault(self, window: str, message: str, hint: str) -> InputError:
        """Return the error about a window."""
        return self.document.fault(("windows", window), message, hint=hint, at_key=True)

    def fault_of_turns(self, model: str, message: str, hint: str) -> InputError:
        """Return the error about the turns that a model takes."""
        where = ("warm", model, "in_turn_with")
        return self.document.fault(where, message, hint=hint, at_key=True)


def load_schedule(
    path: Path, models: Iterable[str] | None = None, adapters: Mapping[str, str] | None = None
) -> ScheduleFile:
    """Return the schedule in the file `path`; with `models`, a rule for any other name is a fault.

    `adapters` have the model of each LoRA adapter by its name: they may have a rule, and no warm hours. Raises
    InputError with file, line and column: for what is no YAML, for unknown fields, zones, weekdays and windows, for
    durations of nothing, and for two rules that contradict each other.
    """
    text = read_text(path, limit=MAX_BYTES, hint=EXAMPLE)
    return parse_schedule(path, text, models, adapters)


def parse_schedule(
    path: Path,
    text: str,
    models: Iterable[str] | None = None,
    adapters: Mapping[str, str] | None = None,
) -> ScheduleFile:
    """Return the schedule in `text`, the content of `path`; see `load_schedule`."""
    document = parse_yaml(path, text)
    return ScheduleFile(document, _Reader(document).schedule(models, adapters or {}))


# The tz database is hundreds of files.
_zones = cache(zoneinfo.available_timezones)


class _Reader:
    """Reads one document. Every method takes the path of keys of the value that it reads."""

    def __init__(self, document: YamlText) -> None:
        self.document = document

    def schedule(self, models: Iterable[str] | None, adapters: Mapping[str, str]) -> Schedule:
        data = self._mapping((), _FIELDS)
        zone = self._zone(("time_zone",)) if "time_zone" in data else ""
        blackouts = tuple(
            self._blackout(("blackouts", number))
            for number in range(len(self._list(("blackouts",)) if "blackouts" in data else ()))
        )
        names = self._mapping(("windows",)) if "windows" in data else {}
        warm = self._mapping(("warm",)) if "warm" in data else {}
        if not names and not warm:
            raise self.document.fault(
                ("windows",),
                "the schedule has no window",
                hint="write one under `windows:`",
                at_key=True,
            )
        windows = {name: self._window(("windows", name), name, zone) for name in names}
        rules = {
            name: self._rule(("models", name), name, windows)
            for name in (self._mapping(("models",)) if "models" in data else {})
        }
        hours = {name: self._warm(("warm", name), name, zone) for name in warm}
        for name in rules:
            known = None if models is None else [*models, *adapters]
            self._known(("models", name), "model", name, known)
        for name in hours:
            if base := adapters.get(name):
                raise self._fault(
                    ("warm", name),
                    f"{name} is an adapter of {base}, and sleeps and wakes with it",
                    f"write the hours of {base}",
                )
            self._known(("warm", name), "model", name, models)
            self._turns(name, hours[name].in_turn_with, models, adapters)
        return Schedule(
            windows,
            rules,
            blackouts,
            self._whole(("models_a_window",), 1, least=1),
            self._whole(("unreachable_hosts",), 0, least=0),
            str(self.document.path),
            hours,
        )

    def _warm(self, where: Where, name: str, zone: str) -> WarmHours:
        data = self._mapping(where, _WARM)
        policy = data.get("when_asleep", str(WhenAsleep.WAIT))
        if policy not in list(WhenAsleep):
            raise self._unknown(
                (*where, "when_asleep"), "policy", policy, [str(each) for each in WhenAsleep]
            )
        idle = 0.0
        if "idle_after" in data:
            idle = self._duration((*where, "idle_after"), _LEAST_IDLE, _MOST_IDLE)
        turns = (*where, "in_turn_with")
        others = tuple(map(str, self._list(turns))) if "in_turn_with" in data else ()
        has_hours = not (idle or others) or any(field in data for field in _HOURS)
        window = self._hours(where, name, zone) if has_hours else None
        return WarmHours(name, window, WhenAsleep(policy), idle, others)

    def _turns(
        self,
        name: str,
        others: tuple[str, ...],
        models: Iterable[str] | None,
        adapters: Mapping[str, str],
    ) -> None:
        """Refuse models with which one cannot take turns, whatever their hours are."""
        where = ("warm", name, "in_turn_with")
        for number, other in enumerate(others):
            if other == name:
                raise self.document.fault(
                    (*where, number),
                    f"{name} takes turns with other models, not with itself",
                    hint="name the models that share its device",
                )
            if other in others[:number]:
                raise self.document.fault(
                    (*where, number), f"{other!r} is there twice", hint="name it once"
                )
            if base := adapters.get(other):
                raise self.document.fault(
                    (*where, number),
                    f"{other} is an adapter of {base}, and sleeps and wakes with it",
                    hint=f"name {base}",
                )
            self._known((*where, number), "model", other, models)

    def _window(self, where: Where, name: str, zone: str) -> Window:
        if not _NAME.match(name):
            raise self._fault(
                where,
                f"{name!r} is not a name",
                "up to 32 of a-z 0-9 . _ - with a letter or digit first",
            )
        self._mapping(where, _WINDOW)
        return self._hours(where, name, zone)

    def _hours(self, where: Where, name: str, zone: str) -> Window:
        data = self._mapping(where)
        for field in ("from", "for"):
            if field not in data:
                raise self._fault(where, f"the window {name!r} has no {field!r}", f"add `{field}:`")
        if ("days" in data) == ("dates" in data):
            raise self._fault(
                where,
                f"the window {name!r} has {'both' if 'days' in data else 'neither'} of `days` and `dates`",
                "write `days: [tue, thu]`, or `dates: [2026-12-01]`",
            )
        own = self._zone((*where, "time_zone")) if "time_zone" in data else zone
        if not own:
            raise self._fault(
                where,
                f"the window {name!r} has no time zone",
                "write `time_zone: Europe/Berlin` at the top",
            )
        seconds = self._duration((*where, "for"), _SHORTEST, _LONGEST)
        jitter = self._duration((*where, "jitter"), 0.0, _LONGEST) if "jitter" in data else 0.0
        if jitter > seconds / 2:
            raise self.document.fault(
                (*where, "jitter"),
                "the jitter is more than half of the window: work could begin too late to end in it",
                hint=f"write at most {seconds / 120:g}min",
            )
        days = [] if "dates" in data else self._list((*where, "days"))
        dates = self._list((*where, "dates")) if "dates" in data else []
        if not days and not dates:
            raise self._fault(where, f"the window {name!r} never opens: it has no days", "name one")
        return Window(
            name,
            self._time((*where, "from")),
            seconds,
            own,
            tuple(sorted({self._weekday((*where, "days", each)) for each in range(len(days))})),
            tuple(sorted({self._date((*where, "dates", each)) for each in range(len(dates))})),
            jitter,
        )

    def _rule(self, where: Where, name: str, windows: Mapping[str, Window]) -> Rule:
        data = self._mapping(where, _MODEL)
        if "policy" not in data:
            raise self._fault(
                where, f"{name!r} has no policy", "write `policy: manual`, `pin-only` or `auto`"
            )
        policy = data["policy"]
        self._known((*where, "policy"), "policy", policy, [str(each) for each in Upkeep])
        chosen: list[str] = []
        named = self._list((*where, "windows")) if "windows" in data else None
        if named == []:
            raise self.document.fault(
                (*where, "windows"),
                f"{name!r} has no window, and so no upgrade",
                hint="name one, remove the line for all windows, or write `policy: manual`",
            )
        for number, window in enumerate(named or ()):
            self._known((*where, "windows", number), "window", window, windows)
            chosen.append(window)
        soak = self._duration((*where, "soak"), 0.0, _MOST_SOAK) if "soak" in data else 0.0
        return Rule(name, Upkeep(policy), tuple(dict.fromkeys(chosen)), soak)

    def _blackout(self, where: Where) -> Blackout:
        """Return a day `2026-12-24`, a range `2026-12-24..2027-01-02`, or one without an end, `2026-12-24..`."""
        text = self._value(where)
        first, dots, last = str(text).partition("..")
        begin = self._day(where, first)
        end = begin if not dots else (self._day(where, last) if last else None)
        if end is not None and end < begin:
            raise self.document.fault(
                where,
                f"the blackout {str(text)[:60]} ends before it begins",
                hint=f"write it like {end}..{begin}",
            )
        return Blackout(begin, end)

    def _zone(self, where: Where) -> str:
        name = self._value(where)
        known = _zones()
        if not known:
            raise self.document.fault(
                where, "this machine has no time zones", hint="install the package tzdata"
            )
        self._known(where, "time zone", name, sorted(known))
        return str(name)

    def _weekday(self, where: Where) -> int:
        name = self._value(where)
        short = str(name)[:3].lower()
        full = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
        if str(name).lower() not in (*WEEKDAYS, *full):
            raise self._unknown(where, "weekday", name, WEEKDAYS)
        return WEEKDAYS.index(short)

    def _date(self, where: Where) -> date:
        found = self._day(where, str(self._value(where)))
        if found.year not in _YEARS:
            raise self.document.fault(
                where,
                f"{found} comes on no clock, so the window never opens then",
                hint=f"write a date from {_YEARS[0]} to {_YEARS[-1]}",
            )
        return found

    def _day(self, where: Where, text: str) -> date:
        try:
            if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
                raise ValueError
            return date.fromisoformat(text)
        except ValueError:
            raise self.document.fault(
                where, f"{text[:60]!r} is no date", hint="write it like 2026-12-24"
            ) from None

    def _time(self, where: Where) -> time:
        text = self._value(where)
        found = _TIME.match(str(text))
        if found is None:
            raise self.document.fault(
                where,
                f"{str(text)[:60]!r} is no time of day",
                hint="write it like 02:00, on a clock of 24 hours",
            )
        return time(int(found[1]), int(found[2]))

    def _duration(self, where: Where, least: float, most: float) -> float:
        text = self._value(where)
        found = _DURATION.match(str(text))
        if found is None:
            raise self.document.fault(
                where, f"{str(text)[:60]!r} is no duration", hint="write it like 90min, 3h or 2d"
            )
        seconds = float(found[1]) * _UNITS[found[2]]
        if not least <= seconds <= most:
            raise self.document.fault(
                where,
                f"{str(text)[:60]} is not between {in_words(least)} and {in_words(most)}",
                hint="write it like 90min, 3h or 2d",
            )
        return seconds

    def _whole(self, where: Where, default: int, *, least: int) -> int:
        if str(where[0]) not in self.document.data:
            return default
        value = self._value(where)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= 1000:
            raise self.document.fault(
                where,
                f"{where[0]}: expected a whole number from {least} to 1000, not {value!r}",
                hint=f"write a number, or remove the line for the default {default}",
            )
        return value

    def _mapping(self, where: Where, fields: tuple[str, ...] = ()) -> Mapping[str, Any]:
        """Return a mapping; with `fields`, any other key of it is a fault."""
        value = self._value(where)
        if not isinstance(value, dict):
            raise self._other_shape(where, "a mapping (`key: value` lines)")
        for name in value:
            if fields:
                self._known((*where, name), "field", name, fields)
        return value

    def _list(self, where: Where) -> list[Any]:
        value = self._value(where)
        if not isinstance(value, list):
            raise self._other_shape(where, "a list")
        return value

    def _other_shape(self, where: Where, expected: str) -> InputError:
        what = f"{where[-1]}: " if where else ""
        return self.document.fault(where, f"{what}expected {expected}", hint=example_of(where))

    def _value(self, where: Where) -> Any:
        value = self.document.data
        for key in where:
            value = value[key]
        return value

    def _known(self, where: Where, noun: str, name: Any, known: Iterable[str] | None) -> None:
        if known is not None and name not in (words := list(known)):
            raise self._unknown(where, noun, name, words)

    def _unknown(self, where: Where, noun: str, name: Any, names: Iterable[str]) -> InputError:
        words = list(names)
        near = difflib.get_close_matches(str(name), words, n=3, cutoff=0.5)
        known = f"known: {', '.join(words) or 'none'}"
        rest = LISTED.get(noun, known) if len(words) > 12 else known
        hint = f"did you mean {' or '.join(near)}?" if near else rest
        return self.document.fault(
            where, f"no {noun} {str(name)[:60]!r}", hint=hint, at_key=noun in ("field", "model")
        )

    def _fault(self, where: Where, message: str, hint: str) -> InputError:
        return self.document.fault(where, message, hint=hint, at_key=True)
