"""The record of work in the windows of its schedule, and the lock that lets one run at a time work."""

from __future__ import annotations

import errno
import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from toolkit.adapters.store.files import replace_text
from toolkit.domain.outside import parse_mapping, plainly
from toolkit.errors import BusyError, ToolkitError
from toolkit.regular import open_private, read_regular

_BYTES = 4 * 2**20
_KEPT = 200


@dataclass(frozen=True, slots=True)
class WindowRun:
    """One run in one opening of a window; times in seconds since the epoch. `ended_at` is None while it works.

    `code` is its exit code and `lines` what it said.
    """

    window: str
    opens: float
    begun_at: float
    ended_at: float | None = None
    code: int | None = None
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KnownRuns:
    """The whole record. `since` is the moment from which openings without a run count as missed, 0 before any.

    `missed` are openings that were told as missed: window and beginning. `failed` has why revisions failed, by model.
    `warm` has what a model was last made by its warm hours, and of which moment. `idle` has the requests that a model's
    hosts had counted, and since when they count no more. `begun` has the upgrades that this ops machine has begun and
    of which no end is known: what each was to make live, by its rollout.
    """

    since: float = 0.0
    runs: tuple[WindowRun, ...] = ()
    missed: tuple[tuple[str, float], ...] = ()
    failed: dict[str, dict[str, str]] = field(default_factory=dict)
    warm: dict[str, tuple[str, float]] = field(default_factory=dict)
    idle: dict[str, tuple[str, float]] = field(default_factory=dict)
    begun: dict[str, str] = field(default_factory=dict)

    @property
    def known(self) -> list[tuple[str, float]]:
        """The openings that had a run or were told as missed."""
        return [*((each.window, each.opens) for each in self.runs), *self.missed]

    def run_in(self, window: str, opens: float) -> WindowRun | None:
        """Return the run in an opening, if there was one."""
        return next((x for x in self.runs if (x.window, x.opens) == (window, opens)), None)


