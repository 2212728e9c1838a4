"""The watch of a host: it guards new releases under traffic, ends replicas that hang, makes a standby that has taken
over the one that serves, lets no request wait for a command that is gone, puts replicas to sleep and wakes them,
carries the records of use into the ledger of the host, counts how requests end, writes the host's figures for
Prometheus, and lets a router that was stopped go on.

It runs as a unit of its own, see the role `watch`. Nothing depends on it: without it the router still gives the traffic
to a standby, and a command still notices a hang.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable

import beat
import bell
import deployment_lock
import guards
import hang as hang_of
import hold_lease
import host_metrics
import log_ceiling
import processes
import reserve
import reweigh
import router_files
import router_releases
import router_view
import slot_manifest
import stopped
import takeover
import tally_log
import use_carry
import use_quotas
import warmth
import withdraw
from directory import leave_reserve
from wire import Document

TICK = 0.5
# A replica is lost after it was down for so many looks in a row: one failed check is no reason.
LOOKS = 3
# Seconds from one try to start a supervisord that was killed to the next.
_AGAIN = 10.0
# Seconds after which a look that does not end ends the watch, which then starts anew. systemd would do so a little
# later, and supervisord never.
LONGEST_LOOK = 55.0
# One look of so many compares the routes with the withdrawals of other hosts.
LOOKS_TO_FOLLOW = 4


class Watch:
    """The watch of the host whose toolkit lies in `root`. `hang` and `stall` are in seconds, see `hang.Judge`."""

    def __init__(self, root: str, hang: float, stall: float) -> None:
        self.root, self.limits = root, (hang, stall)
        self._replicas: dict[str, tuple[float, hang_of.Watched]] = {}
        self._down: dict[str, int] = {}
        self._looks = 0
        self.guards = guards.Guards(root, hang, stall)
        self._use = use_carry.Carrier(root)
        self._metrics = host_metrics.HostMetrics(root)
        self._tally = tally_log.TallyLog(root, self._use.ledger)
        self._quotas = use_quotas.Quotas(root, self._use.ledger)
        self._holds = hold_lease.HoldLease(root)
        self._warmth = warmth.Warmth(root)
        # A watch that was killed may have left workers that do not know its last change.
        reweigh.doubt(root)
        # Guards first: they count the seconds for which clients get bad answers.
        self.parts = (
            beat.Beat(root).look,
            self.guards.look,
            lambda: reweigh.tell_again(root),
            self._end_hanging,
            self._follow_takeovers,
            self._follow_withdrawals,
            self._holds.look,
            self._warmth.look,
            self._use.look,
            self._tally.look,
            self._metrics.look,
            self._quotas.look,
            reserve.Reserve(root).look,
            log_ceiling.LogCeiling(root).look,
        )

    def look(self) -> list[str]:
        """Look once at all replicas of the host; return what was done, in words."""
        return [words for part in self.parts for words in part()]

    def _end_hanging(self) -> list[str]:
        done = []
        load, family = router_view.loads(self.root), processes.Family()
        for program, (changed, manifest) in _slots(self.root).items():
            kept = self._replicas.get(program)
            if kept is None or kept[0] != changed:
                port, idle = manifest["port"], hang_of.idle_seconds(self.root)
                watched = hang_of.Watched(self.root, program, port, *self.limits, idle)
                self._replicas[program] = kept = (changed, watched)
            opened, carried = load.get((manifest["model"], manifest["slot"]), (0, 0))
            if why := kept[1].look(opened, carried, family):
                # First, because the replica may be up again before this process goes on.
                hang_of.record(self.root, program, why)
                router_releases.tell(self.root)
                kept[1].restart()
                del self._replicas[program]
                done.append(f"{program} hangs and is restarted: {why}")
        return done

    def _follow_takeovers(self) -> list[str]:
        routes = router_files.routes(os.path.join(self.root, "router"))
        if not any(
            each.get("standby") for route in routes.get("routes", ()) for each in route["targets"]
        ):
            return []
        down = takeover.taken_over(routes, takeover.seen_up(self.root))
        self._down = {model: self._down.get(model, 0) + 1 for model in down}
        lost = [model for model, looks in self._down.items() if looks >= LOOKS]
        # A command that holds the lock changes routes itself.
        if not lost or deployment_lock.read(self.root)["held"]:
            return []
        takeover.promote(self.root, lost)
        return [f"the standby of {model} has taken over and serves from now on" for model in lost]

    def _follow_withdrawals(self) -> list[str]:
        # A withdrawal works before other routers know of it, so it can wait. A command will see the routes of its host.
        self._looks = (self._looks + 1) % LOOKS_TO_FOLLOW
        if self._looks or deployment_lock.read(self.root)["held"]:
            return []
        return withdraw.follow(self.root)


def main(arguments: list[str]) -> int:
    """Watch until this process is ended; `arguments` are the root and the two limits."""
    leave_reserve()
    watch = Watch(arguments[0], float(arguments[1]), float(arguments[2]))
    rung = bell.Bell(watch.root)
    threading.Thread(
        target=stopped.Stopped(watch.root).keep_looking, args=(_say,), daemon=True
    ).start()
    supervisor, tried = os.getppid(), -_AGAIN
    while True:
        # Its log has the place at which it stood still.
        faulthandler.dump_traceback_later(LONGEST_LOOK, exit=True)
        if os.getppid() != supervisor and time.monotonic() - tried >= _AGAIN:
            # A supervisord that was killed; systemd cannot be. The one that starts now has a watch of its own.
            import supervisord

            tried = time.monotonic()
            if not (why := supervisord.start_again(watch.root)):
                return 0
            _say(f"supervisord was killed and does not start: {why}")
        for part in watch.parts:
            _perform(part)
        until = time.monotonic() + TICK
        # A command waits for the guard: its order, and the end of its phase, wait for no look.
        while rung.rest(min(until, watch.guards.due)) < until:
            _perform(watch.guards.look)


def _perform(part: Callable[[], list[str]]) -> None:
    try:
        for words in part():
            _say(words)
    except Exception as error:
        # A router that starts again, or a slot that is being emptied: the next look sees more.
        _say(f"{type(error).__name__}: {error}")


def _say(words: str) -> None:
    """Write a line of the log, which ends where a supervisord was killed."""
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(words + "\n")
        sys.stdout.flush()


def _slots(root: str) -> dict[str, tuple[float, Document]]:
    """Return {program: (time of its manifest, manifest)} of each slot whose manifest says what the watch needs."""
    found = {}
    for program, manifest in slot_manifest.each(root):
        words = all(isinstance(manifest.get(name), str) for name in ("model", "slot"))
        if not words or not isinstance(manifest.get("port"), int):
            continue
        try:
            found[program] = (os.stat(slot_manifest.path(root, program)).st_mtime, manifest)
        except OSError:
            continue  # it is being emptied
    return found
