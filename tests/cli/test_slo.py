"""`toolkit slo`: what models promise and keep, in 80 columns and as a document."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.adapters.test_history_use import RUN
from tests.cli.shell import Prompt
from tests.cli.test_json import Fleet
from toolkit.adapters.fakes.prometheus import FakePrometheus
from toolkit.domain.clients.tally import Tally, WatchedHour
from toolkit.domain.clients.use import LedgerPlace, UseChunk
from toolkit.errors import HostError, InputError

HOUR = int(time.time() // 3600)
OBJECTIVES = """\
    objectives:
      window: 7d
      availability: 99%
      first_token: {target: 95%, under: 2s}
      between_tokens: {target: 99%, under: 50ms}
"""


@pytest.fixture(autouse=True)
def the_hour_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: HOUR * 3600.0 + 1800)


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
            WatchedHour(hour, name, 3600.0)
            for hour in range(HOUR - hours, HOUR + 1)
            if name == "gpu1" or hour != HOUR - 20
        )
        host.ledger = [
            UseChunk(
                name, LedgerPlace(ledger), LedgerPlace(ledger, 1, 400), (), (replace(RUN, run=ledger),),
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
        "figures from the hosts",
    ]
    assert "gpu2: 1 h 00 min of its requests were not counted" in said.err
    assert "gpu2 has counted since" in said.err
    assert "gpu1" not in said.err
    assert all(len(line) <= 80 for line in said.out.splitlines())


def test_a_host_that_left_the_fleet_was_counted_until_then(fleet: Fleet) -> None:
    assert fleet("slo").code == 0
    watched = tuple(WatchedHour(hour, "gone", 3600.0) for hour in range(HOUR - 180, HOUR - 100))
    place = LedgerPlace("f" * 16)
    fleet.world.history.add_use(
        UseChunk("gone", place, LedgerPlace("f" * 16, 1, 9), (), (), before=0, watched=watched)
    )
    said = fleet.prompt("slo")
    (line,) = [each for each in said.err.splitlines() if "gone" in each]
    until = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime((HOUR - 100) * 3600))
    assert line == f"gone is no host of this fleet: it was counted until {until}"
    hosts = {each["host"]: each for each in fleet("slo").json()["hosts"]}
    assert (hosts["gone"]["until"], hosts["gone"]["missing_seconds"]) == ((HOUR - 100) * 3600, 0)
    assert hosts["gpu2"]["until"] is None


def test_a_host_of_which_nothing_was_counted_is_named(fleet: Fleet) -> None:
    """Its toolkit is too old to count, or its clock says another time."""
    host = fleet.world.hosts["gpu2"]
    host.ledger = [replace(each, tallies=(), watched=()) for each in host.ledger]
    said = fleet.prompt("slo")
    words = "gpu2: nothing of it was counted in these days, so its requests are not in here"
    assert said.remarks.splitlines() == [words]
    document = fleet("slo").json()
    assert (document["uncounted"], [each["host"] for each in document["hosts"]]) == (
        ["gpu2"],
        ["gpu1"],
    )
    assert fleet.prompt("report", "--no-outdated").code == 0
    assert words in (fleet.prompt.place / "report.html").read_text("utf-8").replace("<wbr>", "")


def test_a_report_says_what_its_objectives_lack(fleet: Fleet) -> None:
    assert fleet.prompt("report", "--no-outdated").code == 0
    text = (fleet.prompt.place / "report.html").read_text("utf-8").replace("<wbr>", "")
    assert "gpu2: 1 h 00 min of its requests were not counted, so they are not in here" in text
    assert "gpu2 has counted since" in text


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


def grown(*values: tuple[int, float]) -> Sequence[tuple[float, float]]:
    """Return samples of a counter: (hours ago, value), in the middle of the hour."""
    return [((HOUR - ago) * 3600 + 1800.0, value) for ago, value in values]


@pytest.fixture
def prometheus(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> FakePrometheus:
    """A Prometheus that has read the host gpu1 since two days ago."""
    told = {"job": "toolkit-host", "host": "gpu1", "model": "tiny", "version": "v1", "release": "3"}
    read = {"job": "toolkit-host", "host": "gpu1"}
    hours = [(ago, 1e6 + 3600 * (48 - ago)) for ago in range(48, -1, -1)]
    made = FakePrometheus(
        series=[
            ("toolkit_log_read_seconds_total", read, grown(*hours)),
            ("toolkit_requests_total", {**told, "status": "200", "reason": ""}, grown((48, 70), (5, 1065))),
            ("toolkit_requests_total", {**told, "status": "500", "reason": ""}, grown((4, 5))),
            ("toolkit_first_token_seconds_bucket", {**told, "le": "2"}, grown((5, 90))),
            ("toolkit_first_token_seconds_bucket", {**told, "le": "+Inf"}, grown((5, 100))),
        ]
    )  # fmt: skip
    for command in ("slo", "report"):
        monkeypatch.setattr(f"toolkit.cli.commands.{command}.open_prometheus", lambda: made)
    return made


def test_the_figures_are_those_of_prometheus_where_one_is_set(
    fleet: Fleet, prometheus: FakePrometheus
) -> None:
    said = fleet.prompt("slo")
    assert said.code == 0, said.err
    assert [each.rstrip() for each in said.out.splitlines()] == [
        "MODEL  OBJECTIVE                    DAYS  ATTAINED  REQUESTS  BUDGET LEFT  PACE",
        "tiny   availability 99 %            7     99.5 %    1,000     50 %         0.5",
        "tiny   first token 95 % < 2 s       7     90 %      100       spent 2 x    2.0",
        "tiny   between tokens 99 % < 50 ms  7     -         0         -            -",
        "",
        "MODEL  SPENT OF      BY RELEASE  BAD  BUDGET  REASONS",
        "tiny   availability  #3 v1       5    50 %    500 5",
        "tiny   first token   #3 v1       10   200 %   late 10",
        "figures from Prometheus at http://prometheus.invalid:9090",
    ]
    assert "Prometheus knows gpu1 since" in said.err
    assert "not for the whole window" in said.err
    assert (
        "gpu2: Prometheus has read nothing of it in these days, so its requests are not in here"
        in said.remarks
    )
    document = json.loads(fleet.prompt("slo", "--json").out)
    assert (document["source"], document["prometheus"], document["why_not_prometheus"]) == (
        "prometheus", "http://prometheus.invalid:9090", None,
    )  # fmt: skip


def test_a_report_has_the_figures_of_slo_and_says_where_they_are_from(
    fleet: Fleet, prometheus: FakePrometheus
) -> None:
    for words, source in (
        ("Prometheus at http://prometheus.invalid:9090", "prometheus"),
        ("the hosts", "hosts"),
    ):
        said = fleet.prompt("report", "--no-outdated", "--json")
        assert said.code == 0, said.err
        text = (fleet.prompt.place / "report.html").read_text("utf-8").replace("<wbr>", "")
        assert f"Figures from {words}" in text
        assert ("99.5 %" if source == "prometheus" else "99.7 %") in text
        assert said.json()["objectives_from"] == source
        prometheus.error = HostError("Prometheus at X does not answer: refused")
    assert "Figures from the hosts: Prometheus at X does not answer: refused." in text


def test_the_ledger_can_be_asked_all_the_same(fleet: Fleet, prometheus: FakePrometheus) -> None:
    assert "figures from the hosts" in fleet.prompt("slo", "--ledger").out
    document = json.loads(fleet.prompt("slo", "--ledger", "--json").out)
    assert (document["source"], document["why_not_prometheus"]) == ("hosts", None)


@pytest.mark.parametrize("why", ["away", "empty"])
def test_a_prometheus_without_figures_leaves_those_of_the_hosts(
    fleet: Fleet, prometheus: FakePrometheus, why: str
) -> None:
    prometheus.series = []
    if why == "away":
        prometheus.error = HostError("Prometheus at X does not answer: refused")
    said = fleet.prompt("slo")
    assert said.code == 0
    assert "99.7 %" in said.out and "figures from the hosts" in said.out
    words = {"away": "does not answer", "empty": "has counts of no host in the last 7 days"}[why]
    assert words in said.remarks
    assert words in json.loads(fleet.prompt("slo", "--json").out)["why_not_prometheus"]


def test_a_setting_that_is_wrong_is_an_error(fleet: Fleet, prometheus: FakePrometheus) -> None:
    prometheus.error = InputError("Prometheus at X refuses the credentials (401)")
    said = fleet.prompt("slo")
    assert (said.code, said.out) == (2, "")
    assert "refuses the credentials" in said.err


def test_the_address_and_the_file_of_credentials_are_checked(fleet: Fleet) -> None:
    fleet.prompt.set("TOOLKIT_PROMETHEUS", "http://ann:hidden@gpu9:9090")
    said = fleet.prompt("slo")
    assert said.code == 2
    assert "hidden" not in said.out + said.err
    fleet.prompt.set("TOOLKIT_PROMETHEUS", "http://127.0.0.1:9")
    fleet.prompt.set("TOOLKIT_PROMETHEUS_CREDENTIALS", fleet.prompt.place / "none")
    assert "cannot be read: No such file" in fleet.prompt("slo").err
