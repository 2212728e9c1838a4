"""`toolkit notify`: the channels that tell people, and a message to try them."""

from __future__ import annotations

import secrets
import socket
import time
from typing import Any

import click

from toolkit.cli.arguments.options import home_option, json_option
from toolkit.cli.opening.context import home_directory
from toolkit.cli.opening.trail import notify_path
from toolkit.cli.terminal.output import note, print_json, say, table
from toolkit.domain.trail.channel import Mail, Way, Webhook
from toolkit.domain.trail.notice import Notice
from toolkit.errors import InputError, ToolkitError
from toolkit.workflows.trail.desk import NoticeDesk


@click.group(invoke_without_command=True)
@home_option()
@json_option()
@click.pass_context
def notify(context: click.Context, home: str | None, as_json: bool) -> None:
    """Show and try the channels that tell people how a deployment ended."""
    if context.invoked_subcommand is None:
        _show(home, as_json)


@notify.command("test")
@home_option()
@json_option()
def test_channels(home: str | None, as_json: bool) -> None:
    """Send a test message on every channel, whatever the channel tells."""
    desk = _desk(home)
    if not desk.channels():
        path = notify_path(home_directory(home))
        raise InputError(f"there are no channels in {path}", hint="see docs/notifications.md")
    now = time.time()
    machine = socket.gethostname()
    notice = Notice(secrets.token_hex(8), now, "notify test", "done", machine=machine)
    tried = desk.try_all(notice)
    failed = [f"{each['where']}: {each['why']}" for each in tried if each["why"]]
    failure = None
    if failed:
        words = "these channels were not told:\n  " + "\n  ".join(failed)
        failure = ToolkitError(words, hint=f"look at {notify_path(home_directory(home))}")
    if as_json:
        print_json({"channels": tried}, failure)
        return
    for each in tried:
        if not each["why"]:
            say(f"{each['where']} was told")
    if failure:
        raise failure


def _show(home: str | None, as_json: bool) -> None:
    desk, path = _desk(home), notify_path(home_directory(home))
    waiting = desk.waiting()
    rows: list[dict[str, Any]] = [
        {
            "name": each.name,
            "kind": _kind(each.way),
            "commands": list(each.commands),
            "when": [word for word, told in (("done", each.done), ("failed", each.failed)) if told],
            "waiting": waiting.get(each.name, 0),
        }
        for each in desk.channels()
    ]
    if as_json:
        print_json({"path": str(path), "channels": rows})
        return
    if not rows:
        say(f"nobody is told: there are no channels in {path}")
        return
    table(
        ("CHANNEL", "KIND", "WHEN", "WAITING", "COMMANDS"),
        [
            (
                each["name"],
                each["kind"],
                ", ".join(each["when"]),
                each["waiting"] or "-",
                ", ".join(each["commands"]),
            )
            for each in rows
        ],
    )


def _kind(way: Way) -> str:
    return "webhook" if isinstance(way, Webhook) else "mail" if isinstance(way, Mail) else "apprise"


def _desk(home: str | None) -> NoticeDesk:
    home_path = home_directory(home)
    return NoticeDesk(notify_path(home_path), home_path, note, time.time)
