"""Around a deployment: the hooks before and after, and notifications. None of it fails a deployment that ran."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from toolkit.domain.quantity import format_seconds
from toolkit.errors import InputError, RefusedError
from toolkit.workflows.tools import Say

# For types alone: a rollback acts before it loads the code that notifies people.
if TYPE_CHECKING:
    from toolkit.adapters.notices.outbox import Outbox, Waiting
    from toolkit.domain.trail.channel import Channel, NotifySettings
    from toolkit.domain.trail.notice import Notice

# All channels together, once a command has ended: people wait for their prompt.
TELL_SECONDS = 10.0
# Seconds after which they are told whom the command waits for.
SILENT = 2.0
# Pauses before the second and the third try of a notice.
PAUSES = (0.5, 1.5)
# Notices of former commands that one command tries on a channel.
MOST_OLD = 20
# A notice that could not be delivered for so long is given up.
KEEP_SECONDS = 7 * 86400.0
# A notice is given up after so many commands in which its channel refused it and took another one.
MOST_REFUSALS = 3

Deliver = Callable[["Channel", "Notice", float], None]
Record = dict[str, Any]


class _Failure(NamedTuple):
    """Why a notice was not delivered, empty where it was; `passes` where a later try of the same may succeed.

    A notice that was not `tried` waits for one before it. One that some have, `partly`, counts as delivered.
    """

    why: str = ""
    passes: bool = False
    tried: bool = True
    partly: bool = False


class NoticeDesk:
    """Hooks and channels as `path` (notify.yaml) has them; `home` holds the outbox.

    Without a `notify.yaml` in the home there are none. Any other file was named, and its absence is a fault.

    `clock` returns seconds since the epoch. `deliver` and `pause` are for tests.
    """

    def __init__(
        self,
        path: Path,
        home: Path,
        say: Say,
        clock: Callable[[], float],
        *,
        deliver: Deliver | None = None,
        pause: Callable[[float], None] = time.sleep,
        seconds: float = TELL_SECONDS,
    ) -> None:
        self._path, self._home, self._say, self._clock = path, home, say, clock
        self._given, self._pause, self._seconds = deliver, pause, seconds

    @cached_property
    def _box(self) -> Outbox:
        from toolkit.adapters.notices.outbox import Outbox

        return Outbox(self._home)

    @cached_property
    def _settings(self) -> NotifySettings:
        from toolkit.domain.trail.channel import NotifySettings

        if self._path == self._home / "notify.yaml" and not os.path.lexists(self._path):
            return NotifySettings()
        # Here and not above: a command without settings reads no YAML for them.
        from toolkit.config.notify import load_notify

        return load_notify(self._path)

    def check(self) -> None:
        """Raise InputError with file and line where the settings are wrong."""
        _ = self._settings

    def ask_before(self, intent: Mapping[str, Any], plan: Mapping[str, Any]) -> None:
        """Call the hook before a deployment; raises RefusedError with its words where it does not agree."""
        from toolkit.domain.trail.channel import HOOK_COMMANDS

        hook = self._settings.before
        if hook is None or intent["command"] not in HOOK_COMMANDS:
            return
        from toolkit.adapters.notices.hook import call_hook

        called = call_hook(hook, {"event": "before", **intent, "plan": plan})
        if not called.agreed:
            raise RefusedError(
                f"the hook {hook.run[0]} refused it: {called.words}",
                hint=f"hooks.before in {self._path}",
            )

    def tell(self, notice: Notice, plan: Mapping[str, Any]) -> list[Record]:
        """Call the hook after a deployment, and deliver this and earlier notices; return what became of each.

        It takes at most the seconds of the hook and of the desk. The notice is in the outbox before, and stays there
        until it is delivered.
        """
        try:
            settings = self._settings
        except InputError as error:
            self._say(f"warning: nobody is told: {error.message}")
            return [{"where": str(self._path), "outcome": "not told", "why": error.message}]
        wanted = [each for each in settings.channels if each.wants(notice)]
        # Before the hook, in which a command can be killed.
        own = [self._box.put(each.name, notice) for each in wanted]
        records = list(self._call_after(settings, notice, plan))
        if own or (self._home / "outbox").exists():
            records += self._deliver_all(settings, notice, own)
        return records

    def channels(self) -> tuple[Channel, ...]:
        """Return the channels of the settings; raises InputError with file and line."""
        return self._settings.channels

    def waiting(self) -> dict[str, int]:
        """Return how many notices wait for delivery, by the channel's name."""
        found: dict[str, int] = {}
        for each in self._box.waiting():
            found[each.channel] = found.get(each.channel, 0) + 1
        return found

    def try_all(self, notice: Notice) -> list[Record]:
        """Deliver the notice on all channels, whatever they are set to tell; keep none, and return each outcome."""
        from toolkit.adapters.notices.outbox import Waiting

        channels = {each.name: each for each in self._settings.channels}
        waiting = {name: [Waiting(name, notice)] for name in channels}
        found = {each.channel: failure.why for each, failure in self._at_once(channels, waiting)}
        return [
            _record(name, notice, "failed" if found[name] else "delivered", found[name])
            for name in channels
        ]

    def _call_after(
        self, settings: NotifySettings, notice: Notice, plan: Mapping[str, Any]
    ) -> Iterable[Record]:
        hook = settings.after
        from toolkit.domain.trail.channel import HOOK_COMMANDS

        if hook is None or notice.command not in HOOK_COMMANDS:
            return
        from toolkit.adapters.notices.hook import call_hook

        try:
            called = call_hook(hook, {"event": "after", **notice.as_json(), "plan": plan})
            why = "" if called.agreed else called.words
        except KeyboardInterrupt:
            # The change is done: it ends the hook and not the news of it.
            why = "interrupted"
        if why:
            self._say(f"warning: the hook after the deployment failed: {why}")
        yield {"where": hook.run[0], "outcome": "failed" if why else "called", "why": why}

    def _deliver_all(
        self, settings: NotifySettings, notice: Notice, own: Sequence[Waiting]
    ) -> list[Record]:
        box, channels = self._box, {each.name: each for each in settings.channels}
        waiting, records = self._of_before(channels)
        for each in own:
            waiting.setdefault(each.channel, []).append(each)
        results = self._at_once(channels, waiting)
        took = {each.channel for each, failure in results if not failure.why or failure.partly}
        for each, failure in results:
            why = failure.why
            if not why or failure.partly:
                records.append(self._delivered(each, why))
                continue
            # The channel took another notice: the fault is not the channel's.
            refused = failure.tried and each.channel in took
            if refused and box.refused(each) >= MOST_REFUSALS:
                self._give_up(box, each, why)
                records.append(_record(each.channel, each.notice, "given up", why))
                continue
            if each.notice.id == notice.id:
                kept = "it is kept, and the next command tries again" if each.path else "it is lost"
                self._say(f"warning: {each.channel} was not told: {why}; {kept}")
            records.append(_record(each.channel, each.notice, "kept" if each.path else "lost", why))
        return records

    def _of_before(
        self, channels: Mapping[str, Channel]
    ) -> tuple[dict[str, list[Waiting]], list[Record]]:
        """Claim notices of former commands, by channel; give up those that are hopeless, with a record of each.

        What another command delivers at the moment is left to it.
        """
        from toolkit.adapters.notices.outbox import MOST_FILES

        waiting: dict[str, list[Waiting]] = {}
        records: list[Record] = []
        files = list(self._box.waiting())
        for place, each in enumerate(files, 1):
            why = self._hopeless(each, channels, too_many=len(files) - place >= MOST_FILES)
            chosen = waiting.get(each.channel, [])
            if (not why and len(chosen) >= MOST_OLD) or not self._box.claim(each):
                continue
            if why:
                self._box.remove(each)
                records.append(_record(each.channel, each.notice, "given up", why))
            else:
                waiting[each.channel] = [*chosen, each]
        return waiting, records

    def _delivered(self, each: Waiting, why: str) -> Record:
        if why:
            self._say(f"warning: {each.channel} was told in part: {why}")
        return _record(each.channel, each.notice, "delivered", why)

    def _give_up(self, box: Outbox, refused: Waiting, why: str) -> None:
        box.remove(refused)
        notice = refused.notice
        self._say(
            f"warning: {refused.channel} was not told of {notice.id} ({notice.title}): {why}; it took other notices "
            f"meanwhile, and this one is given up after {MOST_REFUSALS} refusals"
        )

    def _hopeless(self, each: Waiting, channels: Mapping[str, Channel], *, too_many: bool) -> str:
        if each.channel not in channels:
            return "there is no such channel any more"
        if self._clock() - each.notice.at > KEEP_SECONDS:
            return "it is too old"
        return "too many wait" if too_many else ""

    def _at_once(
        self, channels: Mapping[str, Channel], waiting: Mapping[str, Sequence[Any]]
    ) -> list[tuple[Any, _Failure]]:
        """Return each notice with its failure. A slow channel delays no other."""
        done: queue.Queue[tuple[Any, _Failure]] = queue.Queue()
        for name, notices in waiting.items():
            threading.Thread(
                target=self._serve, args=(channels[name], notices, done), daemon=True
            ).start()
        left = {id(each): each for notices in waiting.values() for each in notices}
        now = time.monotonic()
        found, until, told = list[tuple[Any, _Failure]](), now + self._seconds, now + SILENT
        why = f"it did not answer within {self._seconds:g} s"
        while left:
            try:
                each, failure = done.get(timeout=max(0.0, min(until, told) - time.monotonic()))
            except queue.Empty:
                if told >= until:
                    break
                names = ", ".join(dict.fromkeys(each.channel for each in left.values()))
                self._say(f"telling {names}, {format_seconds(until - told)} more at most")
                told = until
                continue
            except KeyboardInterrupt:
                why = "interrupted"
                break
            del left[id(each)]
            found.append((each, failure))
        return [*found, *((each, _Failure(why, True, False)) for each in left.values())]

    def _serve(
        self, channel: Channel, notices: Sequence[Any], done: queue.Queue[tuple[Any, _Failure]]
    ) -> None:
        """Deliver the notices of one channel in their order; after a failure that may pass it counts as down.

        The newest is tried all the same, once: it tells a channel that is down from one notice that it cannot take,
        such as one that its receiver answers with 500 each time. A lasting failure holds up none of the others.
        """
        down = _Failure()
        for place, each in enumerate(notices, 1):
            if not down.passes:
                failure = self._try(channel, each.notice, PAUSES)
            elif place == len(notices):
                failure = self._try(channel, each.notice, ())
            else:
                failure = down._replace(tried=False)
            if failure.passes:
                down = failure
            # At once, so that a command that is killed meanwhile does not tell the notice again.
            if not failure.why or failure.partly:
                self._box.remove(each)
            else:
                self._box.release(each)
            done.put((each, failure))

    def _try(self, channel: Channel, notice: Notice, pauses: Sequence[float]) -> _Failure:
        from toolkit.adapters.notices.delivery import NotDelivered, PartlyDelivered, deliver

        give, words = self._given or deliver, ""
        for pause in (*pauses, None):
            try:
                give(channel, notice, self._clock())
            except PartlyDelivered as error:
                return _Failure(error.words, partly=True)
            except NotDelivered as error:
                words = error.words
                if not error.again:
                    return _Failure(words)
                if pause is None or error.wait > self._seconds:
                    break
                self._pause(max(pause, error.wait))
            except Exception as error:
                return _Failure(type(error).__name__)
            else:
                return _Failure()
        return _Failure(words, passes=True)


def _record(channel: str, notice: Notice, outcome: str, why: str) -> Record:
    return {"where": channel, "outcome": outcome, "why": why, "of": notice.id}
