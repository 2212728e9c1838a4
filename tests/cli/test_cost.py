"""`toolkit cost` and `toolkit prices`, and the worked example of docs/economics.md."""

from __future__ import annotations

import csv
import re
import shlex
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from tests.cli.shell import REGISTRY, ROOT, Prompt
from tests.workflows.cost_week import WEEKS, Week
from toolkit.domain.clients.tally import Tally
from toolkit.domain.clients.use import LedgerPlace, UseChunk

PAGE = (ROOT / "docs" / "economics.md").read_text("utf-8")
COSTS, CHARGE, OVERRIDE = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
TRAFFIC = ("--tokens-in", "1000000000", "--tokens-out", "200000000", "--requests", "1000")


@pytest.fixture
def office(prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> Prompt:
    """A prompt beside the page's file of costs, on the page's day."""
    (prompt.place / "costs.yaml").write_text(COSTS)
    today = datetime(2026, 11, 27, 9, tzinfo=UTC).timestamp()
    monkeypatch.setattr("toolkit.cli.commands.cost.time.time", lambda: today)
    monkeypatch.setenv("COLUMNS", "80")
    return prompt


def test_the_worked_example_of_the_page_is_what_the_command_prints(office: Prompt) -> None:
    line = re.findall(r"```sh\n(toolkit cost .*?)```", PAGE, re.DOTALL)[0]
    shown = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)[0]
    said = office(*shlex.split(line.replace("\\\n", ""))[1:])
    assert (said.code, said.err) == (0, "")
    assert said.out == shown


def test_tables_are_readable_in_80_columns(office: Prompt) -> None:
    said = office("cost", *TRAFFIC, "--by", "key", "--what-if", "hosts=+2,device=l40s")
    tables = [each for each in said.out.split("\n\n") if each.split("\n")[0].isupper()]
    assert len(tables) >= 4
    heads = [line for line in said.out.splitlines() if line.isupper()]
    assert heads and max(map(len, heads)) <= 80


def test_it_says_plainly_which_is_cheaper(office: Prompt) -> None:
    few = office("cost", *TRAFFIC, "--against", "openai/gpt-6-luna").out
    assert "openai/gpt-6-luna: the closed API is cheaper, EUR" in few
    many = office(
        "cost", "--tokens-in", "90000000000", "--tokens-out", "9000000000",
        "--against", "openai/gpt-6-astra",
    ).out  # fmt: skip
    assert "openai/gpt-6-astra: own hosts are cheaper, EUR" in many


def test_a_price_in_another_currency_is_as_stale_as_its_exchange_rate(office: Prompt) -> None:
    text, words = COSTS, ("cost", *TRAFFIC, "--against", "openai/gpt-6-luna")
    assert "STALE" not in office(*words).out
    old = re.sub(
        r"(exchange: .*?read: )[0-9-]+", r"\g<1>2026-01-02", text, count=1, flags=re.DOTALL
    )
    assert old != text
    (office.place / "costs.yaml").write_text(old)
    shown = office(*words).out
    assert "openai/gpt-6-luna: this price is stale: the rate of USD was read 329 days ago" in shown
    assert "STALE" in shown


def test_a_stale_price_is_marked(office: Prompt, monkeypatch: pytest.MonkeyPatch) -> None:
    later = datetime(2027, 1, 20, tzinfo=UTC).timestamp()
    monkeypatch.setattr("toolkit.cli.commands.cost.time.time", lambda: later)
    said = office("cost", *TRAFFIC).out
    assert "2026-11-10 STALE" in said or "STALE" in said
    assert "openai/gpt-6.1-terra: this price is stale: read 71 days ago" in said


def test_own_prices_replace_the_shipped_ones(office: Prompt) -> None:
    (office.place / "costs.yaml").write_text(COSTS + CHARGE + OVERRIDE)
    said = office("prices", "gpt-6.1-terra", "--json").json()
    found = {each["name"]: each for each in said["apis"]}
    assert len(found["openai/gpt-6.1-terra"]["rates"]) == 2
    assert found["openai/gpt-6.1-terra"]["source"] == "costs.yaml"
    assert found["openai/gpt-6.1-terra:batch"]["source"] == "genai-prices 0.2.3"
    with_own = office("cost", *TRAFFIC, "--days", "1", "--json").json()["apis"][0]
    # 1,000 million x 0.8 + 200 million x 4, at 0.92. Long prompts cost more from 2027 on alone.
    assert with_own["cost"] == "1472.000000"


