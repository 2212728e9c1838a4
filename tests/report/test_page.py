"""The page of a report: what stands in it, what cannot get into it, and how a browser shows it."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.report.hostile import HOSTILE, HOUR, hostile, measured
from tests.report.made_up import NOW, YEAR, made_status, write_history
from toolkit.cli.views.report.charts import (
    Lane,
    Mark,
    TimeAxis,
    ValuePair,
    dumbbells,
    lanes,
    short,
    stacked,
    ticks,
)
from toolkit.cli.views.report.html import joined, tag
from toolkit.cli.views.report.page import MOST, page
from toolkit.domain.clients.tally import Tally
from toolkit.domain.gates.verdict import Verdict
from toolkit.domain.hosts.facts import FleetFacts
from toolkit.planning.economics.summary import Summary
from toolkit.planning.report.findings import Cost, Findings, UpstreamFindings
from toolkit.workflows.fleet.report import gather

EMPTY = Findings(NOW - 30 * 86_400, NOW, FleetFacts({}))


class Seen(HTMLParser):
    """The elements, attributes and texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.values: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes.update(name for name, _ in attrs)
        self.values += [value or "" for _, value in attrs]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_no_name_reason_or_actor_gets_an_element_into_the_page(text: str) -> None:
    plain, seen = Seen(page(hostile("plain"))), Seen(page(hostile(text)))
    # A word without an end gets places to break at, and nothing else.
    assert seen.names - {"wbr"} == plain.names
    assert seen.attributes - {"title"} == plain.attributes - {"title"}
    assert not any(each.startswith("on") or each == "style" for each in seen.attributes)
    assert not {"script", "img", "iframe", "object", "link", "base", "form"} & seen.names
    assert seen.names.isdisjoint({"a"}) or all(
        each.startswith("#") for each in re.findall(r' href="([^"]*)"', page(hostile(text)))
    )
    page(hostile(text)).encode()


def test_characters_of_control_and_direction_are_made_visible() -> None:
    assert joined("a\u202eb\x1b[1m\ud800") == "a\ufffdb\ufffd[1m\ufffd"
    assert joined("line\nline") == "line line"
    assert tag("td", 1, None, ["a", ("<b>",)], class_=None, data_label='"') == (
        '<td data-label="&quot;">1a&lt;b&gt;</td>'
    )
    assert joined("y" * 40).count("<wbr>") == 1
    assert len(joined("z " * 400)) == 300


def test_the_page_loads_nothing_and_allows_nothing(made: Findings) -> None:
    text = page(made)
    (policy,) = [each for each in Seen(text).values if "default-src" in each]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "script" not in policy
    assert "unsafe" not in policy
    assert [
        each
        for each in ("http://", "https://", "//", "@import", "<script", " style=")
        if each in text
    ] == []
    assert set(re.findall(r"url\(([^)]*)\)", text)) <= {f"#p{number}" for number in range(6)}


def test_every_chart_has_a_name_and_its_numbers_in_a_table(made: Findings) -> None:
    text = page(made)
    charts = re.findall(r"<svg [^>]*class=\"chart\"[^>]*>", text)
    assert len(charts) == 3
    assert all('role="img"' in each and 'aria-label="' in each for each in charts)
    words = " ".join(" ".join(Seen(text).texts).split())
    for model in made.use.models:
        assert f"{model.requests:,}" in words
    for each in made.latency:
        assert f"{each.name} ({each.gate})" in words


def test_outcomes_and_verdicts_are_said_in_words_and_signs(made: Findings) -> None:
    words = " ".join(Seen(page(made)).texts)
    failed = {
        each.gate
        for change in made.changes
        for each in change.gates
        if each.verdict is Verdict.FAILED
    }
    assert failed
    endings = {str(each.ending) for each in made.changes}
    assert endings == {"live", "returned", "failed"}
    signs = [f"✕ {each}" for each in (*failed, "returned", "failed", "unreachable")]
    for sign in (*signs, "✓ live", "△ drift", "✓ checks, answers"):
        assert sign in words, sign


def test_what_is_not_known_is_said(made: Findings) -> None:
    words = " ".join(" ".join(Seen(page(EMPTY)).texts).split())
    for each in (
        "Nothing is deployed.",
        "Nothing was changed in this period.",
        "No upgrade of this period has measured both releases.",
        "No use has been collected in this period",
        "Not set.",
        "Not set: costs.yaml states the prices of hosts.",
        "The sources were not asked",
    ):
        assert each in words, each


