"""The schedule's file: what it may say, and the exact place and words of every fault."""

# One row of a table is one line, however long.
# ruff: noqa: E501

from __future__ import annotations

from datetime import date, time
from pathlib import Path

import pytest

from toolkit.config.schedule import load_schedule, parse_schedule
from toolkit.domain.deployment.schedule import Blackout, Rule, Schedule, Upkeep, WarmHours, Window
from toolkit.domain.replicas.warmth import WhenAsleep
from toolkit.errors import InputError
from toolkit.workflows.schedule.install import checked, read_schedule

PATH = Path("schedule.yaml")
WHOLE = """\
time_zone: Europe/Berlin
windows:
  night:
    days: [tue, Thursday]
    from: 02:00
    for: 3h
    jitter: 20min
  release-day: {dates: [2026-12-01], from: "23:30", for: 90min, time_zone: UTC}
blackouts: [2026-12-20..2027-01-06, 2026-11-27, 2027-03-01..]
models:
  tiny: {policy: auto, windows: [night], soak: 3d}
  other: {policy: pin-only}
models_a_window: 2
unreachable_hosts: 1
"""


WARM = """\
time_zone: Europe/Berlin
warm:
  tiny: {days: [mon, fri], from: 08:00, for: 10h, when_asleep: refuse}
  other: {dates: [2026-12-01], from: 08:00, for: 1h, time_zone: UTC}
"""


def test_warm_hours_are_read_and_need_no_window() -> None:
    found = parse_schedule(PATH, WARM, ["tiny", "other"]).schedule
    assert found.windows == {}
    assert found.warm == {
        "tiny": WarmHours(
            "tiny", Window("tiny", time(8), 36_000.0, "Europe/Berlin", (0, 4)), WhenAsleep.REFUSE
        ),
        "other": WarmHours(
            "other", Window("other", time(8), 3600.0, "UTC", (), (date(2026, 12, 1),))
        ),
    }


TURNS = """\
time_zone: UTC
warm:
  tiny: {idle_after: 1h, in_turn_with: [other]}
  third: {days: [mon], from: 08:00, for: 4h, in_turn_with: [tiny]}
"""


def test_models_that_share_a_device_take_turns_whichever_of_them_says_so() -> None:
    found = read(TURNS)
    assert found.warm["tiny"] == WarmHours("tiny", None, idle_after=3600.0, in_turn_with=("other",))
    assert found.alternates_of("other") == ("third", "tiny")
    assert found.alternates_of("tiny") == ("other", "third")
    assert found.alternates_of("unknown") == ()
    alone = parse_schedule(PATH, "warm: {tiny: {in_turn_with: [other]}}").schedule
    assert alone.warm["tiny"] == WarmHours("tiny", None, in_turn_with=("other",))


def read(text: str, now: float = 1_797_000_000.0) -> Schedule:
    return checked(parse_schedule(PATH, text, ["tiny", "other", "third"], {"sql": "tiny"}), now)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[other]", "[tiny]", "3:41: tiny takes turns with other models, not with itself"),
        ("[other]", "[othr]", "3:41: no model 'othr'"),
        ("[other]", "[other, other]", "3:48: 'other' is there twice"),
        ("[other]", "[sql]", "3:41: sql is an adapter of tiny, and sleeps and wakes with it"),
        ("[other]", "other", "3:40: in_turn_with: expected a list"),
        ("idle_after: 1h", "days: [mon, tue], from: 11:00, for: 1h",
         "4:46: third and tiny take turns, and by their hours both are up at Mon 2026-12-14 11:00 UTC"),
        ("days: [mon], from: 08:00, for: 4h", "days: [mon, tue, wed, thu, fri, sat, sun], from: 00:00, for: 24h",
         "4:77: third is up at all times by its hours, so it makes room for nobody"),
    ],
)  # fmt: skip
def test_turns_that_cannot_hold_are_refused_with_their_place(
    old: str, new: str, words: str
) -> None:
    assert read(TURNS)
    with pytest.raises(InputError) as error:
        read(TURNS.replace(old, new))
    assert words in error.value.message
    assert error.value.hint


def test_hours_one_after_the_other_are_no_contradiction() -> None:
    assert read(TURNS.replace("idle_after: 1h", "days: [mon], from: 12:00, for: 4h"))