def test_prices_are_listed_with_their_end_their_currency_and_their_hours(office: Prompt) -> None:
    own = """apis:
  Acme/Big:
    - {read: 2026-11-25, currency: EUR, input: 2, output: 4}
    - {read: 2026-11-25, currency: EUR, from: 2026-12-01, until: 2026-12-24, input: 1, output: 2}
"""
    (office.place / "costs.yaml").write_text(COSTS + own)
    assert [line.split() for line in office("prices", "acme").out.splitlines()[:3]] == [
        ["MODEL", "FROM", "UNTIL", "OVER", "PAID", "IN", "IN", "CACHED", "OUT", "READ"],
        ["Acme/Big", "-", "-", "-", "EUR", "2", "-", "4", "2026-11-25"],
        ["Acme/Big", "2026-12-01", "2026-12-24", "-", "EUR", "1", "-", "2", "2026-11-25"],
    ]
    shown = office("prices", "deepseek-chat").out
    assert shown.splitlines()[0].split() == ["MODEL", "FROM", "OVER", "IN", "CACHED", "OUT", "READ"]
    assert "  00:30-16:30  " in shown


def test_csv_lists_models_or_keys(office: Prompt) -> None:
    """720 h of gpu1: 1,800. gpu2: write-off 575.342466, hosting 147.945205, people 315.616438 + 6 x 80 x 720 / 730.

    Each host works 500 million / 20,000 + 100 million / 2,500 = 65,000 s: (250 W x 720 h + 650 W x 18.0556 h) x 1.4 =
    268.4306 kWh, 80.529167. Of it 650 W x 18.0556 h, 4.929167, is work, and of the rest 65,000 s of 2,592,000 s.
    """
    assert office("cost", *TRAFFIC, "--csv").out.splitlines() == [
        "model,requests,tokens_in,cached,tokens_out,cost_EUR,work_EUR,idle_EUR,asleep_EUR,standby_EUR",
        "qwen-7b,1000,1000000000,0,200000000,3392.857934,89.888800,3302.969134,0.000000,0.000000",
    ]
    assert office("cost", *TRAFFIC, "--csv", "--by", "key").out.splitlines()[1] == (
        "stated,qwen-7b,1000,1000000000,0,200000000,3392.857934"
    )


