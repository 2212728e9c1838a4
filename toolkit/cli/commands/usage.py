"""`toolkit usage`: what clients asked models for and got, collected from the hosts into the history."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click

from toolkit.adapters.history.history import History
from toolkit.cli.arguments.options import no_hosts_option, since_option, site_options
from toolkit.cli.arguments.times import first_and_last
from toolkit.cli.completion.unknown_model import require_known
from toolkit.cli.opening.context import home_directory, open_history, open_hosts
from toolkit.cli.opening.ops_figures import keep_ops_current
from toolkit.cli.terminal.output import note, print_json, require_one_form, say, say_whole, table
from toolkit.cli.terminal.spreadsheet import csv_text
from toolkit.config.completion.known_names import known_keys
from toolkit.domain.clients.use import NO_KEY, UseRow
from toolkit.domain.registry.model import unknown
from toolkit.planning.use.reconciled import Reconciled, reconciled
from toolkit.planning.use.totals import GROUPS, columns, total
from toolkit.workflows.fleet.recorded import to_come, words_on_days_to_come
from toolkit.workflows.use.collect import Collected, collect, tell


@click.command()
@click.option(
    "--by",
    type=click.Choice([*GROUPS]),
    multiple=True,
    default=("key",),
    show_default=True,
    help="What the rows are; may be given again.",
)
@since_option("The first day, as in 2026-11-01 or 7d: today and the 6 before.")
@click.option(
    "--until", default=None, metavar="DAY", help="The last day; it counts.  [default: today]"
)
@click.option(
    "--model",
    default=None,
    metavar="NAME",
    help="Only this model with its adapters, or this adapter.",
)
@click.option("--key", default=None, metavar="NAME", help="Only this key.")
@no_hosts_option()
@click.option("--csv", "as_csv", is_flag=True, help="Print the rows as CSV with a header.")
@site_options()
def usage(
    no_hosts: bool, as_csv: bool, fleet: str | None, home: str | None, as_json: bool, **wanted: Any
) -> None:
    """Show requests and tokens by key, model, release, day or host, beside the engines' counters.

    Days are in UTC. Hosts that do not answer are named; what they recorded is collected when they are back, and their
    absence changes no exit code.
    """
    require_one_form(csv=as_csv, json=as_json)
    by = tuple(dict.fromkeys(wanted["by"]))
    model, key = wanted["model"] or "", wanted["key"] or ""
    now = time.time()
    today = datetime.fromtimestamp(now, UTC).date()
    first, last = map(str, first_and_last(wanted["since"], wanted["until"], today))
    home_path = home_directory(home)
    history = open_history(home_path, whole=True)
    collected = Collected()
    if not no_hosts:
        hosts = open_hosts(fleet, home_path)
        collected = collect(hosts, history)
        tell(hosts)
        keep_ops_current(home_path)
    kinds = columns(by)
    rows = sorted(history.use(first, last, by=kinds, model=model, key=key), key=_order(by))
    if not rows:
        _require_known(history, model, key, fleet, home)
    begin = datetime.fromisoformat(first).replace(tzinfo=UTC).timestamp()
    releases = reconciled(history.use_runs(), model=model, since=begin)
    ahead = to_come(history, now)
    if as_json:
        found = _document(by, first, last, rows, releases, collected, history.use_cursors())
        print_json({**found, "to_come": ahead})
        return
    if as_csv:
        _write_csv(kinds, rows)
    else:
        _show(by, rows, releases)
    for remark in (*collected.remarks(), *words_on_days_to_come(ahead)):
        note(remark)
    for cursor in history.use_cursors():
        if cursor.refused:
            note(f"{cursor.host}: {cursor.refused} lines of its replicas were no records")
        if cursor.lost:
            note(f"{cursor.host}: {cursor.lost} records were dropped before they were collected")
        if cursor.set_back:
            note(
                f"{cursor.host}: its disk was set back to an earlier state; what was recorded there before that and was"
                " not collected by then is not in here"
            )


def _require_known(
    history: History, model: str, key: str, fleet: str | None, home: str | None
) -> None:
    """Raise InputError for a filter's name that never used anything, and that neither registry nor fleet has."""
    if model and not history.use(by=("model",), model=model):
        require_known(model, home, "recorded use")
    keys = known_keys(home_directory(home), fleet)
    if not key or key in (*keys, NO_KEY) or history.use(by=("key",), key=key):
        return
    if keys:
        raise unknown("key", key, keys, where="on the hosts")
    # Only where a command about keys has seen them is it known which there are.
    note(f"no record names the key {key}; which keys there are: toolkit keys list")


