"""`toolkit usage`: what keys used, in 80 columns, as JSON and as CSV, beside what the engines counted."""

from __future__ import annotations

import csv
import io
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from datetime import time as clock

import pytest

from tests.adapters.test_history_use import CHUNK, ROW, RUN
from tests.cli.shell import Prompt
from tests.cli.test_json import Fleet
from toolkit.domain.clients.use import Counted, LedgerPlace, UseChunk
from toolkit.errors import HostError

TODAY = datetime.now(UTC).date()
YESTERDAY = TODAY - timedelta(days=1)
NOW = datetime.combine(TODAY, clock(12), UTC).timestamp()
BEGUN = replace(RUN, started=NOW - 60)


@pytest.fixture(autouse=True)
def the_day_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """The day on which all tests were collected may be over when these run."""
    monkeypatch.setattr(time, "time", lambda: NOW)


@pytest.fixture
def fleet(prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    prompt.set("COLUMNS", 80)
    found = Fleet(prompt, monkeypatch, 2)
    rows = {
        "gpu1": (
            replace(ROW, day=f"{TODAY}", requests=1_234_567, tokens_in=9_876_543_210),
            replace(ROW, day=f"{YESTERDAY}", key="bob", ended="left", unknown=1),
            replace(ROW, day=f"{TODAY}", key="probe", requests=99),
        ),
        "gpu2": (
            replace(ROW, day=f"{TODAY}", key="-", model="poet", tokens_out=5),
            replace(ROW, day="2020-01-01", key="old"),
        ),
    }
    counted = {
        "gpu1": Counted(30, 7, 30, 7, 0, NOW),
        "gpu2": Counted(40, 7, 30, 7, 1, NOW),
    }
    for number, (name, host) in enumerate(found.world.hosts.items()):
        ledger = f"{number:016x}"
        run = replace(BEGUN, run=ledger, release=3 + number, counted=counted[name])
        host.ledger = [
            UseChunk(
                name, LedgerPlace(ledger), LedgerPlace(ledger, 1, 400), rows[name], (run,), before=0
            )
        ]
    return found


def test_the_table_says_who_used_what_and_what_the_engines_counted(fleet: Fleet) -> None:
    said = fleet.prompt("usage")
    assert said.code == 0, said.err
    assert said.out.splitlines() == [
        "KEY       REQUESTS   IN             CACHED  OUT  THOUGHT  UNKNOWN",
        "(no key)  2          30             10      5    1        0",
        "ann       1,234,567  9,876,543,210  10      7    1        0",
        "bob       2          30             10      7    1        1",
        "all       1,234,571  9,876,543,270  30      19   3        1",
        "audio: 4 s",
        "unknown: 1 requests broke off without a count of their tokens",
        "",
        "RELEASE        RECORDS  ENGINE IN  OUT  DIFFERENCE      OPEN",
        "tiny #3 (1.0)  2        30         7    0               0",
        "tiny #4 (1.0)  2        40         7    +10 in, +0 out  1",
    ]
    assert all(len(line) <= 80 for line in said.out.splitlines())


def test_a_bill_has_the_newest_use_of_the_hosts_that_answer(fleet: Fleet) -> None:
    hosts = "".join(f"  {name}: {{from: 2020-01-01, hourly: 1}}\n" for name in ("gpu1", "gpu2"))
    (fleet.prompt.place / "costs.yaml").write_text(f"currency: USD\nhosts:\n{hosts}")

    def away(place: LedgerPlace) -> UseChunk:
        raise HostError("gpu2: no route to host")

    fleet.world.hosts["gpu2"].use = away  # type: ignore[method-assign]
    assert fleet.prompt("cost", "--no-hosts").code == 2
    said = fleet.prompt("cost", "--json")
    assert [each["requests"] for each in said.json()["models"]] == [1_234_569]
    assert "gpu2: not reached, so its newest use is not in here" in said.json()["notes"][0]


def test_rows_may_be_of_several_kinds_in_the_order_asked_for(fleet: Fleet) -> None:
    def first_words(*groups: str) -> list[list[str]]:
        words = [word for each in groups for word in ("--by", each)]
        out = fleet.prompt("usage", *words).out
        return [line.split()[: len(groups)] for line in out.splitlines()[: out.index("\n\n")]]

    days = first_words("day", "key")
    assert days[:4] == [
        ["DAY", "KEY"],
        [f"{YESTERDAY}", "bob"],
        [f"{TODAY}", "(no"],
        [f"{TODAY}", "ann"],
    ]
    assert [each[0] for each in first_words("key", "day")[1:4]] == ["(no", "ann", "bob"]
    assert first_words("host", "release")[1] == ["gpu1", "tiny"]
    twice = fleet.prompt("usage", "--by", "key", "--by", "key")
    assert twice.out == fleet.prompt("usage", "--by", "key").out


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        (("--since", "1d"), ["-", "ann"]),
        (("--since", "2d"), ["-", "ann", "bob"]),
        (("--since", "1w"), ["-", "ann", "bob"]),
        (("--since", f"{YESTERDAY}", "--until", f"{YESTERDAY}"), ["bob"]),
        (("--since", "2020-01-01", "--until", "2020-12-31"), ["old"]),
        (("--model", "poet"), ["-"]),
        (("--model", "tiny"), ["-", "ann", "bob"]),
        (("--key", "bob"), ["bob"]),
        (("--key", "probe"), []),
        (("--key", "nobody"), []),
    ],
)
def test_days_a_model_and_a_key_choose(
    fleet: Fleet, options: tuple[str, ...], keys: list[str]
) -> None:
    document = fleet.prompt("usage", "--json", *options).json()
    assert [each["key"] for each in document["rows"]] == keys


