"""`toolkit requests`: the access log, with how each request ended and what it used."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import click

from toolkit.cli.arguments.numbers import Whole
from toolkit.cli.arguments.options import site_options
from toolkit.cli.completion.unknown_model import require_known
from toolkit.cli.opening.context import home_directory, open_fleet, open_ports
from toolkit.cli.terminal.output import note, print_json, print_json_line, say
from toolkit.cli.terminal.streams import output_is_lost
from toolkit.domain.clients.requests import LoggedRequest
from toolkit.domain.moment import moment_text
from toolkit.workflows.fleet.requests import Clock, RequestReader


@click.command()
@click.argument("model", default="")
@click.option("-f", "--follow", is_flag=True, help="Go on with new requests, until Ctrl-C.")
@click.option(
    "-n",
    "--lines",
    type=Whole(0, 1000),
    default=20,
    show_default=True,
    help="Requests to begin with.",
)
@click.option("--host", "named", metavar="HOST", help="Only those that came in at this host.")
@site_options()
def requests(
    model: str,
    follow: bool,
    lines: int,
    named: str | None,
    fleet: str | None,
    home: str | None,
    as_json: bool,
) -> None:
    """Show the requests that routers have logged: how each ended, why, and its tokens.

    Without MODEL these are the requests of all models, and those that a router itself answered. With --follow and
    --json each line is a document of its own.
    """
    hosts = open_fleet(fleet).select([named] if named else [])
    ports, clock = open_ports(hosts, home_directory(home)), Clock(time.time, time.sleep)
    reader = RequestReader(ports, model, clock, note)
    found = reader.latest(lines)
    if model and not found:
        require_known(model, home, "log")
    if follow:
        _show(chain(found, reader.further(found)), len(hosts) > 1, as_json)
        return
    if as_json:
        print_json({"requests": [_json(each) for each in found]})
        return
    if not found and lines:
        note("no request is logged" + (f" of {model}" if model else ""))
    _show(found, len(hosts) > 1, as_json)


def _show(found: Iterable[LoggedRequest], several: bool, as_json: bool) -> None:
    for each in found:
        if as_json:
            print_json_line({"requests": [_json(each)]})
        else:
            say(_line(each, several))
        sys.stdout.flush()
        if output_is_lost():
            return


def _line(each: LoggedRequest, several: bool) -> str:
    """Return a line of words in a fixed order, `-` for what is unknown: `grep` and `awk` find their way in it."""
    release = f"#{each.release}" if each.release else "-"
    tokens = "/".join(
        "-" if count is None else str(count) for count in (each.tokens_in, each.tokens_out)
    )
    words = (
        moment_text(each.at),
        *([each.host] if several else ()),
        *(each.model, release, each.slot, each.key, str(each.status), each.reason),
        *(tokens, f"{max(each.total_ms, 0) / 1000:.2f}s", each.path, each.request_id),
        *([f"left_out={each.left_out}"] if each.left_out else ()),
    )
    return " ".join(words)


def _json(each: LoggedRequest) -> dict[str, Any]:
    return {**asdict(each), "at": datetime.fromtimestamp(each.at, UTC).isoformat()}
