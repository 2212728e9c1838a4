"""What `toolkit plan`, `status` and `idle` show of when models fall asleep."""

from __future__ import annotations

import pytest

from tests.cli.shell import Prompt
from tests.cli.test_json import Fleet
from tests.workflows.cost_week import WEEKS, Week

SCHEDULE = """\
time_zone: UTC
warm:
  tiny: {days: [mon, tue], from: 08:00, for: 10h, idle_after: 30min}
"""
WORDS = (
    "tiny sleeps outside of its hours (mon,tue 08:00 UTC for 10 h), and there after 30 min without a request;"
    " asleep, a request waits and wakes it"
)


@pytest.fixture
def fleet(prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    found = Fleet(prompt, monkeypatch, 1)
    assert found.prompt("deploy", "tiny@v1", "--yes").code == 0
    return found


@pytest.mark.parametrize("command", ["status", "plan tiny@v1"])
def test_the_hours_of_a_model_and_its_time_without_a_request_are_shown(
    fleet: Fleet, command: str
) -> None:
    assert "sleeps" not in fleet.prompt(*command.split()).out
    (fleet.prompt.place / "schedule.yaml").write_text(SCHEDULE)
    assert WORDS in fleet.prompt(*command.split()).out.splitlines()


def test_documents_have_the_same(fleet: Fleet) -> None:
    none = {
        "idle_after": 0.0, "hours": "", "when_asleep": "", "in_turn_with": [],
    }  # fmt: skip
    assert fleet("plan tiny@v1").json()["sleep"] == none
    assert fleet("status").json()["sleep"] == {"tiny": none}
    (fleet.prompt.place / "schedule.yaml").write_text(SCHEDULE)
    some = {
        "idle_after": 1800.0,
        "hours": "mon,tue 08:00 UTC for 10 h",
        "when_asleep": "wait",
        "in_turn_with": [],
    }
    assert fleet("plan tiny@v1").json()["sleep"] == some
    assert fleet("status tiny").json()["sleep"] == {"tiny": some}


def test_a_schedule_that_cannot_be_read_is_said_and_keeps_nothing_from_view(fleet: Fleet) -> None:
    (fleet.prompt.place / "schedule.yaml").write_text("warm: {tiny: {idle_after: soon}}\n")
    for command in ("status", "plan tiny@v1"):
        said = fleet.prompt(*command.split())
        assert said.code == 0
        assert (
            "when models sleep is not known: schedule.yaml:1:27: 'soon' is no duration" in said.err
        )
        assert "'soon' is no duration" in fleet(command).json()["schedule_fault"]
    missing = fleet.prompt("status", "--schedule", "absent.yaml")
    assert "absent.yaml" in missing.err


TURNS = "warm: {tiny: {idle_after: 1h, in_turn_with: [other]}}\n"


def test_turns_of_the_schedule_are_shown_and_hold_for_sleep(fleet: Fleet) -> None:
    (fleet.prompt.place / "schedule.yaml").write_text(TURNS)
    words = "tiny takes turns with other: one of them is awake, and makes room"
    for command in ("status", "plan tiny@v1"):
        assert words in fleet.prompt(*command.split()).out.splitlines()
    refused = fleet.prompt("sleep", "tiny", "--not-in-turn-with", "other", "--yes")
    assert refused.code == 2
    assert "schedule.yaml says that tiny takes turns with other" in refused.err
    assert fleet("sleep tiny --yes").json()["plan"]["in_turn_with"] == ["other"]
    assert fleet("status").json()["sleep"]["tiny"]["in_turn_with"] == ["other"]


def test_a_schedule_with_turns_is_listed_with_them(fleet: Fleet) -> None:
    (fleet.prompt.place / "schedule.yaml").write_text(
        TURNS.replace("other", "tiny2").replace("warm: {", "warm: {tiny2: {idle_after: 1h}, ")
    )
    registry = fleet.prompt.place / "model_registry.yaml"
    text = registry.read_text()
    _, _, model = text.partition("  tiny:\n")
    registry.write_text(f"{text}  tiny2:\n{model}")
    assert "tiny2 takes turns with tiny" in fleet.prompt("schedule", "list").out.splitlines()
    warm = fleet("schedule list").json()["warm"]
    assert (warm["tiny"]["in_turn_with"], warm["tiny2"]["in_turn_with"]) == (["tiny2"], ["tiny"])


@pytest.fixture
def week(prompt: Prompt) -> Prompt:
    Week("mixed", prompt.place / "home").history.close()
    (prompt.place / "costs.yaml").write_text((WEEKS / "mixed" / "costs.yaml").read_text())
    return prompt


def test_idle_models_are_shown_with_the_time_after_which_they_sleep(week: Prompt) -> None:
    assert "SLEEPS" not in week("idle").out
    assert {each["idle_after"] for each in week("idle", "--json").json()["held"]} == {0.0}
    (week.place / "schedule.yaml").write_text("warm: {small: {idle_after: 30min}}\n")
    heading, *rows = (
        line for line in week("idle").out.splitlines() if line.startswith(("HOST", "gpu"))
    )
    place = heading.index("SLEEPS AFTER")
    shown = {row.split()[1]: row[place:].split("  ")[0] for row in rows}
    assert (shown["small"], shown["large"]) == ("30 min", "-")
    assert max(map(len, [heading, *rows])) <= 80
    held = {each["model"]: each["idle_after"] for each in week("idle", "--json").json()["held"]}
    assert (held["small"], held["large"]) == (1800.0, 0.0)


def test_what_requests_get_changes_in_a_model_that_sleeps_where_it_is_typed(fleet: Fleet) -> None:
    def policy() -> str:
        route = fleet.world.routes("gpu1").of("tiny")
        assert route and route.sleep
        return route.sleep.policy

    assert fleet("sleep tiny --when-asleep wake --yes").json()["changed"]
    assert not fleet("sleep tiny --yes").json()["changed"]
    assert policy() == "wake"
    assert fleet("sleep tiny --when-asleep wait --yes").json()["changed"]
    assert policy() == "wait"