def test_a_key_that_no_record_names_is_told_where_nobody_knows_which_there_are(
    fleet: Fleet,
) -> None:
    said = fleet.prompt("usage", "--key", "nobody")
    assert said.code == 0
    assert "no record names the key nobody; which keys there are: toolkit keys list" in said.err
    assert "no record names" not in fleet.prompt("usage", "--key", "bob", "--since", "1d").err


def test_the_document_has_the_same_figures(fleet: Fleet) -> None:
    document = fleet("usage --by key --by day").json()
    assert (document["by"], document["collected"]) == (["key", "day"], 4)
    assert document["rows"][1] == {
        "day": f"{TODAY}", "key": "ann", "requests": 1_234_567, "tokens_in": 9_876_543_210,
        "cached": 10, "tokens_out": 7, "reasoning": 1, "unknown": 0, "audio_seconds": 1.5,
    }  # fmt: skip
    assert document["total"]["requests"] == 1_234_571
    assert [(each["release"], each["difference_in"]) for each in document["reconciled"]] == [
        (3, 0),
        (4, 10),
    ]
    assert fleet("usage").json()["collected"] == 0


def test_csv_has_a_header_and_plain_numbers(fleet: Fleet) -> None:
    said = fleet.prompt("usage", "--csv", "--by", "release")
    assert list(csv.DictReader(io.StringIO(said.out))) == [
        {
            "version": "1.0", "release": "3", "base": "tiny", "requests": "1234571",
            "tokens_in": "9876543270", "cached": "30", "tokens_out": "19", "reasoning": "3",
            "unknown": "1", "audio_seconds": "4.5",
        }
    ]  # fmt: skip


@pytest.mark.parametrize("name", ['=HYPERLINK("http://a.example")', "@SUM(A1)", "+1+A1", "-2+A1"])
def test_no_spreadsheet_computes_what_a_replica_has_invented(fleet: Fleet, name: str) -> None:
    """A replica that was taken over writes any model into its records."""
    host = fleet.world.hosts["gpu2"]
    [chunk] = host.ledger
    host.ledger = [replace(chunk, rows=(replace(chunk.rows[0], model=name),))]
    rows = csv.DictReader(io.StringIO(fleet.prompt("usage", "--csv", "--by", "model").out))
    assert f"'{name}" in {each["model"] for each in rows}
    rows = csv.DictReader(io.StringIO(fleet.prompt("usage", "--csv").out))
    assert "-" in {each["key"] for each in rows}


def test_a_host_that_is_away_is_named_and_fails_nothing(fleet: Fleet) -> None:
    def away(_: LedgerPlace) -> UseChunk:
        raise HostError("gpu2 does not answer on port 22")

    fleet.world.hosts["gpu2"].use = away  # type: ignore[method-assign]
    said = fleet.prompt("usage")
    assert said.code == 0
    assert said.remarks == (
        "gpu2: not reached, so its newest use is not in here: gpu2 does not answer on port 22\n"
    )
    assert fleet("usage").json()["unreachable"] == {"gpu2": "gpu2 does not answer on port 22"}


def test_without_hosts_the_history_alone_is_shown(fleet: Fleet) -> None:
    assert fleet.prompt("usage", "--no-hosts").out == "no use is recorded in these days\n"
    fleet.prompt("usage")
    assert "ann" in fleet.prompt("usage", "--no-hosts").out


