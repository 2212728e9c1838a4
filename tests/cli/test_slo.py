"""`toolkit slo`: what models promise and keep, in 80 columns and as a document."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest

from tests.adapters.test_history_use import RUN
from tests.cli.shell import Prompt
from tests.cli.test_json import Fleet
from toolkit.domain.tally import Tally, Watched
from toolkit.domain.use import Place, UseChunk
from toolkit.errors import HostError

HOUR = int(time.time() // 3600)
OBJECTIVES = """\
    objectives:
      window: 7d
      availability: 99%
      first_token: {target: 95%, under: 2s}
      between_tokens: {target: 99%, under: 50ms}
"""


@pytest.fixture
def fleet(prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    prompt.set("COLUMNS", 80)
    found = Fleet(prompt, monkeypatch, 2)
    counts = {
        "gpu1": {
            "200": 9_000,
            "500": 20,
            "499:client_left": 7,
            "first<=0.5": 4_000,
            "first<=2.5": 100,
        },
        "gpu2": {"200": 970, "502:replica_failed": 5, "400": 3, "gone<=3": 20},
    }
    for number, (name, host) in enumerate(found.world.hosts.items()):
        ledger = f"{number:016x}"
        tallies = (
            Tally(HOUR - 30, name, "tiny", "v1", 3 + number, counts[name]),
            Tally(HOUR - 29, name, "tiny", "", 0, {"503:no_replica": 5 * number}),
            Tally(HOUR - 24 * 9, name, "tiny", "v1", 3, {"500": 99_999}),
        )
        # One host has counted all the time, the other one began two days ago and had a gap of an hour.
        hours = 24 * 8 if name == "gpu1" else 48
        watched = tuple(
            Watched(hour, name, 3600.0)
            for hour in range(HOUR - hours, HOUR + 1)
            if name == "gpu1" or hour != HOUR - 20
        )
        host.ledger = [
            UseChunk(
                name, Place(ledger), Place(ledger, 1, 400), (), (replace(RUN, run=ledger),),
                before=0, tallies=tallies, watched=watched,
            )
        ]  # fmt: skip
    file = prompt.place / "model_registry.yaml"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text(
        "".join(OBJECTIVES if each.startswith("    objectives:") else each for each in lines)
    )
    return found


def test_the_tables_say_what_is_kept_what_is_left_and_which_release_spent_it(fleet: Fleet) -> None:
    said = fleet.prompt("slo")
    assert said.code == 0, said.err
    assert [each.rstrip() for each in said.out.splitlines()] == [
        "MODEL  OBJECTIVE                    DAYS  ATTAINED  REQUESTS  BUDGET LEFT  PACE",
        "tiny   availability 99 %            7     99.7 %    10,000    70 %         -",
        "tiny   first token 95 % < 2 s       7     97.08 %   4,120     42 %         -",
        "tiny   between tokens 99 % < 50 ms  7     -         0         -            -",
        "",
        "MODEL  SPENT OF      BY RELEASE           BAD  BUDGET  REASONS",
        "tiny   availability  #3 v1                20   20 %    500 20",
        "tiny   availability  #4 v1                5    5 %     replica_failed 5",
        "tiny   availability  unknown, no replica  5    5 %     no_replica 5",
        "tiny   first token   #3 v1                100  48.5 %  late 100",
        "tiny   first token   #4 v1                20   9.71 %  late 20",
        "tiny: left out of availability: 7 client left, 3 refused",
    ]
    assert "gpu2: 1 h 00 min of its requests were not counted" in said.err
    assert "gpu2 has counted since" in said.err
    assert "gpu1" not in said.err
    assert all(len(line) <= 80 for line in said.out.splitlines())


def test_the_document_has_plain_numbers(fleet: Fleet) -> None:
    said = json.loads(fleet.prompt("slo", "tiny", "--json").out)
    (model,) = said["models"]
    assert (model["model"], model["days"], model["until"] - model["since"]) == (
        "tiny",
        7,
        7 * 86_400,
    )
    available, first, between = model["objectives"]
    assert (available["good"], available["bad"], available["allowed"]) == (
        9_970,
        30,
        pytest.approx(100),
    )
    assert available["budget_left"] == pytest.approx(0.7)
    assert available["left_out"] == {"client left": 7, "refused": 3}
    assert available["pace"]["72h"] == pytest.approx(0.3)
    assert available["pace"]["24h"] is None
    assert [each["release"] for each in available["spent"]] == [3, 4, None]
    assert first["under"] == 2.0
    assert (between["attained"], between["budget_left"]) == (None, None)
    assert [each["host"] for each in said["hosts"]] == ["gpu1", "gpu2"]


def test_another_number_of_days_can_be_asked_for(fleet: Fleet) -> None:
    (model,) = json.loads(fleet.prompt("slo", "--days", "10", "--json").out)["models"]
    assert model["objectives"][0]["bad"] == 30 + 2 * 99_999
    assert "spent 95.3" in fleet.prompt("slo", "--days", "10", "--no-hosts").out


def test_a_host_that_does_not_answer_is_named(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = fleet.world.hosts["gpu2"]

    def away(*_: object) -> None:
        raise HostError("gpu2 does not answer", hint="toolkit hosts")

    monkeypatch.setattr(host, "use", away)
    said = fleet.prompt("slo")
    assert said.code == 0
    assert "gpu2: not reached" in said.err


def test_without_objectives_the_command_says_where_they_are_written(fleet: Fleet) -> None:
    file = fleet.prompt.place / "model_registry.yaml"
    file.write_text(file.read_text().replace(OBJECTIVES, ""))
    for words in (("slo",), ("slo", "tiny")):
        said = fleet.prompt(*words)
        assert said.code == 2
        assert "objectives" in said.err
        assert "availability: 99.5%" in said.err
