"""The page of a report."""

from __future__ import annotations

from toolkit import __version__
from toolkit.cli.views.report import fleet, releases, use
from toolkit.cli.views.report.charts import patterns, short
from toolkit.cli.views.report.html import Html, tag
from toolkit.cli.views.report.parts import day, minute, nothing
from toolkit.cli.views.report.style import style
from toolkit.planning.report.changes import ChangeEnd
from toolkit.planning.report.findings import Findings

# Bytes of a page.
MOST = 300_000
_LEAST_ROOM = 32
_SECTIONS = (
    ("fleet", "Fleet", fleet.fleet),
    ("releases", "Releases", releases.timeline),
    ("latency", "Latency", releases.latency),
    ("objectives", "Objectives", use.objectives),
    ("use", "Use", use.use),
    ("cost", "Cost", use.cost),
    ("drift", "Drift and outdated", fleet.state),
)


def page(found: Findings, most: int = MOST) -> str:
    """Return the whole page, of at most `most` bytes; no script, nothing from elsewhere, every text escaped.

    Where there is more to say, tables are cut, and each says what it leaves out.
    """
    room = 1
    while True:
        text = _page(found, room)
        if len(text.encode()) <= most or room > _LEAST_ROOM:
            return text
        room *= 2


def _page(found: Findings, room: int) -> str:
    css, policy = style()
    title = f"Fleet report, {day(found.since)} to {day(found.until)}"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
        css,
    )
    body = tag(
        "body",
        patterns(),
        tag("main", _header(found), _tiles(found), [make(found, room) for _, _, make in _SECTIONS], _footer(found)),
    )  # fmt: skip
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _header(found: Findings) -> Html:
    links = [tag("a", words, href=f"#{id}") for id, words, _ in _SECTIONS]
    fault = found.history_fault
    return tag(
        "header",
        tag("h1", "Fleet report"),
        tag("div", f"{day(found.since)} to {day(found.until)} (UTC)", class_="soft"),
        tag("nav", links, aria_label="Sections"),
        nothing(f"The history could not be read in full: {fault}") if fault else None,
    )


def _tiles(found: Findings) -> Html:
    facts = found.fleet.facts
    away = len(found.fleet.errors)
    serving = {slot.model for each in facts.values() for slot in each.slots if slot.serving}
    live = [each for each in found.changes if each.ending is ChangeEnd.LIVE]
    back = [each for each in found.changes if each.ending in (ChangeEnd.RETURNED, ChangeEnd.FAILED)]
    requests = sum(each.requests for each in found.use.models)
    tokens_in = sum(each.tokens_in for each in found.use.models)
    tokens_out = sum(each.tokens_out for each in found.use.models)
    failed = sum(each.failed for each in found.use.models)
    drift = len(found.drift)
    tiles = (
        ("Hosts", f"{len(facts)}", f"{away} unreachable" if away else "all answer"),
        ("Models", f"{len(serving)}", "serving now"),
        ("Went live", f"{len(live):,}", f"{len(back):,} returned or failed"),
        ("Requests", short(requests), f"{failed:,} failed" if requests else "none collected"),
        ("Tokens", short(tokens_in + tokens_out), f"{short(tokens_in)} in, {short(tokens_out)} out"),
        ("Drift", f"{drift:,}", ("difference" if drift == 1 else "differences") if drift else "as deployed"),
    )  # fmt: skip
    return tag(
        "dl",
        [
            tag(
                "div",
                tag("dt", name),
                tag("dd", value, class_="big"),
                tag("dd", more, class_="more"),
                class_="tile",
            )
            for name, value, more in tiles
        ],
        class_="tiles",
    )


def _footer(found: Findings) -> Html:
    return tag(
        "footer",
        f"Made by toolkit {__version__} at {minute(found.until)} UTC. All times are in UTC. "
        "The page holds no script and loads nothing.",
    )
