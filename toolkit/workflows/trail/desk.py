"""Around a deployment: the hooks before and after, and notifications. None of it fails a deployment that ran."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from toolkit.errors import InputError, RefusedError
from toolkit.workflows.tools import Say

# For types alone: a rollback acts before it loads the code that notifies people.
if TYPE_CHECKING:
    from toolkit.adapters.notices.outbox import Outbox, Waiting
    from toolkit.domain.trail.channel import Channel, NotifySettings
    from toolkit.domain.trail.notice import Notice

# All channels together, once a command has ended: people wait for their prompt.
TELL_SECONDS = 10.0
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
    """Hooks and channels as `path` (notify.yaml) has them; `home` holds the outbox. Without the file there are none.

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
    def _settings(self) -> NotifySettings:
        from toolkit.domain.trail.channel import NotifySettings

        if not self._path.exists():
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

        It takes at most the seconds of the hook and of the desk. What is not delivered stays in the outbox.
        """
        try:
            settings = self._settings
        except InputError as error:
            self._say(f"warning: nobody is told: {error.message}")
            return [{"where": str(self._path), "outcome": "not told", "why": error.message}]
        return [*self._call_after(settings, notice, plan), *self._deliver_all(settings, notice)]

    def channels(self) -> tuple[Channel, ...]:
        """Return the channels of the settings; raises InputError with file and line."""
        return self._settings.channels

    def waiting(self) -> dict[str, int]:
        """Return how many notices wait for delivery, by the channel's name."""
        from toolkit.adapters.notices.outbox import Outbox

        found: dict[str, int] = {}
        for each in Outbox(self._home).waiting():
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

        called = call_hook(hook, {"event": "after", **notice.as_json(), "plan": plan})
        if not called.agreed:
            self._say(f"warning: the hook after the deployment failed: {called.words}")
        outcome = "called" if called.agreed else "failed"
        yield {
            "where": hook.run[0],
            "outcome": outcome,
            "why": "" if called.agreed else called.words,
        }

    def _deliver_all(self, settings: NotifySettings, notice: Notice) -> list[Record]:
        wanted = [each for each in settings.channels if each.wants(notice)]
        if not wanted and not (self._home / "outbox").exists():
            return []
        from toolkit.adapters.notices.outbox import Outbox

        box, records = Outbox(self._home), list[Record]()
        channels = {each.name: each for each in settings.channels}
        waiting: dict[str, list[Waiting]] = {}
        for each in box.waiting():
            why = self._hopeless(each.channel, each.notice, channels)
            if why:
                box.remove(each)
                records.append(_record(each.channel, each.notice, "given up", why))
            elif len(waiting.setdefault(each.channel, [])) < MOST_OLD:
                waiting[each.channel].append(each)
        for channel in wanted:
            waiting.setdefault(channel.name, []).append(box.put(channel.name, notice))
        results = self._at_once(channels, waiting)
        took = {each.channel for each, failure in results if not failure.why or failure.partly}
        for each, failure in results:
            why = failure.why
            if not why or failure.partly:
                box.remove(each)
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

    def _hopeless(self, name: str, notice: Notice, channels: Mapping[str, Channel]) -> str:
        if name not in channels:
            return "there is no such channel any more"
        return "it is too old" if self._clock() - notice.at > KEEP_SECONDS else ""

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
        found, until = list[tuple[Any, _Failure]](), time.monotonic() + self._seconds
        why = f"it did not answer within {self._seconds:g} s"
        while left:
            try:
                each, failure = done.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
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
                if pause is not None:
                    self._pause(pause)
            except Exception as error:
                return _Failure(type(error).__name__)
            else:
                return _Failure()
        return _Failure(words, passes=True)


def _record(channel: str, notice: Notice, outcome: str, why: str) -> Record:
    return {"where": channel, "outcome": outcome, "why": why, "of": notice.id}