def test_an_idle_model_needs_no_hours_and_no_zone() -> None:
    text = "warm:\n  tiny: {idle_after: 30min}\n  other: {days: [mon], from: 08:00, for: 1h, idle_after: 2h, time_zone: UTC}"
    found = parse_schedule(PATH, text, ["tiny", "other"]).schedule.warm
    assert found["tiny"] == WarmHours("tiny", None, WhenAsleep.WAIT, 1800.0)
    assert found["other"].window is not None
    assert found["other"].idle_after == 7200.0


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("refuse", "refuse, idle_after: 5min", "5min is not between 10min and 30d"),
        ("refuse", "refuse, idle_after: soon", "'soon' is no duration"),
        ("{days: [mon, fri], from: 08:00, for: 10h, when_asleep: refuse}", "{when_asleep: refuse}",
         "the window 'tiny' has no 'from'"),
        ("refuse", "reject", "3:64: no policy 'reject'"),
        ("refuse", "[refuse]", "3:64: no policy \"['refuse']\""),
        ("refuse", "refuse, in_turn_with: [[other]]", "no model \"['other']\""),
        ("  tiny:", "  tidy:", "3:3: no model 'tidy'"),
        ("from: 08:00, for: 10h", "from: 8am, for: 10h", "'8am' is no time of day"),
        ("for: 10h,", "for: 25h,", "25h is not between 15min and 1d"),
        ("when_asleep: refuse", "jitter: 5min", "no field 'jitter'"),
    ],
)  # fmt: skip
def test_a_fault_of_warm_hours_has_its_place(old: str, new: str, words: str) -> None:
    with pytest.raises(InputError) as raised:
        parse_schedule(PATH, WARM.replace(old, new, 1), ["tiny", "other"])
    assert words in raised.value.message


def test_an_adapter_may_have_a_rule_and_no_hours() -> None:
    adapters = {"sql": "tiny"}
    found = parse_schedule(PATH, WHOLE.replace("other:", "sql:"), ["tiny"], adapters).schedule
    assert found.rules["sql"] == Rule("sql", Upkeep.PIN_ONLY)
    with pytest.raises(InputError) as raised:
        parse_schedule(PATH, WARM.replace("other:", "sql:"), ["tiny"], adapters)
    assert "4:3: sql is an adapter of tiny, and sleeps and wakes with it" in raised.value.message
    assert raised.value.hint == "write the hours of tiny"


def test_a_whole_schedule_is_read() -> None:
    found = parse_schedule(PATH, WHOLE, ["tiny", "other"]).schedule
    assert found.windows == {
        "night": Window("night", time(2), 10_800.0, "Europe/Berlin", (1, 3), (), 1200.0),
        "release-day": Window("release-day", time(23, 30), 5400.0, "UTC", (), (date(2026, 12, 1),)),
    }
    assert found.rules == {
        "tiny": Rule("tiny", Upkeep.AUTO, ("night",), 259_200.0),
        "other": Rule("other", Upkeep.PIN_ONLY),
    }
    assert found.blackouts == (
        Blackout(date(2026, 12, 20), date(2027, 1, 6)),
        Blackout(date(2026, 11, 27), date(2026, 11, 27)),
        Blackout(date(2027, 3, 1), None),
    )
    assert (found.most, found.unreachable) == (2, 1)
    assert [rule.model for rule in found.rules_of("release-day")] == ["other"]


# what stands in the file -> what replaces it, the place of the fault, its message
FAULTS = [
    ("Europe/Berlin", "Europe/Berlim", "1:12", "no time zone 'Europe/Berlim'"),
    ("Europe/Berlin", "../../etc/passwd", "1:12", "no time zone '../../etc/passwd'"),
    ("time_zone: Europe/Berlin\n", "", "2:3", "the window 'night' has no time zone"),
    ("days: [tue, Thursday]", "days: [tue, thr]", "4:17", "no weekday 'thr'"),
    ("days: [tue, Thursday]", "days: []", "3:3", "the window 'night' never opens: it has no days"),
    ("days: [tue, Thursday]", "days: tue", "4:11", "days: expected a list"),
    ("    days: [tue, Thursday]\n", "", "3:3", "the window 'night' has neither of `days` and `dates`"),
    ("days: [tue, Thursday]", "days: [tue]\n    dates: [2026-12-01]", "3:3", "the window 'night' has both of `days` and `dates`"),
    ("from: 02:00", "from: 2 o'clock", "5:11", "\"2 o'clock\" is no time of day"),
    ("from: 02:00", "from: 24:00", "5:11", "'24:00' is no time of day"),
    ("    from: 02:00\n", "", "3:3", "the window 'night' has no 'from'"),
    ("for: 3h", "for: 0h", "6:10", "0h is not between 15min and 1d"),
    ("for: 3h", "for: 0", "6:10", "'0' is no duration"),
    ("for: 3h", "for: 25h", "6:10", "25h is not between 15min and 1d"),
    ("for: 3h", "for: soon", "6:10", "'soon' is no duration"),
    ("for: 3h", f"for: {'9' * 9000}", "6:10", f"'{'9' * 60}' is no duration"),
    ("2026-11-27,", f"{'2' * 9000},", "9:37", f"'{'2' * 60}' is no date"),
    ("jitter: 20min", "jitter: 2h", "7:13", "the jitter is more than half of the window"),
    ("dates: [2026-12-01]", "dates: [2026-13-01]", "8:25", "'2026-13-01' is no date"),
    ("dates: [2026-12-01]", "dates: [9999-12-31]", "8:25", "9999-12-31 comes on no clock"),
    ("dates: [2026-12-01]", "dates: [0001-01-01]", "8:25", "0001-01-01 comes on no clock"),
    ("2026-11-27,", "27.11.2026,", "9:37", "'27.11.2026' is no date"),
    ("2026-12-20..2027-01-06", "2026-12-20..2026-01-06", "9:13", "the blackout 2026-12-20..2026-01-06 ends before it begins"),
    ("policy: auto", "policy: automatic", "11:18", "no policy 'automatic'"),
    ("policy: auto", "policy: [auto]", "11:18", "no policy \"['auto']\""),
    ("windows: [night]", "windows: [[night]]", "11:34", "no window \"['night']\""),
    ("time_zone: Europe/Berlin", "time_zone: {a: b}", "1:12", "no time zone \"{'a': 'b'}\""),
    ("{policy: auto, ", "{", "11:3", "'tiny' has no policy"),
    ("windows: [night]", "windows: [nights]", "11:34", "no window 'nights'"),
    ("soak: 3d", "soak: 3 weeks", "11:48", "'3 weeks' is no duration"),
    ("  tiny:", "  tinny:", "11:3", "no model 'tinny'"),
    ("models_a_window: 2", "models_a_window: 0", "13:18", "models_a_window: expected a whole number from 1 to 1000, not 0"),
    ("unreachable_hosts: 1", "unreachable_hosts: -1", "14:20", "unreachable_hosts: expected a whole number from 0 to 1000, not -1"),
    ("models_a_window", "models_per_window", "13:1", "no field 'models_per_window'"),
    ("    jitter", "    jiter", "7:5", "no field 'jiter'"),
    ("  night:", "  Night:", "3:3", "'Night' is not a name"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "place", "message"), FAULTS, ids=range(len(FAULTS)))
