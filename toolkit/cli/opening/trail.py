"""Record a changing command in the audit log: the decorator of its function, and the trail that it leaves."""

from __future__ import annotations

import functools
import hashlib
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli.opening.context import home_directory
from toolkit.cli.terminal.output import note
from toolkit.errors import ToolkitError
from toolkit.workflows.tools import NoTrail

if TYPE_CHECKING:
    from toolkit.workflows.trail.trail import CommandTrail

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
_KEY = "toolkit.cli.opening.trail"
# Option of a file that determines what a command does -> the field of a record with the digest of that file.
_FILES = {"registry_path": "registry", "fleet": "fleet"}


class Unrecorded(NoTrail):
    """The trail of a command that changes nothing."""

    reason = ""

    def begin(self, plan: Mapping[str, Any] | None = None) -> None:
        """Record nothing."""

    def begin_once(self) -> None:
        """Record nothing."""


def changing(*, at_once: bool = False, goes_on: bool = False) -> Decorator:
    """Have a command recorded, and give it the option `--reason`.

    The intent is recorded when the plan is agreed to, see `views.plan.go_ahead`; with `at_once` before the command's
    function, for a command that asks nothing. One that asks nothing and may find nothing to do gives `begin_once` of
    its trail to what it calls. A command that `goes_on` is a way to safety: it goes on where the log
    cannot be written. Without a change nothing is recorded, except a refusal.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def run(*args: Any, reason: str = "", **options: Any) -> Any:
            name = " ".join(click.get_current_context().command_path.split()[1:])
            dry = bool(options.get("dry_run") or options.get("check"))
            with recorded(name, options, reason=reason, goes_on=goes_on, dry=dry) as trail:
                if at_once and not dry:
                    trail.begin()
                return command(*args, **options)

        return click.option("--reason", default="", metavar="TEXT", help="Why, for the audit log.")(
            run
        )

    return decorate


@contextmanager
def recorded(
    command: str,
    options: Mapping[str, Any],
    *,
    reason: str = "",
    goes_on: bool = False,
    dry: bool = False,
) -> Iterator[CommandTrail | Unrecorded]:
    """Record what is done in this context as `command`; see `changing`. `options` are those of the command."""
    context = click.get_current_context()
    before = context.meta.get(_KEY)
    if dry:
        context.meta[_KEY] = trail = Unrecorded()
        try:
            yield trail
        finally:
            context.meta[_KEY] = before
        return
    opened = _open_trail(command, options, reason, goes_on=goes_on)
    context.meta[_KEY] = opened
    try:
        yield opened
    except BaseException as error:
        # Before the outcome: an interruption while the end is recorded must not hide the error.
        opened.finish(error)
        raise
    else:
        opened.finish()
    finally:
        context.meta[_KEY] = before


def trail_now() -> CommandTrail | Unrecorded:
    """Return the trail of the command that runs."""
    context = click.get_current_context(silent=True)
    found = context.meta.get(_KEY) if context else None
    return found if found is not None else Unrecorded()


def record_found(home: Path, record: Mapping[str, Any]) -> None:
    """Record the verdict of a guard that no command waited for, and tell people; says where it cannot.

    `record` has `model` and the fields of `GateRecord.as_json`. None of this fails the command that found it.
    """
    from toolkit.adapters.audit.log import AuditLog
    from toolkit.domain.trail.audit import Event
    from toolkit.workflows.trail.desk import NoticeDesk
    from toolkit.workflows.trail.trail import notice_of_verdict

    log, id = AuditLog(home), secrets.token_hex(8)
    desk = NoticeDesk(notify_path(home), home, note, time.time)
    try:
        log.append({"event": Event.FOUND, "id": id, "command": "guard", **record})
        for told in desk.tell(notice_of_verdict(id, time.time(), record), {}):
            log.append({"event": Event.TOLD, "id": id, **told})
    except ToolkitError as error:
        note(f"warning: the audit log cannot be written: {error.message}")


def _open_trail(
    command: str, options: Mapping[str, Any], reason: str, *, goes_on: bool
) -> CommandTrail:
    from toolkit.adapters.audit.log import AuditLog
    from toolkit.adapters.audit.who import actor, who
    from toolkit.domain.trail.discretion import without_secrets, words_without_secrets
    from toolkit.workflows.trail.desk import NoticeDesk
    from toolkit.workflows.trail.trail import CommandTrail, Spoken

    home = home_directory(options.get("home") or os.environ.get("TOOLKIT_HOME"))
    person = who(os.environ)
    spoken = Spoken(
        command,
        tuple(words_without_secrets(sys.argv[1:])),
        person,
        actor(person),
        _digests(options),
        goes_on,
        # Some commands take MODEL@VERSION.
        without_secrets(str(options.get("model") or "")).partition("@")[0],
        called_again=bool(options.get("by_timer")),
    )
    desk = NoticeDesk(notify_path(home), home, note, time.time)
    return CommandTrail(spoken, AuditLog(home), desk, note, time.time, reason)


def notify_path(home: Path) -> Path:
    """Return the file with the settings of notifications and hooks."""
    return Path(os.environ.get("TOOLKIT_NOTIFY") or home / "notify.yaml")


def _digests(options: Mapping[str, Any]) -> dict[str, str]:
    """Return the SHA-256 of the files that the command reads, as they are now; a file that cannot be read has none."""
    from toolkit.regular import read_regular

    found = {}
    for option, name in _FILES.items():
        if path := options.get(option):
            with suppress(OSError):
                found[name] = hashlib.sha256(read_regular(Path(path))).hexdigest()
                lock = Path(path).with_suffix(".lock.json")
                if option == "registry_path" and lock.exists():
                    found["lock"] = hashlib.sha256(read_regular(lock)).hexdigest()
    return found
