"""`toolkit top`: the load of the fleet as it is now, again and again."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence

import click

from toolkit.adapters.disk import scratch_of
from toolkit.adapters.history.history import History
from toolkit.adapters.hosts.client import Clients
from toolkit.adapters.hosts.port import HostPort
from toolkit.cli.arguments.options import site_options
from toolkit.cli.opening.context import home_directory, open_fleet, open_history, open_ports
from toolkit.cli.terminal.output import print_json, say_whole, without_orders
from toolkit.cli.terminal.screen import Screen
from toolkit.cli.terminal.streams import output_is_lost
from toolkit.cli.terminal.table import has_colours, terminal_width
from toolkit.cli.views.top import Frame, TopRow, frame_json, frame_lines, summary
from toolkit.domain.moment import moment_text
from toolkit.planning.upkeep.load import NO_LOAD
from toolkit.workflows.change.wishes import watched
from toolkit.workflows.fleet.top import Follower, HostView, fleet_facts, see_once

# Seconds between two looks at a host, and between two frames.
_LOOKS, _FRAMES = 2.0, 1.0


@click.command()
@click.option("--once", is_flag=True, help="Show one frame and end, as without a terminal.")
@site_options()
def top(once: bool, fleet: str | None, home: str | None, as_json: bool) -> None:
    """Show the load of hosts, models and replicas as it is now; q ends it."""
    home_path = home_directory(home)
    clients = Clients(scratch_of(home_path))
    hosts = open_ports(open_fleet(fleet).hosts, home_path, clients)
    history = open_history(home_path, needed=False)
    if once or as_json or not _is_live():
        _show_once(hosts, history, as_json=as_json)
    else:
        _follow(hosts, history, clients.stop.begin)


def _is_live() -> bool:
    return sys.stdout.isatty() and has_colours()


def _show_once(hosts: Sequence[HostPort], history: History, *, as_json: bool) -> None:
    frame = _frame(hosts, see_once(hosts, time.sleep, time.time), history)
    failure = frame.fleet.failure() if frame.fleet.errors else None
    if as_json and (failure is None or frame.fleet.facts):
        print_json(frame_json(frame), failure)
        return
    if frame.fleet.facts:
        for line in frame_lines(frame, terminal_width(), colours=has_colours()):
            say_whole(without_orders(line))
    if failure:
        raise failure


def _follow(hosts: Sequence[HostPort], history: History, stop: Callable[[], None]) -> None:
    with Screen() as screen, Follower(hosts, _LOOKS, time.time, stop) as follower:
        while not output_is_lost():
            frame = _frame(hosts, follower.seen(), history)
            size = shutil.get_terminal_size()
            title = f"{moment_text(time.time()).partition(' ')[2]}   {summary(frame)}"
            screen.draw(title, frame_lines(frame, size.columns, colours=True), size)
            if "q" in screen.keys(_FRAMES).lower():
                return


def _frame(
    hosts: Sequence[HostPort], seen: Mapping[str, HostView | None], history: History
) -> Frame:
    fleet = fleet_facts(hosts, seen)
    now = time.time()
    rows = [
        TopRow(name, slot, sight.loads.get((slot.model, slot.slot), NO_LOAD))
        for name, sight in seen.items()
        if sight and sight.facts
        for slot in sight.facts.slots
    ]
    known = history.unfinished()
    rollouts = {each.rollout for each in known}
    opened = [
        each.on(name) for name, facts in fleet.facts.items() for each in facts.open_deployments
    ]
    foreign = [each for each in opened if each.rollout not in rollouts]
    return Frame(
        now,
        fleet,
        tuple(rows),
        tuple(watched(fleet)),
        (*known, *foreign),
        {name: now - each.at for name, each in seen.items() if each and each.error},
        tuple(name for name, each in seen.items() if each is None),
        max((each.seconds for each in seen.values() if each), default=0.0),
    )