def test_each_fault_has_its_place_and_words(old: str, new: str, place: str, message: str) -> None:
    assert WHOLE.count(old) == 1
    with pytest.raises(InputError) as caught:
        parse_schedule(PATH, WHOLE.replace(old, new), ["tiny", "other"])
    assert caught.value.message.startswith(f"schedule.yaml:{place}: {message}")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("old", "new", "hint"),
    [
        ("Europe/Berlin", "+01:00", "timedatectl list-timezones"),
        ("Europe/Berlin", "Europe/Berln", "did you mean Europe/Berlin"),
        ("  tiny:", "  xyz:", "toolkit registry list"),
        ("[night]", "[xyz]", "known: night, release-day"),
    ],
)
def test_a_name_that_is_not_known_leads_to_those_that_are(old: str, new: str, hint: str) -> None:
    models = ["tiny", "other", *(f"qwen-{number}" for number in range(20))]
    with pytest.raises(InputError) as caught:
        parse_schedule(PATH, WHOLE.replace(old, new), models)
    assert caught.value.hint.startswith(hint)


def test_a_schedule_without_windows_and_a_missing_file_say_so(tmp_path: Path) -> None:
    for text in ("time_zone: UTC\n", "time_zone: UTC\nwindows: {}\n"):
        with pytest.raises(InputError, match="the schedule has no window"):
            parse_schedule(PATH, text)
    for text in ("", "- a\n", "windows: [a]\n", "windows: {a: 1}\ntime_zone: UTC\n"):
        with pytest.raises(InputError):
            parse_schedule(PATH, text)
    with pytest.raises(InputError, match="does not exist"):
        load_schedule(tmp_path / "schedule.yaml")


NEVER = [
    ("blackouts: [2026-01-01..]", 1_764_547_200.0, "night"),
    ("blackouts: [2026-12-01]", 1_764_547_200.0, "release-day"),
]


@pytest.mark.parametrize(("blackouts", "now", "window"), NEVER)
def test_a_window_that_a_blackout_covers_wholly_is_refused_at_its_line(
    tmp_path: Path, blackouts: str, now: float, window: str
) -> None:
    path = tmp_path / "schedule.yaml"
    lines = WHOLE.splitlines()
    lines[8] = blackouts
    path.write_text("\n".join(lines))
    with pytest.raises(InputError) as caught:
        read_schedule(path, ["tiny", "other"], 1_798_000_000.0)
    number = 3 if window == "night" else 8
    assert caught.value.message == (
        f"{path}:{number}:3: the window {window!r} never opens: all its days are in a blackout"
    )


def test_dates_that_are_over_are_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "schedule.yaml"
    path.write_text(WHOLE.replace(", 2027-03-01..", ""))
    assert read_schedule(path, ["tiny", "other"], 1_900_000_000.0).windows.keys() == {
        "night", "release-day",
    }  # fmt: skip
