"""`toolkit audit`: every change with its person, origin and reason, and whether that log is whole."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from toolkit.adapters.audit.log import AuditLog, machine_of
from toolkit.adapters.audit.who import actor
from toolkit.cli.arguments import times
from toolkit.cli.arguments.numbers import Whole
from toolkit.cli.arguments.options import home_option, json_option, site_options, together
from toolkit.cli.opening.context import home_directory, open_hosts
from toolkit.cli.terminal.output import note, print_json, say, table
from toolkit.config.completion.glance import models_in
from toolkit.domain.hosts.failures import with_unchecked
from toolkit.domain.moment import moment_text
from toolkit.domain.quantity import format_seconds
from toolkit.domain.trail.audit import KeptHead
from toolkit.errors import HostError, InputError, IntegrityError, ToolkitError
from toolkit.planning.upkeep.audit import (
    AuditEntry,
    Examined,
    chosen,
    entries,
    examine,
    removed_logs,
)
from toolkit.workflows.fleet.look import each_at_once

_LIMIT = 50


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The options that choose among the commands in the log."""

    limit: int
    model: str = ""
    since: str = ""
    who: str = ""

    @property
    def filters(self) -> bool:
        return bool(self.model or self.since or self.who)


_filters = together(
    click.option("--model", default="", metavar="MODEL", help="Only commands about this model."),
    click.option(
        "--since",
        default="",
        metavar="TIME",
        help="Only what is not older, as in 7d, 12h, 2026-11-01 or 2026-11-01T18:00 (UTC).",
    ),
    click.option(
        "--who",
        default="",
        metavar="NAME",
        help="Only commands of this person, by any name of the log: user, login, address, key.",
    ),
    click.option(
        "--limit",
        type=Whole(1),
        default=_LIMIT,
        show_default=True,
        help="At most so many, the newest.",
    ),
)


@click.group(invoke_without_command=True)
@home_option()
@json_option()
@click.pass_context
def audit(context: click.Context, home: str | None, as_json: bool) -> None:
    """Show and verify the log of who changed what, when and why."""
    if context.invoked_subcommand is None:
        _list(_Wanted(limit=_LIMIT), home, as_json)


@audit.command("list")
@_filters
@home_option()
@json_option()
def list_entries(home: str | None, as_json: bool, **wanted: Any) -> None:
    """List the changing commands, the newest last."""
    _list(_Wanted(**wanted), home, as_json)


def _list(wanted: _Wanted, home: str | None, as_json: bool) -> None:
    since = times.since(wanted.since, time.time())
    every = _entries(home)
    _require_known(every, wanted)
    found = chosen(every, model=wanted.model, who=wanted.who, since=since)[-wanted.limit :]
    if as_json:
        print_json({"entries": [each.as_json() for each in found]})
        return
    if not found:
        say("nothing is recorded" + (" of that" if wanted.filters else ""))
        return
    table(
        ("WHEN", "ID", "WHO", "COMMAND", "RELEASE", "OUTCOME", "WHY"),
        [
            (
                _when(each["at"]),
                each["id"],
                actor(each["who"]) or "-",
                each["command"] or "-",
                ", ".join(each["releases"]) or each["model"] or "-",
                each["outcome"],
                each["reason"] or "-",
            )
            for each in (one.as_json() for one in found)
        ],
    )


def _require_known(every: Sequence[AuditEntry], wanted: _Wanted) -> None:
    """Raise InputError for a person or a model that neither log nor registry knows."""
    if wanted.who and not chosen(every, who=wanted.who):
        raise InputError(f"no command of {wanted.who!r} is recorded", hint="toolkit audit")
    if wanted.model and not chosen(every, model=wanted.model):
        registry = Path(os.environ.get("TOOLKIT_REGISTRY") or "model_registry.yaml")
        if wanted.model not in models_in(registry):
            raise InputError(
                f"no command about a model {wanted.model!r} is recorded", hint="toolkit audit"
            )


@audit.command()
@click.argument("id")
@home_option()
@json_option()
def show(id: str, home: str | None, as_json: bool) -> None:
    """Show all that is recorded of the command ID."""
    found = next((each for each in _entries(home) if each.id == id), None)
    if found is None:
        raise InputError(f"no command {id!r} is recorded", hint="toolkit audit")
    if as_json:
        print_json({"entry": found.as_json()})
        return
    for name, value in _rows(found):
        say(f"{name.ljust(10)}  {value}")