class ScheduleRecord:
    """The files `schedule.json`, `schedule.lock` and `schedule.fault` under the home of the ops machine."""

    def __init__(self, home: Path) -> None:
        self._path = home / "schedule.json"
        self._fault = home / "schedule.fault"
        self._lock = home / "schedule.lock"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the one run of this ops machine; raises BusyError where another one works.

        It is a kernel lock, so that of a killed run is gone.
        """
        with self._opened() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BusyError(
                    "another run of the schedule is at work on this ops machine",
                    hint="toolkit schedule list",
                ) from None
            yield

    def is_news(self, fault: str) -> bool:
        """Keep why the timer's runs do not come to their work, and return whether that is another reason than before.

        Empty where they do. It is in a file of its own, since a damaged record is one of the reasons.
        """
        try:
            before = read_regular(self._fault).decode(errors="replace")
        except OSError:
            before = ""
        if fault == before:
            return False
        try:
            self._fault.parent.mkdir(parents=True, exist_ok=True)
            replace_text(self._fault, fault)
        except OSError:
            # A finding that cannot be recorded would be told at each call.
            return False
        return bool(fault)

    def _opened(self) -> IO[str]:
        try:
            self._lock.parent.mkdir(parents=True, exist_ok=True)
            return open(self._lock, "w", opener=open_private)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EISDIR):
                raise
            raise ToolkitError(
                f"{self._lock}: {error.strerror}", hint=f"move it away: mv {self._lock} ELSEWHERE"
            ) from error

    def read(self) -> KnownRuns:
        """Return the record; an empty one where there is none yet. Raises ToolkitError where it is damaged.

        Without it nobody knows which versions failed, so a run must not go on.
        """
        try:
            return _recorded(parse_mapping(read_regular(self._path), _BYTES))
        except FileNotFoundError:
            return KnownRuns()
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            words = error.strerror if isinstance(error, OSError) else plainly(error)
            raise ToolkitError(
                f"{self._path} cannot be read: {words}",
                hint="bring it back, or remove it: then versions that failed are known by the history alone",
            ) from error

    def since(self, now: float) -> None:
        """Count openings as missed from `now` on, where none were counted yet, or only from a time to come.

        A clock that was ahead has left such a time, which would hide all openings until then. Its runs in openings that
        are to come are forgotten: those openings have runs of their own.
        """
        known = self.read()
        if not known.since or known.since > now:
            past = tuple(each for each in known.missed if each[1] <= now)
            runs = tuple(each for each in known.runs if each.opens <= now)
            self._write(replace(known, since=now, missed=past, runs=runs))

    def tell_missed(self, missed: tuple[tuple[str, float], ...], since: float) -> None:
        """Record openings as missed; from now on only those count that begin at `since` or later."""
        known = self.read()
        self._write(replace(known, since=since, missed=(*known.missed, *missed)[-_KEPT:]))

    def begin(self, run: WindowRun) -> None:
        """Record a run before it does anything: a run that is cut short is never begun again in its opening."""
        known = self.read()
        self._write(
            replace(known, since=known.since or run.opens, runs=(*known.runs, run)[-_KEPT:])
        )

    def end(self, run: WindowRun) -> None:
        """Record how a run ended."""
        known = self.read()
        rest = [x for x in known.runs if (x.window, x.opens) != (run.window, run.opens)]
        self._write(replace(known, runs=(*rest, run)))

    def fail(self, model: str, revision: str, words: str) -> None:
        """Record that a revision of a model failed, so that no run tries it again."""
        known = self.read()
        failed = {**known.failed, model: {**known.failed.get(model, {}), revision: words}}
        self._write(replace(known, failed=failed))

    def begin_upgrade(self, rollout: str, title: str) -> None:
        """Record an upgrade to `title` before it begins: if it is cut short, a later run knows it as its own."""
        known = self.read()
        self._write(replace(known, begun={**known.begun, rollout: title}))

    def end_upgrade(self, title: str) -> None:
        """Record that an upgrade to `title` has ended, and the earlier ones with it."""
        known = self.read()
        left = {rollout: each for rollout, each in known.begun.items() if each != title}
        self._write(replace(known, begun=left))

    def keep_warm(self, model: str, state: str, since: float) -> None:
        """Record that a model was woken or put to sleep by its hours; `since` names the moment of the hours."""
        known = self.read()
        self._write(replace(known, warm={**known.warm, model: (state, since)}))

    def keep_idle(self, idle: dict[str, tuple[str, float]]) -> None:
        """Record since when models have had no request; a model that is not among them is forgotten."""
        known = self.read()
        if known.idle != idle:
            self._write(replace(known, idle=idle))

    def _write(self, recorded: KnownRuns) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        replace_text(self._path, json.dumps(asdict(recorded), indent=1))


def _recorded(data: dict[str, Any]) -> KnownRuns:
    # A record of an older toolkit has no warm hours, idle models or upgrades.
    warm, idle = (
        {
            str(model): (str(words), float(since))
            for model, (words, since) in data.get(name, {}).items()
        }
        for name in ("warm", "idle")
    )
    return KnownRuns(
        float(data["since"]),
        tuple(_run(each) for each in data["runs"]),
        tuple((str(window), float(opens)) for window, opens in data["missed"]),
        {
            str(model): {str(revision): str(words) for revision, words in each.items()}
            for model, each in data["failed"].items()
        },
        warm,
        idle,
        {str(rollout): str(title) for rollout, title in data.get("begun", {}).items()},
    )


def _run(data: dict[str, Any]) -> WindowRun:
    ended, code = data["ended_at"], data["code"]
    return WindowRun(
        str(data["window"]),
        float(data["opens"]),
        float(data["begun_at"]),
        None if ended is None else float(ended),
        None if code is None else int(code),
        tuple(map(str, data["lines"])),
    )