def test_the_document_has_the_same_figures(office: Prompt) -> None:
    said = office("cost", *TRAFFIC, "--what-if", "traffic=0.5", "--json").json()
    assert (said["since"], said["until"], said["days"]) == ("2026-11-27", "2026-12-26", 30)
    assert said["total"] == "3392.857934"
    assert said["what_if"][0]["models"][0]["tokens_in"] == 500_000_000
    assert said["keys"][0]["total"] == said["models"][0]["total"] == said["total"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("cost", "--no-hosts", "--since", "7d"),
         "the history has no use and no replica between 2026-11-21 and 2026-11-27"),
        (("cost", "--since", "soon"), "--since 'soon' is no day"),
        (("cost", "--since", "2026-11-20", "--until", "7w"), "--since 2026-11-20 is after --until 2026-10-10"),
        (("cost", "--until", "2026-11-28"), "--until 2026-11-28 has not come yet"),
        (("cost", "--no-hosts", "--readings", "absent.csv"), "absent.csv does not exist"),
        (("cost", "--tokens-in", "1", "--tokens-out", "1", "--tokens-cached", "2"),
         "--tokens-cached 2 is more than --tokens-in 1"),
        (("cost", *TRAFFIC, "--readings", "absent.csv"),
         "--readings is for recorded use, and --tokens-in and --tokens-out state another traffic"),
        (("cost", *TRAFFIC, "--since", "7d"),
         "--since is for recorded use, and --tokens-in and --tokens-out state another traffic"),
        (("cost", "--days", "7"),
         "--days is for a traffic that is stated, and neither --tokens-in nor --tokens-out states one"),
        (("cost", "--tokens-cached", "7"),
         "--tokens-cached is for a traffic that is stated, and neither --tokens-in nor --tokens-out states one"),
        (("cost", "--model", "small"),
         "--model is that of a stated traffic; recorded use is shown with all its models"),
        (("cost", "--no-hosts", "--readings", "."), ". is a directory"),
        (("cost", "--since", "0d"), "--since '0d' is no day"),
        (("cost", "--since", "20261101"), "--since '20261101' is no day"),
        (("cost", *TRAFFIC, "--csv", "--json"), "--csv and --json exclude each other"),
        (("cost", *TRAFFIC, "--what-if", ","), "--what-if ,: '' is nothing that --what-if knows"),
        (("cost", *TRAFFIC, "--host", "gpu9"), "the host 'gpu9' has no price on 2026-11-27"),
        (("cost", *TRAFFIC, "--against", "openai/gpt-7"), "no price of 'openai/gpt-7' is known"),
        (("cost", *TRAFFIC, "--what-if", "hosts=0"), "--what-if hosts=0: hosts=0 leaves 0 hosts"),
        (("cost", *TRAFFIC, "--costs", "absent.yaml"), "absent.yaml does not exist"),
        (("prices", "nobody"), "no closed model is named like nobody"),
        (("prices", "--costs", "absent.yaml"), "absent.yaml does not exist"),
        (("idle", "--since", "2026-11-28"), "--since 2026-11-28 is after today"),
        (("idle", "--since", "0d"), "--since '0d' is no day"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused(office: Prompt, words: tuple[str, ...], message: str) -> None:
    said = office(*words)
    assert said.code == 2
    if "--json" in words:
        assert said.json()["error"]["message"] == message
        return
    assert said.err.splitlines()[0] == f"error: {message}"
    assert said.err.splitlines()[1].startswith("hint: ")


def test_a_capacity_that_was_measured_on_a_day_that_has_not_come_is_refused(office: Prompt) -> None:
    file = office.place / "costs.yaml"
    # Today is 2026-11-27; tomorrow is the day of another time zone.
    file.write_text(COSTS.replace("measured: 2026-11-01", "measured: 2026-11-28", 1))
    assert office("cost", *TRAFFIC).code == 0
    file.write_text(COSTS.replace("measured: 2026-11-01", "measured: 2026-11-29", 1))
    for words in (("cost", *TRAFFIC), ("idle",), ("prices",)):
        said = office(*words)
        assert said.code == 2, words
        assert "costs.yaml:17:90: capacity.measured: 2026-11-29 has not come yet" in said.err


@pytest.mark.parametrize("command", ["cost", "idle", "which small"])
def test_no_sum_is_shown_of_a_history_with_a_damaged_record(office: Prompt, command: str) -> None:
    week = Week("mixed", office.place / "home")
    week.history.close()
    (office.place / "costs.yaml").write_text((WEEKS / "mixed" / "costs.yaml").read_text())
    (office.place / "model_registry.yaml").write_text(REGISTRY.replace("tiny", "small"))
    with closing(sqlite3.connect(office.place / "home" / "history.db")) as db, db:
        db.execute("UPDATE releases SET body = '{'")
    words = [*command.split(), *([] if command == "idle" else ["--no-hosts"])]
    said = office(*words, "--json")
    assert said.code == 1
    assert "has a damaged record" in said.json()["error"]["message"]


def test_an_unknown_model_of_the_file_of_costs_is_refused_with_its_field(office: Prompt) -> None:
    file = office.place / "costs.yaml"
    file.write_text(COSTS.replace("[openai/gpt-6.1-terra,", "[nobody/x,"))
    said = office("cost", *TRAFFIC)
    assert said.code == 2
    assert "no price of 'nobody/x', which the file of costs has in `against`, is known" in said.err


def test_a_closed_model_that_is_named_twice_is_compared_once(office: Prompt) -> None:
    again = ("--against", "openai/gpt-6-luna") * 2
    assert len(office("cost", *TRAFFIC, *again, "--json").json()["apis"]) == 1


def test_the_hint_of_a_wrong_option_is_the_help_of_its_command(office: Prompt) -> None:
    for words in (("cost", "--tokens-in", "-1"), ("cost", "--nonsense"), ("metrics", "setup")):
        error = office(*words, "--json").json()["error"]
        command = " ".join(word for word in words if word.isalpha())
        assert error["hint"] == f"toolkit {command} --help"


def test_costs_a_day_that_are_not_known_stand_apart_from_the_others(office: Prompt) -> None:
    Week("mixed", office.place / "home").history.close()
    (office.place / "costs.yaml").write_text((WEEKS / "mixed" / "costs.yaml").read_text())
    assert office("idle").out.splitlines()[-2:] == [
        "What gpu1 costs a day is not known: no price, or energy that a meter counts.",
        "Of the other 52.80 a day, 52.80 pays for what nobody used.",
    ]


def test_no_number_is_shown_in_powers_of_ten(office: Prompt) -> None:
    few = ("--tokens-in", "1", "--tokens-out", "1", "--days", "3660")
    said = office("cost", *few, "--what-if", "traffic=2").out
    assert "(3,660 days)" in said
    assert not re.search(r"[0-9]e[-+]?[0-9]", said, re.IGNORECASE), said


def test_recorded_use_is_billed_with_the_time_that_models_held_hosts(office: Prompt) -> None:
    week = Week("mixed", office.place / "home")
    week.history.close()
    files, days = WEEKS / "mixed", ("--since", "2026-11-02", "--until", "2026-11-08")
    (office.place / "costs.yaml").write_text(
        (files / "costs.yaml").read_text() + "exchange: {USD: {rate: 0.92, read: 2026-11-20}}\n"
    )
    words = ("cost", "--no-hosts", *days, "--readings", str(files / "meter.csv"), "--by", "key")
    said = office(*words, "--json").json()
    # tests/workflows/test_cost_weeks.py has the working by hand.
    assert said["total"] == "391.740000"
    assert [(each["key"], each["model"]) for each in said["keys"]] == [
        ("ann", "small"),
        ("bob", "large"),
    ]
    assert {each["model"] for each in said["apis"]} == {"", "small", "large"}
    text = office(*words).out
    assert text.startswith("2026-11-02 to 2026-11-08 (7 days), all amounts in EUR\n")
    assert "(no model)" in text


def test_readings_that_count_for_nothing_are_named(office: Prompt) -> None:
    Week("mixed", office.place / "home").history.close()
    files, days = WEEKS / "mixed", ("--since", "2026-11-02", "--until", "2026-11-08")
    (office.place / "costs.yaml").write_text(
        (files / "costs.yaml").read_text() + "exchange: {USD: {rate: 0.92, read: 2026-11-20}}\n"
    )
    lines = [f"{1_762_000_000},{host},5\n" for host in ("gpu1", "gpu2", "gpu9")]
    (office.place / "meter.csv").write_text("at,host,kwh\n" + "".join(lines))
    said = office("cost", "--no-hosts", *days, "--readings", "meter.csv")
    assert said.code == 0
    assert [line for line in said.remarks.splitlines() if "readings" in line] == [
        "gpu2 has readings, and is not `metered` in the file of costs: they count for nothing",
        "gpu9 has readings, and no price in the file of costs: they count for nothing",
    ]


def test_where_nobody_asked_all_of_the_bill_is_idle_time(office: Prompt) -> None:
    Week("mixed", office.place / "home").history.close()
    (office.place / "costs.yaml").write_text(
        (WEEKS / "mixed" / "costs.yaml").read_text()
        + "exchange: {USD: {rate: 0.92, read: 2026-11-20}}\n"
    )
    days = ("--since", "2026-11-10", "--until", "2026-11-11")
    said = office("cost", "--no-hosts", *days, "--what-if", "hosts=+1")
    # gpu1 48 h x 1 and 200 W x 48 h x 1.5 at 0.20, 2.88; gpu2 48 h x 2.20.
    assert "Of 156.48, 156.48 (100 %) pays for idle, standby and empty time." in said.out
    assert [line.split() for line in said.out.splitlines() if line.startswith("hosts=+1")] == [
        ["hosts=+1", "207.36", "207.36", "0", "%", "-", "-", "-"]
    ]


def test_what_hours_of_sleep_cost_stands_apart_from_idle_time(office: Prompt) -> None:
    week = Week("mixed", office.place / "home")
    hour = int(datetime(2026, 11, 10, 8, tzinfo=UTC).timestamp() // 3600)
    slept = Tally(hour, "gpu1", "small", "", 0, {"asleep": 12 * 3600})
    place = LedgerPlace("0" * 16)
    week.history.add_use(
        UseChunk(
            "gpu1", place, replace(place, file=1, offset=9), (), (), before=0, tallies=(slept,)
        )
    )
    week.history.close()
    (office.place / "costs.yaml").write_text(
        (WEEKS / "mixed" / "costs.yaml").read_text()
        + "exchange: {USD: {rate: 0.92, read: 2026-11-20}}\n"
    )
    words = ("cost", "--no-hosts", "--since", "2026-11-10", "--until", "2026-11-11")
    said = office(*words)
    assert "Of 156.48, 156.48 (100 %) pays for idle, asleep, standby and empty time." in said.out
    (header,) = [
        each for each in said.out.splitlines() if each.startswith("MODEL") and "WORK" in each
    ]
    assert header.split()[:6] == ["MODEL", "COST", "WORK", "IDLE", "ASLEEP", "STANDBY"]
    assert len(header) <= 80
    models = {each["model"]: each for each in office(*words, "--json").json()["models"]}
    (small, large) = models["small"], models["large"]
    assert Decimal(small["asleep"]) > 0 and Decimal(large["asleep"]) == 0
    # gpu1 costs 50.88; a quarter of its memory is that of `small`, 12.72, and of 48 h it slept there for 12.
    assert small["asleep"] == "3.180000"
    rows = {
        each["model"]: each for each in csv.DictReader(office(*words, "--csv").out.splitlines())
    }
    assert (rows["small"]["asleep_EUR"], rows["large"]["asleep_EUR"]) == ("3.180000", "0.000000")
    assert Decimal(small["total"]) == Decimal(small["asleep"]) + Decimal(small["idle"])
