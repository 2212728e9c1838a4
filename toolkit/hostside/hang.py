"""Tell a replica that hangs from one that works, waits or has nothing to do.

An engine that hangs still answers its health, and its own gauges stand still. So the verdict follows from what others
see: the router's open requests, what passes to clients, and the time that the engine's processes run.

- Nothing is asked: a replica without open requests does not hang.
- Progress: the engine's counters (tokens of prompts and answers, the use of its cache) or the bytes to clients moved.
- Effort: its processes ran, or waited for a processor that was taken. A long prefill and a compilation show no
  progress, but effort; they have the longer limit `stall`. Processes that take each step together loop while one of
  them stands still, which is no effort. Nor is what the others compute while the server answers not even its health:
  nobody gets anything of it.
- Probe: a request of one token was answered, so the open requests wait for something else, such as a slow upload.

A replica hangs where none of these shows for `hang` seconds. One that is idle may be asked for a token now and then, so
that its hang is known before a client meets it. One that was ready and answers not even its health gets no request any
more, so nothing would show: it hangs after DEAF seconds without an answer and without effort.

    <root>/watch/limits.json    {"models": {MODEL: {"hang", "stall"}}, "idle"}: what the fleet file says of models,
                                and after how many idle seconds a replica is asked; 0 or absent: never
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

import completion
import processes
import router_view
import signs
from directory import Directory, make_own, read_text
from documents import mapping
from wire import Document

HANG, STALL = 8.0, 600.0
# A process that computes runs, or waits for a processor, all of the time; one of vLLM's that waits for another process
# looks at the clock for up to 0.15 of it, on a busy machine.
EFFORT = 0.5
# Characters of the words about a hang; ours have a tenth of them.
_MOST_WORDS = 1000
# More seconds than the fleet file may name.
_MOST_SECONDS = 10**9
# Seconds for which a replica that was ready may be deaf, times in a row that it is found so, and seconds between them.
DEAF, DEAF_TIMES, _ASK = 60.0, 3, 5.0
# Effort is measured over an eighth of `hang`, and over no more than so many seconds. A process that waits wakes up for
# moments; on a busy machine one of these, with its wait for a processor, fills a tenth of a second.
_MEASURED = 0.5
# Seconds between two looks at a replica that owes the answer to a probe.
_PAUSE = 0.1


class Look(NamedTuple):
    """A replica at the time `at`, in seconds.

    `requests` are open; `marks` move with its progress, None where it did not tell; `effort` is the part of the time
    since the last look for which its busiest process ran or waited for a processor; `load` are the requests in work by
    its own count. `probe` is "" (none sent), `waiting`, `answered`, or `refused`, where the answer says nothing of the
    engine.
    """

    at: float
    requests: int
    marks: object = None
    effort: float = 0.0
    load: int = 0
    probe: str = ""


class Judge:
    """The verdict on one replica, from one look after the other. Limits are in seconds."""

    def __init__(self, hang: float = HANG, stall: float = STALL) -> None:
        self.hang, self.stall = hang, stall
        self._last: Look | None = None
        self._progress = self._sign = 0.0

    def verdict(self, look: Look) -> str:
        """Return why the replica hangs, empty where it does not."""
        last, self._last = self._last, look
        if last is None or not look.requests or look.probe == "answered":
            self._progress = self._sign = look.at
            return ""
        if look.marks is None:
            self._last = look._replace(marks=last.marks)
        elif last.marks is not None and look.marks != last.marks:
            self._progress = self._sign = look.at
        if look.effort > EFFORT:
            self._sign = look.at
        words = "1 request is open" if look.requests == 1 else f"{look.requests} requests are open"
        if look.probe == "waiting" and look.at - self._sign >= self.hang:
            return f"{words}, and it did nothing for {look.at - self._sign:.0f} s"
        stalled = look.at - self._progress
        if stalled >= self.stall and (look.probe == "waiting" or look.load):
            return f"{words}, and it gave no token for {stalled:.0f} s"
        return ""

    @property
    def suspicious(self) -> bool:
        """Whether a probe should say more."""
        return self._last is not None and self._last.at - self._progress >= self.hang / 4


def effort(
    before: Mapping[int, processes.ThreadTimes],
    now: Mapping[int, processes.ThreadTimes],
    seconds: float,
    ranks: Iterable[Collection[int]] = (),
) -> float:
    """Return the effort of the busiest process, by pid, within `seconds`.

    All of its threads together ran for so large a part of the time, or one of them ran or stood in line. The waits of
    several do not add up: a worker of vLLM that only listens has a dozen threads that wake up a hundred times a second,
    and on a busy machine each of these stands in line for a tenth of the time.

    Processes of one group of `ranks` compute nothing while the main thread of one stands still: the others wait for it,
    by looping.
    """
    still = {pid for pid in now if before.get(pid, {}).get(str(pid)) == now[pid].get(str(pid), ())}
    waiting = {pid for group in ranks if not still.isdisjoint(group) for pid in group}
    most = 0.0
    for pid, threads in now.items():
        if pid in waiting:
            continue
        former = before.get(pid, {})
        gained = [
            (ran - former[each][0], waited - former[each][1])
            for each, (ran, waited) in threads.items()
            if each in former
        ]
        most = max(most, sum(ran for ran, _ in gained), *map(sum, gained))
    return most / max(seconds, 0.001)


class Watched:
    """A replica of this host under a judge.

    `hang` and `stall` are the judge's limits, unless the host has others for the model. After `idle` seconds without
    an open request it is asked for a token; 0: never. It `works` where its processes made an effort when that was last
    measured.
    """

    def __init__(
        self, root: str, program: str, port: int, hang: float, stall: float, idle: float = 0.0
    ) -> None:
        self.root, self.program, self.port = root, program, port
        self._judge = Judge(*limits(root, program.rpartition("-")[0], hang, stall))
        self._signs, self._idle, self._used = signs.of_slot(root, program), idle, time.monotonic()
        self._probe: Probe | None = None
        self._pid, self._carried = 0, -1
        self._marks: object = None
        self._run_times: tuple[dict[int, processes.ThreadTimes], float] = ({}, 0.0)
        self.works = False
        # The process that was ready, when it last gave a sign, and how often its health had no answer since.
        self._ready, self._heard_at, self._missed = 0, 0.0, 0
        self._asked_at = -_ASK

    def look(self, requests: int, carried: int, family: processes.Family | None = None) -> str:
        """Return why it hangs, empty where it does not.

        `requests` are open in the router, which has carried `carried` bytes of its answers; `family` is as for
        `processes.tree`.
        """
        now = time.monotonic()
        if requests:
            self._used = now
        elif why := self._deaf(now, family):
            return why
        elif not self._asked_while_idle(now):
            self._probe = None
            return self._judge.verdict(Look(now, 0))
        else:
            why = self._look(now, 1, carried, family)
            return f"it was idle and answered no request of one token: {why}" if why else ""
        return self._look(now, requests, carried, family)

    def _deaf(self, now: float, family: processes.Family | None) -> str:
        """Return why an idle replica that was ready hangs, where it does not answer its health; else nothing."""
        if now - self._asked_at < _ASK:
            return ""
        self._asked_at = now
        effort = self._effort(now, family, alone=True)
        if completion.healthy(self.port, self._signs["health"], 1.0):
            self._ready, self._heard_at, self._missed = self._pid, now, 0
            return ""
        # One that starts or dozes answers nobody, and owes no answer.
        if not self._pid or self._ready != self._pid or effort > EFFORT or self._dozes():
            self._heard_at, self._missed = now, 0
            return ""
        self._missed += 1
        silent = now - self._heard_at
        if self._missed < DEAF_TIMES or silent < max(DEAF, self._judge.hang):
            return ""
        return f"it was idle, and neither answered its health nor did anything for {silent:.0f} s"

    def _dozes(self) -> bool:
        import doze

        return doze.dozes(self.root, self.program)

    def _asked_while_idle(self, now: float) -> bool:
        """Whether an idle replica owes the answer to a probe, which is sent where it is due."""
        if self._probe is not None and self._probe.state != "waiting":
            self._probe, self._used = None, now
        if not self._idle or now - self._used < self._idle:
            return False
        # One that does not answer its health starts, or has ended since it was asked. The router sends it nothing.
        if not completion.healthy(self.port, self._signs["health"]):
            return False
        self.ask()
        return True

    def _look(
        self, now: float, requests: int, carried: int, family: processes.Family | None
    ) -> str:
        figures = completion.figures(self.port, self._signs) if carried == self._carried else {}
        health = self._signs["health"]
        # For a moment: each look that lasts longer makes the verdict later.
        deaf = figures is None and not completion.healthy(self.port, health, 0.5)
        self._carried = carried
        if figures is not None:
            self._marks = (carried, tuple(sorted(figures.items())))
        look = Look(
            now,
            requests,
            None if figures is None else self._marks,
            self._effort(now, family, alone=figures is None, deaf=deaf),
            int(sum((figures or {}).get(name, 0) for name in self._signs["load"])),
            self._probe.state if self._probe else "",
        )
        why = self._judge.verdict(look)
        if look.probe == "answered" or (look.probe == "refused" and not self._judge.suspicious):
            self._probe = None
        elif self._judge.suspicious:
            self.ask()
        return why

    def ask(self) -> None:
        """Send a probe, unless one is under way."""
        if self._probe is None:
            self._probe = Probe(self.port, self._signs["probe"], self._judge.stall)

    @property
    def limit(self) -> float:
        """The seconds without any sign after which it hangs."""
        return self._judge.hang

    @property
    def asking(self) -> bool:
        """Whether a probe waits for its answer."""
        return self._probe is not None and self._probe.state == "waiting"

    def heard(self, seconds: float) -> bool:
        """Wait up to `seconds` for the answer to a probe; return whether none is waited for any more."""
        if self._probe is not None:
            self._probe.told.wait(seconds)
        return not self.asking

    def restart(self) -> None:
        """End the replica's processes at once; its process supervisor starts it again."""
        self._probe = None
        end(self.root, self.program)

    def _effort(
        self, now: float, family: processes.Family | None, *, alone: bool, deaf: bool = False
    ) -> float:
        """Return the effort of the busiest process since the last measurement; 0 where that is too short ago to tell.

        With `alone` the server tells no figures, so it counts too; where it is `deaf`, it counts alone.
        """
        before, then = self._run_times
        if before and now - then < min(_MEASURED, self._judge.hang / 8):
            return 0.0
        if not self._pid or not os.path.exists(f"/proc/{self._pid}"):
            self._pid = processes.state(self.root, self.program)["pid"]
        core = self._signs["core"]
        times = processes.run_times(self._pid, core, alone=alone, family=family)
        self._run_times = times, now
        if deaf:
            times = {each: times[each] for each in times if not processes.computes(each, core)}
        together = processes.ranks(times, self._signs["ranks"])
        found = effort(before, times, now - then, together)
        self.works = found > EFFORT
        return found