def test_what_did_not_come_in_is_said(fleet: Fleet) -> None:
    host = fleet.world.hosts["gpu1"]
    late = replace(BEGUN, first=5, last=6, unknown=1, counted=None)
    host.ledger = [replace(CHUNK, host="gpu1", rows=(), runs=(late,), refused=3, before=4)]
    said = fleet.prompt("usage", "--since", "1d")
    assert "tiny #3 (1.0): 4 records never came\n" in said.out
    assert "tiny #3 (1.0): 1 records have no count of their tokens\n" in said.out
    assert "tiny #3 (1.0): 1 of 1 runs have told no counters yet\n" in said.out
    assert "gpu1: 3 lines of its replicas were no records\n" in said.err
    assert "gpu1: 4 records were dropped before they were collected\n" in said.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--since", "soon"), "--since 'soon' is no day"),
        (("--since", "2026-13-01"), "--since '2026-13-01' is no day"),
        (("--since", "0d"), "--since '0d' is no day"),
        (("--since", "2026-W45-1"), "--since '2026-W45-1' is no day"),
        (("--until", "2999-01-01"), "--until 2999-01-01 has not come yet"),
        (("--until", "-1"), "--until '-1' is no day"),
        (
            ("--since", "2026-02-02", "--until", "2026-02-01"),
            "--since 2026-02-02 is after --until 2026-02-01",
        ),
        (("--csv", "--json"), "--csv and --json exclude each other"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    fleet: Fleet, options: tuple[str, ...], message: str
) -> None:
    said = fleet.prompt("usage", *options)
    assert said.code == 2
    assert message in said.err + said.out


def test_a_host_whose_disk_was_set_back_is_named(fleet: Fleet) -> None:
    assert fleet("usage").json()["set_back"] == {}
    host = fleet.world.hosts["gpu1"]
    (whole,) = host.ledger
    host.ledger = [UseChunk("gpu1", whole.end, replace(whole.end, offset=9), set_back=True)]
    said = fleet.prompt("usage")
    assert (
        "gpu1: its disk was set back to an earlier state; what was recorded there before"
        in said.err
    )
    assert fleet("usage").json()["set_back"] == {"gpu1": 1}


def test_use_of_days_that_have_not_come_is_said(fleet: Fleet) -> None:
    """The clock of a host was ahead, by a year or just over midnight."""
    assert fleet("usage").json()["to_come"] == {}
    (before,) = fleet.world.hosts["gpu1"].ledger
    later = [TODAY + timedelta(days=1), TODAY + timedelta(days=400)]
    rows = tuple(replace(ROW, day=f"{day}", requests=1_000) for day in later)
    fleet.world.hosts["gpu1"].ledger = [
        replace(before, start=before.end, end=replace(before.end, offset=900), rows=rows, runs=())
    ]
    words = (
        "gpu1: 2,000 requests are recorded for days that have not come yet, and are not in here: its clock was ahead of"
        " this machine's"
    )
    said = fleet.prompt("usage")
    assert said.remarks.splitlines() == [words]
    assert "all       1,234,571 " in said.out
    assert fleet.prompt("usage", "--csv", "--no-hosts").remarks.splitlines() == [words]
    assert fleet("usage").json()["to_come"] == {"gpu1": 2_000}


def test_a_bill_says_which_use_is_of_days_that_have_not_come(fleet: Fleet) -> None:
    hosts = "".join(f"  {name}: {{from: 2020-01-01, hourly: 1}}\n" for name in ("gpu1", "gpu2"))
    (fleet.prompt.place / "costs.yaml").write_text(f"currency: USD\nhosts:\n{hosts}")
    (whole,) = fleet.world.hosts["gpu2"].ledger
    row = replace(ROW, day=f"{TODAY + timedelta(days=2)}", requests=5)
    fleet.world.hosts["gpu2"].ledger = [replace(whole, rows=(*whole.rows, row))]
    words = "gpu2: 5 requests are recorded for days that have not come yet"
    assert any(each.startswith(words) for each in fleet.prompt("cost", "--json").json()["notes"])
    assert words in fleet.prompt("which", "tiny", "--no-hosts").remarks
    assert words in fleet.prompt("idle").remarks
    assert fleet.prompt("report", "--no-outdated").code == 0
    page = (fleet.prompt.place / "report.html").read_text("utf-8").replace("<wbr>", "")
    assert "5 requests are recorded for days that have not come yet" in page
