"""Models that share a device and sleep in turn: before one wakes, the host puts the others to sleep, without a command.

The routes list the alternates of a model in its sleep. A busy model is never put to sleep: the other one sleeps on, and
its requests wait or are told to come again.

In a fleet each host decides for its own device. The other hosts see that a model is up again and make room for it as
soon as the other one has nothing to do there either, so all come to the same routes.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable

import completion
import deployment_lock
import guard_order
import resting
import reweigh
import router_view
import routes_file
import signs
import sleeping
from wire import Document

# Seconds without a request after which a model makes room: a swap costs two starts, one of them its own.
QUIET = 10.0


class Alternates:
    """The alternates of this host's models; `root` has its toolkit, and `rests` tells whether an engine has ended."""

    def __init__(self, root: str, rests: Callable[[str, str], bool]) -> None:
        self.root, self._rests = root, rests
        # By model: the bytes of its answers so far, and since when it has nothing to do.
        self._quiet: dict[str, tuple[int, float]] = {}

    def ready(self, routes: Document, sleeper: Document) -> tuple[bool, list[str]]:
        """Return whether a model that is wanted has the memory to itself, and what was done for it, in words."""
        ready, done = True, []
        for alternate in sleeper["sleep"].get("alternates", ()):
            model = alternate["model"]
            other = next((x for x in routes.get("routes", ()) if x["model"] == model), None)
            if other is None or not _is_here(routes, other):
                continue
            if other.get("sleep") and self._is_at_rest(routes, other):
                continue
            ready = False
            if other.get("sleep") or not self._has_nothing_to_do(other):
                continue
            self._quiet.pop(model, None)
            if self._put_to_sleep(model, sleeper):
                done.append(f"{model} has nothing to do and makes room for {sleeper['model']}")
        return ready, done

    def _put_to_sleep(self, model: str, sleeper: Document) -> bool:
        # Every host of a fleet gives this sleep the same name, so that their routes are equal in the end.
        name = f"{sleeper['sleep']['id']} {model}"
        ident, now, changed = (
            hashlib.sha256(name.encode()).hexdigest()[:16],
            int(time.time()),
            False,
        )

        def rest(present: Document) -> Document:
            nonlocal changed
            edit = sleeping.making_place(model, sleeper, ident, now)
            found = routes_file.edited(present, edit)
            changed = found is not present
            return found

        reweigh.reweigh(self.root, rest)
        return changed

    def _is_at_rest(self, routes: Document, route: Document) -> bool:
        programs = [f"{route['model']}-{each['slot']}" for each in sleeping.own(routes, route)]
        idle = [f"{route['model']}-{each['slot']}" for each in sleeping.idle(routes, route)]
        programs += [each for each in idle if resting.can_rest(self.root, each)]
        return all(self._rests(self.root, each) for each in programs)

    def _has_nothing_to_do(self, route: Document) -> bool:
        """Whether the model has had no request for a while, and no command or guard is about it."""
        model, now = route["model"], time.monotonic()
        busy, carried = False, 0
        for each in route["targets"]:
            program = f"{model}-{each['slot']}"
            if not os.path.isdir(os.path.join(self.root, "slots", program)):
                continue
            name = routes_file.name_of(each)
            opened, sent = router_view.load(self.root, model, name, unknown=1)
            carried += sent
            busy = busy or bool(
                opened or completion.busy(each["port"], signs.of_slot(self.root, program))
            )
        known = self._quiet.get(model)
        if busy or known is None or known[0] != carried:
            self._quiet[model] = known = (carried, now)
        return now - known[1] >= QUIET and not self._is_held(model)

    def _is_held(self, model: str) -> bool:
        guarded = any(
            each["order"]["model"] == model and not each["verdict"]
            for each in guard_order.facts(self.root)
        )
        return guarded or bool(deployment_lock.read(self.root)["held"])


def _is_here(routes: Document, route: Document) -> bool:
    """Whether a model has a slot on this host; elsewhere it has no memory of this one."""
    at = routes.get("at", "")
    return any(each.get("host", "") in ("", at) for each in route["targets"])