class Probe:
    """A request of one token, sent by a thread of its own. `state` is `waiting`, `answered` or `refused`.

    `told` is set once it waits no more.
    """

    def __init__(self, port: int, request: Document, timeout: float) -> None:
        self.state, self.told = "waiting", threading.Event()
        threading.Thread(target=self._ask, args=(port, request, timeout), daemon=True).start()

    def _ask(self, port: int, request: Document, timeout: float) -> None:
        status = completion.status_of(port, request["path"], request["body"], timeout)
        # Without any answer the probe counts as waiting: the replica takes no connection, or breaks it off.
        if status:
            self.state = "answered" if status == 200 else "refused"
            self.told.set()


def probe(root: str, program: str, port: int, hang: float, stall: float) -> str:
    """Ask a replica for one token; return why it is no good, empty where it answers.

    It is no good where it hangs, or where it works on without an answer while no request of a client is open: then it
    is ended, so that its process supervisor starts it again. A long prefill of a client is waited for. `hang` and
    `stall` are in seconds.
    """
    watched = Watched(root, program, port, hang, stall)
    hangs, why, most = "", "", 4 * watched.limit
    words = "it did not answer a request of one token within"
    pid, until = -1, time.monotonic() + most
    watched.ask()
    # One that answers is looked at no further: to read its figures takes longer than its answer.
    while not why and not watched.heard(_PAUSE):
        pid = processes.state(root, program)["pid"] if pid < 0 else pid
        if not processes.started(pid):
            # The one that its process supervisor starts now was asked nothing.
            return "its process ended"
        if watched.look(1, 0):
            hangs, why = "it hangs: ", f"{words} {watched.limit:.0f} s"
        elif time.monotonic() > until:
            # Requests of clients come first, and their end is not yet the answer to the question.
            until = time.monotonic() + most
            why = "" if _is_used(root, program) else f"{words} {most:.0f} s"
    if why:
        record(root, program, why)
        watched.restart()
    return hangs + why