def test_objectives_say_what_is_kept_and_which_release_spent_the_budget() -> None:
    kept = Tally(HOUR, "gpu1", "kept", "1.0", 3, {"200": 96, "503:no_replica": 4})
    missed = Tally(HOUR, "gpu1", "missed", "1.1", 4, {"200": 70, "500": 30})
    words = said(
        replace(
            EMPTY, objectives=(measured("kept", kept), measured("missed", missed), measured("idle"))
        )
    )
    for each in (
        "kept availability 90 % 28 days 96 % 100 60 % ✓ kept",
        "missed availability 90 % 28 days 70 % 100 spent 3 x ▲ missed",
        "idle availability 90 % 28 days - 0 - no requests",
        "kept availability #3 1.0 4 40 % no_replica 4",
        "missed availability #4 1.1 30 300 % 500 30",
    ):
        assert each in words, each


def test_the_cost_says_plainly_which_is_cheaper_and_what_is_not_known() -> None:
    models = (
        Summary(
            "dear",
            "EUR",
            Decimal(1200),
            Decimal("0.75"),
            "acme/big",
            Decimal(300),
            "read 90 days ago",
        ),
        Summary("good", "EUR", Decimal(10), None, "acme/big", Decimal("20.5")),
        Summary("odd", "EUR", Decimal(1), None),
    )
    words = said(replace(EMPTY, cost=Cost(models, ("3 h have no readings",), stated=True)))
    for each in (
        "dear 1,200.00 EUR 75 % acme/big stale: read 90 days ago 300.00 EUR △ the API is cheaper",
        "good 10.00 EUR - acme/big 20.50 EUR ✓ own hosts are cheaper",
        "odd 1.00 EUR - - - no price is known",
        "All models: 1,211.00 EUR.",
        "3 h have no readings",
    ):
        assert each in words, each
    assert "Not known: gpu1 has no price" in said(
        replace(EMPTY, cost=Cost(stated=True, fault="gpu1 has no price"))
    )
    assert "No model held a host" in said(replace(EMPTY, cost=Cost(stated=True)))


def said(found: Findings) -> str:
    return " ".join(" ".join(Seen(page(found)).texts).split())


def test_a_page_of_too_much_is_cut_and_says_so() -> None:
    base = hostile("<&>\"' " * 60)
    many = replace(
        base,
        changes=base.changes * 300,
        drift=base.drift * 300,
        latency=tuple(replace(base.latency[0], name=str(each)) for each in range(300)),
        use=replace(base.use, keys=base.use.keys * 300),
    )
    text = page(many)
    assert len(text.encode()) <= MOST
    words = " ".join(Seen(text).texts)
    assert "older ones are not on this page" in words
    assert "more keys" in words
    small = page(many, 100_000)
    assert len(small.encode()) <= 100_000


def test_a_year_of_twenty_hosts_fits_on_the_page(tmp_path: Path) -> None:
    # Fewer keys than in the benchmark: rows of use are summed, so their number does not show on the page.
    size = replace(YEAR, keys=10)
    history = write_history(tmp_path / "history.db", size)
    found = gather(made_status(history, size), history, NOW - 365 * 86_400, NOW, UpstreamFindings())
    history.close()
    assert len(found.changes) > 350
    assert len(found.use.columns) == 53
    assert len(page(found).encode()) <= MOST


@pytest.mark.parametrize(
    ("days", "first", "number"),
    [(1, "6:00", 5), (7, "Nov", 4), (30, "Nov", 5), (365, "2026", 5), (3000, "20", 8)],
)
def test_the_axis_has_a_few_times_that_are_easily_read(days: int, first: str, number: int) -> None:
    found = ticks(TimeAxis(NOW - days * 86_400, NOW))
    assert all(NOW - days * 86_400 <= at <= NOW for at, _ in found)
    assert 2 <= len(found) <= number
    assert first in found[-1][1]


def test_changes_at_the_same_place_are_one_mark() -> None:
    marks = [Mark(NOW - each, each % 2 == 0, f"mark {each}") for each in range(100)]
    text = lanes(TimeAxis(NOW - 86_400, NOW), [Lane("tiny", "", (), marks)], "x")
    assert text.count('class="ok"') == text.count('class="no"') == 1
    assert "50 changes: mark 98" in text


def test_charts_take_no_values_and_zeros() -> None:
    assert "<svg" in stacked(("1 Nov",), ({},), (), "x")
    assert "<svg" in stacked((), (), ("tiny",), "x")
    assert "<svg" in dumbbells((), "x")
    assert 'class="way down"' in dumbbells((ValuePair("a", 5.0, 5.0, ""),), "x")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"),
        (7.5, "7.5"),
        (999, "999"),
        (999.9, "1k"),
        (1200, "1.2k"),
        (254e6, "254M"),
        (3e12, "3T"),
    ],
)
def test_numbers_are_short(value: float, words: str) -> None:
    assert short(value) == words
