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