def _document(
    by: Sequence[str],
    first: str,
    last: str,
    rows: Sequence[UseRow],
    releases: Sequence[Reconciled],
    collected: Collected,
    cursors: Sequence[Any],
) -> dict[str, Any]:
    kinds = columns(by)
    return {
        "since": first,
        "until": last,
        "by": list(by),
        "rows": [_fields(kinds, each) for each in rows],
        "total": _fields((), total(rows)),
        "reconciled": [
            {
                **asdict(each),
                "difference_in": each.difference_in,
                "difference_out": each.difference_out,
            }
            for each in releases
        ],
        "collected": collected.records,
        "unreachable": {name: each.message for name, each in collected.errors.items()},
        "refused": {each.host: each.refused for each in cursors if each.refused},
        "lost": {each.host: each.lost for each in cursors if each.lost},
        "set_back": {each.host: each.set_back for each in cursors if each.set_back},
    }


_NUMBERS = ("requests", "tokens_in", "cached", "tokens_out", "reasoning", "unknown")


def _fields(kinds: Sequence[str], row: UseRow) -> dict[str, Any]:
    return {
        **{each: getattr(row, each) for each in kinds},
        **{each: getattr(row, each) for each in _NUMBERS},
        "audio_seconds": round(row.audio_seconds, 3),
    }


def _order(by: Sequence[str]) -> Callable[[UseRow], tuple[Any, ...]]:
    """Return the key for sorting rows by the first group, then by the next."""
    names = [name for each in by for name in _IN_ORDER.get(each, (each,))]
    return lambda row: tuple(getattr(row, name) for name in names)


_IN_ORDER = {"release": ("base", "release", "version")}


def _write_csv(kinds: Sequence[str], rows: Sequence[UseRow]) -> None:
    names = list(_fields(kinds, total(())))
    say_whole(csv_text(names, ([*_fields(kinds, each).values()] for each in rows)).rstrip("\n"))


def _show(by: Sequence[str], rows: Sequence[UseRow], releases: Sequence[Reconciled]) -> None:
    if not rows:
        say("no use is recorded in these days")
    else:
        whole = total(rows)
        # A count that is zero in all rows gets no column.
        numbers = [each for each in _NUMBERS if each in _ALWAYS or getattr(whole, each)]
        headers = [each.upper() for each in by] + [_HEADERS[each] for each in numbers]
        lines = [
            [*(_named(each, row) for each in by), *(f"{getattr(row, name):,}" for name in numbers)]
            for row in rows
        ]
        lines.append(
            ["all", *[""] * (len(by) - 1), *(f"{getattr(whole, name):,}" for name in numbers)]
        )
        table(headers, lines)
        if whole.audio_seconds:
            say(f"audio: {whole.audio_seconds:,.0f} s")
        if whole.unknown:
            say(f"unknown: {whole.unknown:,} requests broke off without a count of their tokens")
    if releases:
        say()
        table(("RELEASE", "RECORDS", "ENGINE IN", "OUT", "DIFFERENCE", "OPEN"), _compared(releases))
    for each in releases:
        for words in _remarks(each):
            say(f"{_release(each.model, each.release, each.version)}: {words}")


_ALWAYS = ("requests", "tokens_in", "cached", "tokens_out")
_HEADERS = {
    "requests": "REQUESTS",
    "tokens_in": "IN",
    "cached": "CACHED",
    "tokens_out": "OUT",
    "reasoning": "THOUGHT",
    "unknown": "UNKNOWN",
}


def _named(group: str, row: UseRow) -> str:
    if group == "release":
        return _release(row.base, row.release, row.version)
    if group == "key":
        return "(no key)" if row.key == NO_KEY else row.key
    return str(getattr(row, group))


def _release(model: str, number: int, version: str) -> str:
    return f"{model} #{number} ({version})"


def _compared(releases: Sequence[Reconciled]) -> list[list[str]]:
    return [
        [
            _release(each.model, each.release, each.version),
            f"{each.records:,}",
            f"{each.engine_asked:,}",
            f"{each.engine_out:,}",
            "0" if each.exact else f"{each.difference_in:+,} in, {each.difference_out:+,} out",
            f"{each.open:,}",
        ]
        for each in releases
    ]


def _remarks(found: Reconciled) -> list[str]:
    words = []
    if found.missing:
        words.append(f"{found.missing:,} records never came")
    if found.unknown:
        words.append(f"{found.unknown:,} records have no count of their tokens")
    if found.silent:
        words.append(f"{found.silent} of {found.runs} runs have told no counters yet")
    return words
