"""All guards of this host: each watches a new release under traffic, and withdraws its target where it must not stay.

The watch calls `Guards.look` twice a second, at each new order, and when it is `due`. A guard needs no ops machine:
what it finds lies in files, see `guard_order.py`, and goes on from there when the watch or the host starts again. While
a canary's share stands it does need the deployment lock of the command that gave it, and takes the share back within a
second of its release.
"""

from __future__ import annotations

import math
import time

import guard_adapters
import guard_order
import router_socket
from guard import PHASE, Guard
from guard_traffic import Meter, Traffic
from wire import Document

# Seconds between two looks at figures, and after a failure; orders, wishes and the lease are looked at each time.
LOOK, WORRIED = 1.0, 0.4
# Without a guard the watch only notes so often how each slot usually does: a later guard compares with that.
IDLE = 10.0
# A replica that new requests wait for is suspected earlier than one that nobody watches.
HANG = 3.0


class Guards:
    """The guards of the host whose toolkit lies in `root`. `limits` are those of `hang.Judge`, in seconds."""

    def __init__(self, root: str, hang: float, stall: float) -> None:
        self.root, self._limits = root, (min(hang, HANG), stall)
        self._meter = Meter(root)
        self._guards: dict[str, Guard] = {}
        self._metered = 0.0
        # The moment of the monotonic clock at which the time of a guard's phase is over.
        self.due = math.inf
        self._begun: set[tuple[str, ...]] = set()
        # Mean milliseconds until an answer begins, and the share of failed requests, of each slot that had traffic.
        self._usual: dict[tuple[str, str], tuple[float | None, float]] = {}

    def look(self) -> list[str]:
        """Look once; return what was done, in words."""
        orders = {each["model"]: each for each in guard_order.orders(self.root)}
        for model in [*self._guards]:
            order = orders.get(model)
            if order is None or not self._guards[model].is_of(order):
                self._guards.pop(model).end()
        phases = {tuple(str(each.get(name)) for name in PHASE) for each in orders.values()}
        # The seconds of a phase count from its guard's first look, and a command waits for them.
        begins, self._begun = not phases <= self._begun, phases
        now = time.monotonic()
        traffic = self._traffic(seldom=not orders, at_once=begins or now >= self.due)
        done: list[str] = []
        for model, order in orders.items():
            try:
                if model not in self._guards:
                    self._guards[model] = self._guard_of(order)
                done += self._guards[model].look(traffic)
            except Exception as error:
                # The router starts again, or the slot is being emptied; other models have guards, too.
                done.append(f"guard of {model}: {type(error).__name__}: {error}")
        # A phase that is over was judged, or has to wait for another look.
        ends = (each.ends_at for each in self._guards.values())
        self.due = min((each for each in ends if each > now), default=math.inf)
        return done

    def _guard_of(self, order: Document) -> Guard:
        # Adapters change in a replica that has served before.
        before = order["slot"] if guard_adapters.names_of(order) else order["former"]
        usual = self._usual.get((order["model"], before), (None, 0.0))
        return Guard(self.root, order, self._limits, usual)

    def _traffic(
        self, *, seldom: bool, at_once: bool = False
    ) -> dict[tuple[str, str], Traffic] | None:
        """Return the traffic since the last look, None where it is too early; nothing where no router answers."""
        now = time.monotonic()
        worried = any(each.worried for each in self._guards.values())
        pause = IDLE if seldom else WORRIED if worried else LOOK
        if now - self._metered < pause and not at_once:
            return None
        self._metered = now
        try:
            found = self._meter.read()
        except (router_socket.RouterError, LookupError, TypeError, ValueError):
            # No answer, or none that has figures. Leases and wishes are looked at all the same.
            return {}
        for slot in self._meter.changed(found):
            # The usual figures of the replica before say nothing of this one.
            self._usual.pop(slot, None)
        for slot, each in found.items():
            rate = self._meter.share_failed(*slot)
            if rate is not None:
                self._usual[slot] = each.first, rate
        return found
