"""`toolkit keys`: the keys of the fleet's routers."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from toolkit.adapters.hosts.port import HostPort
from toolkit.cli.arguments.numbers import Whole
from toolkit.cli.arguments.options import Decorator, costs_option, site_options
from toolkit.cli.opening.context import home_directory, open_hosts, remember_names
from toolkit.cli.opening.trail import changing
from toolkit.cli.terminal.output import note, print_json, say, say_whole, table
from toolkit.cli.terminal.standard_input import read_line
from toolkit.domain.clients.keys import MILLION, Charge, Key, KeyRing
from toolkit.domain.moment import moment_text
from toolkit.errors import HostError, InterruptionError
from toolkit.planning.economics.charge import amount_of, charge_of
from toolkit.planning.routing.keys import (
    made_anew,
    opened,
    uncounted,
    with_charge,
    with_key,
    without_key,
)
from toolkit.workflows.fleet.keys import FleetKeys, change_keys, read_keys, sync_keys

KEY_BYTES = 32
# No key is that long.
_MOST_LINE = 4096
OPEN = "THE DOOR IS OPEN: there are no keys, so whoever reaches a router can use every model"
SHUT = "nobody gets in: the last key was revoked, and that does not open the door"


def _quota(what: str, period: str) -> Decorator:
    words = "Requests" if what == "requests" else "Tokens of prompts and answers"
    return click.option(
        f"--{what}-per-{period}",
        type=Whole(1, 10**12 - 1),
        default=None,
        help=f"{words} in a {period} (UTC), after which it is refused.  [default: no quota]",
    )


@click.group()
def keys() -> None:
    """Give out, list and revoke keys of the router."""


@keys.command()
@changing(at_once=True)
@click.argument("name")
@click.option(
    "--requests-per-minute",
    "per_minute",
    type=Whole(1, 10**6),
    default=None,
    help="At most so many requests in any 60 seconds, on all hosts together.  [default: no limit]",
)
@click.option(
    "--concurrency",
    type=Whole(1, 10**6),
    default=None,
    help="At most so many requests at once, on each host.  [default: no limit]",
)
@_quota("requests", "day")
@_quota("tokens", "day")
@_quota("requests", "month")
@_quota("tokens", "month")
@click.option(
    "--cost-per-month",
    "budget",
    default="",
    metavar="AMOUNT",
    help="Cost of its tokens in a month (UTC), as in 50EUR, by `charge` of the file of costs.",
)
@costs_option()
@click.option(
    "--inside",
    is_flag=True,
    help="What is asked with it stays in the fleet: see `toolkit export litellm`.",
)
@click.option(
    "--key-stdin", is_flag=True, help="Read the key from standard input instead of making one."
)
@site_options()
def add(
    name: str,
    budget: str,
    costs_path: str,
    inside: bool,
    fleet: str | None,
    home: str | None,
    as_json: bool,
    *,
    key_stdin: bool,
    **asked: int | None,
) -> None:
    """Make a key and print it, this one time; from the first key on, nobody gets in without one."""
    key = _given_key() if key_stdin else "tk-" + secrets.token_urlsafe(KEY_BYTES)
    limits = {name: value or 0 for name, value in asked.items()}
    charge = _charge(costs_path) if budget else None
    if charge is not None:
        limits["cost_per_month"] = amount_of(budget, charge.currency)

    def edit(ring: KeyRing) -> KeyRing:
        made = with_key(ring, name, key, now=time.time(), inside=inside, **limits)
        return with_charge(made, charge) if charge else made

    try:
        changed = _change(fleet, home, edit, f"the key of {name}")
    except InterruptionError:
        if not key_stdin and not as_json:
            # Hosts that have it have it for good, and nobody could ever see it again.
            say_whole(key)
        raise
    if as_json:
        _print_json(changed, name, key=None if key_stdin else key)
        return
    if not key_stdin:
        say_whole(key)
    note(f"{name} gets in with it" + ("" if key_stdin else "; it is not shown again"))
    _end(changed)


def _given_key() -> str:
    hint = "echo KEY | toolkit keys add NAME --key-stdin"
    return read_line("the key", _MOST_LINE, hint=hint).strip()


@keys.command("list")
@site_options()
def list_keys(fleet: str | None, home: str | None, as_json: bool) -> None:
    """List the keys, their limits, and the hosts that do not follow yet."""
    seen = read_keys(_hosts(fleet, home))
    _remember(fleet, seen)
    if as_json:
        _print_json(seen)
        return
    table(_COLUMNS, [_row(key) for key in seen.ring.active])
    for key in seen.ring.active:
        if key.quotas:
            say(f"{key.name}: at most {', '.join(_quota_words(key, seen.ring.charge))}")
    for words in (*made_anew(seen.ring), *uncounted(seen.ring)):
        say(words)
    if not seen.ring.active:
        say(SHUT if seen.ring.is_locked else OPEN)
        hint = "; to open it: toolkit keys open" if seen.ring.is_locked else ""
        say(f"give out a key: toolkit keys add NAME{hint}")
    _end(seen)


@keys.command()
@changing(at_once=True, goes_on=True)
@click.argument("name")
@site_options()
def revoke(name: str, fleet: str | None, home: str | None, as_json: bool) -> None:
    """Refuse every request with this key from now on, half-sent ones too; running answers go on."""
    changed = _change(
        fleet, home, lambda ring: without_key(ring, name, now=time.time()), f"revoked {name}"
    )
    words = f"{name} is revoked" + ("" if changed.ring.active else f"; {SHUT}")
    _show(changed, as_json, words, name)


@keys.command()
@changing(at_once=True, goes_on=True)
@costs_option()
@site_options()
def sync(costs_path: str, fleet: str | None, home: str | None, as_json: bool) -> None:
    """Bring hosts that were away during a change to the keys of the others.

    Where keys have quotas of cost, the prices become those of the file of costs.
    """
    hosts = _hosts(fleet, home)
    changed = sync_keys(hosts)
    if changed.ring.charge is not None and Path(costs_path).exists():
        charge = _charge(costs_path)
        if with_charge(changed.ring, charge) != changed.ring:
            changed = change_keys(hosts, lambda ring: with_charge(ring, charge))
            note(f"quotas of cost count by the prices of {costs_path} from now on")
    _remember(fleet, changed)
    _show(changed, as_json, "every host follows the same keys" if changed.whole else "")


@keys.command("open")
@changing(at_once=True)
@site_options()
def open_door(fleet: str | None, home: str | None, as_json: bool) -> None:
    """Let everybody in again, after the last key was revoked."""
    _show(_change(fleet, home, opened, "let everybody in"), as_json, OPEN)


def _hosts(fleet: str | None, home: str | None) -> list[HostPort]:
    return open_hosts(fleet, home_directory(home))


def _change(
    fleet: str | None, home: str | None, edit: Callable[[KeyRing], KeyRing], done: str
) -> FleetKeys:
    """Change the keys of the fleet; raises InterruptionError with what hosts may have `done` where it is cut short."""
    hosts, begun = _hosts(fleet, home), []

    def edited(ring: KeyRing) -> KeyRing:
        begun.append(edit(ring))
        return begun[0]

    try:
        changed = change_keys(hosts, edited)
    except KeyboardInterrupt:
        if not begun:
            raise
        raise InterruptionError(
            f"interrupted; keys are not taken back, and hosts may have {done} already",
            hint="toolkit keys list; toolkit keys revoke NAME, or toolkit keys sync",
        ) from None
    _remember(fleet, changed)
    return changed


def _remember(fleet: str | None, found: FleetKeys) -> None:
    remember_names(fleet, keys=[key.name for key in found.ring.active])


_COLUMNS = ("NAME", "KEY", "A MINUTE", "AT ONCE", "INSIDE", "SINCE")


def _row(key: Key) -> tuple[object, ...]:
    limits = (key.per_minute or "-", key.concurrency or "-")
    if key.made_anew:
        return (key.name, key.digest[:12], *limits, "?", "?")
    return (
        key.name,
        key.digest[:12],
        *limits,
        "yes" if key.inside else "-",
        moment_text(key.created),
    )


def _quota_words(key: Key, charge: Charge | None) -> list[str]:
    return [
        f"{_shown(name, value, charge)} a {name.rpartition('_')[2]}"
        for name, value in key.quotas.items()
    ]


def _shown(name: str, value: int, charge: Charge | None) -> str:
    if name == "cost_per_month":
        return f"{charge.currency if charge else '?'} {value / MILLION:,.2f}"
    return f"{value:,} {name.partition('_')[0]}"


def _charge(costs_path: str) -> Charge:
    """Return the charge of the file of costs; raises InputError or RefusedError."""
    from toolkit.config.costs.reading import load_costs
    from toolkit.domain.costs.economics import day_of

    now = time.time()
    return charge_of(load_costs(Path(costs_path), day_of(now)), now)


def _show(found: FleetKeys, as_json: bool, words: str, name: str | None = None) -> None:
    if as_json:
        _print_json(found, name)
        return
    if words:
        say(words)
    _end(found)


def _print_json(found: FleetKeys, name: str | None = None, **more: Any) -> None:
    shown = [key for key in found.ring.keys if name in (None, key.name)]
    print_json(
        {
            **more,
            "door": "locked" if found.ring.is_locked else "open",
            "keys": [asdict(key) for key in shown],
            "currency": found.ring.charge.currency if found.ring.charge else "",
            "behind": list(found.behind),
            "unreachable": dict(found.unreachable),
        },
        _failure(found),
    )


def _end(found: FleetKeys) -> None:
    """Raise an error where a host does not follow, after the result was printed."""
    if failure := _failure(found):
        raise failure


def _failure(found: FleetKeys) -> HostError | None:
    if found.whole:
        return None
    late = [f"{name}: {reason}" for name, reason in found.unreachable.items()]
    late += [f"{name}: its keys are not those of the others" for name in found.behind]
    return HostError(
        "these hosts do not follow the keys yet, and still let in who was let in before:\n  "
        + "\n  ".join(late),
        hint="when they are back: toolkit keys sync",
    )