def _is_used(root: str, program: str) -> bool:
    """Whether requests of clients are open at a replica, or nobody knows."""
    opened, _ = router_view.load(root, *router_view.target_of(root, program), unknown=1)
    return bool(opened)


def limits(root: str, model: str, hang: float, stall: float) -> tuple[float, float]:
    """Return the limits of a model on this host: its own, else `hang` and `stall`."""
    models = _told(root).get("models")
    own = models.get(model) if isinstance(models, dict) else None
    return _seconds(own, "hang", hang), _seconds(own, "stall", stall)


def idle_seconds(root: str) -> float:
    """Return after how many idle seconds a replica of this host is asked for a token; 0: never."""
    return _seconds(_told(root), "idle", 0.0)


def _seconds(told: object, name: str, usual: float) -> float:
    found = told.get(name, usual) if isinstance(told, dict) else usual
    # A comparison with NaN is false.
    sound = isinstance(found, (int, float)) and 0 <= found <= _MOST_SECONDS
    return float(found) if sound else usual


def _told(root: str) -> Document:
    """Return the settings from the role `watch`; an empty document where they cannot be read."""
    return mapping(read_text(os.path.join(root, "watch", "limits.json")))


def end(root: str, program: str) -> None:
    """Kill a replica's processes. The run script under supervisord stays, to clean up, for two seconds."""
    pid = processes.state(root, program)["pid"]
    found = processes.tree(pid)
    keep = processes.init_system() == "supervisord" and len(found) > 1
    for each in found[1:] if keep else found:
        _kill(each)
    until = time.monotonic() + 2
    while keep and os.path.exists(f"/proc/{pid}") and time.monotonic() < until:
        time.sleep(0.05)
    if keep and os.path.exists(f"/proc/{pid}"):
        _kill(pid)


def record(root: str, program: str, why: str) -> None:
    """Keep the time and the reason for `status`, where the disk takes them: the replica is ended in any case."""
    text = json.dumps({"at": time.time(), "why": why}) + "\n"
    with contextlib.suppress(OSError), Directory(make_own(root, "watch")) as opened:
        opened.write(f"{program}.json", text)


def recorded(root: str, program: str) -> Document:
    """Return {"at", "why"} of the last time that a replica in the slot hung; an empty document where none did."""
    found = mapping(read_text(os.path.join(root, "watch", f"{program}.json")))
    sound = isinstance(found.get("at"), float) and isinstance(found.get("why"), str)
    return found if sound and len(found["why"]) <= _MOST_WORDS else {}


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