@audit.command()
@site_options()
def verify(fleet: str | None, home: str | None, as_json: bool) -> None:
    """Compare the log with itself and with what the hosts have seen of it."""
    home_path = home_directory(home)
    log = AuditLog(home_path)
    hosts = open_hosts(fleet, home_path)
    answers = dict(zip([each.name for each in hosts], each_at_once(hosts, _heads), strict=True))
    heads = [
        each for found in answers.values() if not isinstance(found, HostError) for each in found
    ]
    errors = {name: each for name, each in answers.items() if isinstance(each, HostError)}
    found = examine(*log.read(), heads)
    aside, unread = _put_aside(log, heads)
    known = [found.log, *(each.log for each in aside.values())]
    faults = [
        f"line {each.line}: {each.words}" if each.line else each.words for each in found.faults
    ]
    faults += removed_logs(heads, known, machine_of(home_path))
    failure = _failure(str(log.path), faults, errors, unread)
    if as_json:
        document = {
            "path": str(log.path),
            "log": found.log,
            "lines": len(found.lines),
            "faults": [asdict(each) for each in found.faults],
            "removed": [*removed_logs(heads, known, machine_of(home_path))],
            "confirmed": dict(found.confirmed),
            "torn": found.torn,
            "unread": unread,
            "unreachable": {name: each.message for name, each in errors.items()},
        }
        print_json(document, failure)
        return
    _say_verified(found, [name for name in answers if name not in errors], aside)
    if failure:
        raise failure


def _put_aside(
    log: AuditLog, heads: Sequence[KeptHead]
) -> tuple[dict[str, Examined], dict[str, str]]:
    """Return the logs that somebody put aside, and why others cannot be read, by their paths."""
    aside, unread = dict[str, Examined](), dict[str, str]()
    for path in log.put_aside():
        try:
            aside[str(path)] = examine(*log.read(path), heads)
        except ToolkitError as error:
            unread[str(path)] = error.message.removeprefix(f"{path}: ")
    return aside, unread


def _heads(host: Any) -> tuple[KeptHead, ...] | HostError:
    try:
        found: tuple[KeptHead, ...] = host.audit_heads()
    except HostError as error:
        return error
    return found


def _say_verified(found: Examined, hosts: Sequence[str], aside: Mapping[str, Examined]) -> None:
    if found.torn:
        note(
            f"the last {found.torn} bytes are a line that was not finished: a command was killed "
            "while it wrote; the next command says so in the log"
        )
    for path, each in aside.items():
        note(f"put aside: {path}, {len(each.lines)} lines, {len(each.faults)} faults")
    for name in hosts:
        sequence = found.confirmed.get(name)
        words = "has seen no line of it" if sequence is None else f"confirms it up to {sequence}"
        note(f"{name} {words}")
    if not found.faults:
        say(f"{len(found.lines)} lines, and each follows the one before")


def _failure(
    path: str, faults: Sequence[str], errors: Mapping[str, HostError], unread: Mapping[str, str]
) -> ToolkitError | None:
    logs = "these logs were not read:" + "".join(
        f"\n  {each}: {why}" for each, why in unread.items()
    )
    if faults:
        words = f"{path} is not as it was written:\n  " + "\n  ".join(faults)
        changed = IntegrityError(
            f"{words}\n{logs}" if unread else words,
            hint="keep the file as evidence, and find out who can write to it",
        )
        return with_unchecked(changed, errors)
    if errors:
        words = "the log was not compared with what these hosts have seen:\n  " + "\n  ".join(
            each.message for each in errors.values()
        )
        failure = HostError(
            f"{words}\n{logs}" if unread else words,
            hint="toolkit audit verify, once they answer",
        )
        failure.hosts = dict(errors)
        return failure
    if unread:
        first = next(iter(unread))
        hint = f"move each away, or let the user of the commands read it: mv {first} ELSEWHERE"
        return ToolkitError(logs, hint=hint)
    return None


def _entries(home: str | None) -> list[AuditEntry]:
    texts, rest = AuditLog(home_directory(home)).read()
    found = examine(texts, rest, ())
    if found.faults:
        note("warning: this log is not as it was written; see toolkit audit verify")
    return entries(found.lines)


def _rows(entry: AuditEntry) -> list[tuple[str, str]]:
    found = entry.as_json()
    rows = [
        ("when", _when(found["at"])),
        ("command", " ".join(["toolkit", *found["words"]])),
        ("why", found["reason"] or "-"),
        *((f"{name}", value) for name, value in found["who"].items()),
        ("release", ", ".join(found["releases"]) or found["model"] or "-"),
        *found["digests"].items(),
        ("outcome", found["outcome"]),
    ]
    if found["error"]:
        rows.append(("error", found["error"].get("message", "")))
    if found["seconds"] is not None:
        rows.append(("took", format_seconds(found["seconds"])))
    for host, each in found["hosts"].items():
        why = f": {each['reason']}" if each.get("reason") else ""
        rows.append(("host", f"{host} {each.get('outcome', '')}{why}"))
    for each in found["gates"]:
        why = f": {each['reason']}" if each.get("reason") else ""
        rows.append(("gate", f"{each.get('host')} {each.get('gate')} {each.get('verdict')}{why}"))
    rows += [
        ("told", f"{each.get('where')}: {each.get('outcome')} {each.get('why', '')}".rstrip())
        for each in found["told"]
    ]
    rows.append(("lines", ", ".join(map(str, found["sequences"]))))
    return [(name, str(value)) for name, value in rows]


def _when(at: object) -> str:
    return moment_text(at) if isinstance(at, (int, float)) else "-"
