"""Put replicas of this host to sleep and wake them, as the routes and the clients say. No command need be alive.

A model sleeps where its route says so. A replica that sleeps has been ended: its slot, its snapshot, its release and
its route stay, and its process supervisor runs a program in its place that waits for ever. So nothing of the host's
units changes, and a host that was restarted in the meantime comes to the same.

    <root>/watch/asleep/PROGRAM    the replica of this slot sleeps: the start of the slot looks for this file, and it
                                   names the process that had not looked when the file came to be
    <root>/watch/woken.json        {MODEL: the sleep that has ended here}; a command may not know of that yet

Falling asleep: the routes give the model nothing; once its requests have ended, the file is written and the engine's
process is asked to end. Waking: the file is removed and the waiting program ended, so that the process supervisor
starts the engine with all of its checks; once the router's checks pass, the target gets back what it had. Each look
goes on from what it sees, so whatever is killed in between, the next look completes it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time

import alternates
import completion
import deployment_lock
import doze
import hang
import processes
import resting
import reweigh
import router_files
import router_releases
import router_socket
import router_view
import routes_file
import signs
import sleeping
import slot_manifest
import takeover
import tampering
import wake_hold
import wake_room
from directory import Directory, make_own
from router_socket import RouterError
from wire import Document

# Seconds for the running requests of a model that falls asleep, and for the end of its engine.
DRAIN, LEAVE = 900.0, 60.0
# A model that takes so many times as long as usual, and so many seconds at least, counts as awake and down.
LATE_TIMES, LATE = 4, 600.0
# A router that has just started takes a replica for up until checks of it have failed for two seconds, and tells other
# hosts so. So the replica of another host counts as up after so many looks in a row.
LOOKS = 8
_REFUSED = "its files are not those that were pinned"
# Seconds between two looks at a replica that rests.
EACH = 5.0


class Warmth:
    """The sleeping models of the host whose toolkit lies in `root`."""

    def __init__(self, root: str) -> None:
        self.root, self._directory = root, os.path.join(root, "router")
        # By program: since when it drains, and in how many looks in a row it had no request.
        self._draining: dict[str, tuple[float, int]] = {}
        # By program: when its engine was last asked to end, and when it was last seen at rest.
        self._told: dict[str, float] = {}
        self._rested: dict[str, float] = {}
        self._alternates = alternates.Alternates(root, resting.rests)
        # All of these by sleep, and gone with it. The targets of other hosts that are known to be down in it, or to
        # have ended it: up, they have woken.
        self._down: dict[str, set[str]] = {}
        # In how many looks in a row no target with a weight was up, and each target was.
        self._lost: dict[str, int] = {}
        self._seen: dict[str, dict[str, int]] = {}
        # Why it cannot end here now, and when that was found; and when the wake began here.
        self._kept: dict[str, tuple[str, float]] = {}
        self._begun: dict[str, float] = {}

    def look(self) -> list[str]:
        """Look once; return what was done, in words."""
        routes = router_files.routes(self._directory)
        marked = doze.marked(self.root, resting.PLACE)
        found = sleeping.sleepers(routes)
        self._forget_all_but({route["sleep"]["id"] for route in found})
        if not found and not marked:
            return []
        done: list[str] = []
        wanted, up = (wished(self._directory), takeover.seen_up(self.root)) if found else ({}, {})
        told = router_releases.woken_elsewhere(self.root) if found and routes.get("at") else {}
        for route in found:
            model, sleep = route["model"], route["sleep"]
            done += self._end_dozing(model)
            checks = up.get(model, {})
            seen = self._steady(routes, route, checks)
            self._note_down(routes, route, checks, told)
            if sleep["due"] or self._is_woken(route, model in wanted, seen):
                ready, words = self._alternates.ready(routes, route)
                done += words
                with wake_hold.deciding(self.root):
                    kept, words = self._keeps(routes, route) if ready else (True, [])
                    done += words
                    done += [] if kept else self._wake(routes, route, seen)
                if kept:
                    self._use_elsewhere(routes, route, seen)
                    done += self._follow_to_sleep(routes, route, seen)
            else:
                done += self._follow_to_sleep(routes, route, seen)
                # A command may be starting a replica that has no part yet.
                held = deployment_lock.read(self.root)["held"]
                idle = [] if held else sleeping.idle(routes, route)
                for each in (*sleeping.own(routes, route), *idle):
                    done += self._rest(model, each)
        self._clear(routes, marked)
        return done

    def _forget_all_but(self, sleeps: set[str]) -> None:
        for kept in (self._down, self._lost, self._seen, self._kept, self._begun):
            for name in kept.keys() - sleeps:
                kept.pop(name)

    def _keeps(self, routes: Document, route: Document) -> tuple[bool, list[str]]:
        """Return whether something keeps a wake from its beginning here, and once why, in words.

        That is a command that starts a replica here, or memory that others have taken since the model fell asleep.
        """
        name, now = route["sleep"]["id"], time.monotonic()
        programs = _programs(routes, route)
        if not programs or not all(_is_marked(self.root, each) for each in programs):
            return False, []
        known, found = self._kept.get(name, ("", -EACH))
        command = wake_hold.held(self.root)
        if command:
            words = f"it wakes once `{command}` has started its replica"
        elif known and now - found < EACH:
            return True, []
        else:
            others = [each for each in sleeping.sleepers(routes) if each is not route]
            starting = [
                each
                for other in others
                for each in _programs(routes, other)
                if not _is_marked(self.root, each)
            ]
            lacks = wake_room.lacking(self.root, programs, starting)
            words = lacks and f"it has no room: {lacks}"
        if not words:
            self._kept.pop(name, None)
            self._begun[name] = now
            return False, []
        self._kept[name] = words, -EACH if command else now
        return True, [] if words == known else [f"{route['model']} is wanted; {words}"]

    def _steady(self, routes: Document, route: Document, up: dict[str, bool]) -> dict[str, bool]:
        """Return the targets that are up; a target of another host counts only after a while."""
        found, seen = {}, self._seen.setdefault(route["sleep"]["id"], {})
        for each in route["targets"]:
            name = routes_file.name_of(each)
            seen[name] = seen.get(name, 0) + 1 if up.get(name) else 0
            own = each.get("host", "") in ("", routes.get("at", ""))
            found[name] = seen[name] >= (1 if own else LOOKS)
        return found

    def _note_down(
        self,
        routes: Document,
        route: Document,
        checks: dict[str, bool],
        told: dict[str, str],
    ) -> None:
        """Note which targets of other hosts were down in this sleep, or have ended it, as their hosts have `told`.

        One that is up since before the sleep has requests that end, or its host has woken it before it was down: only
        that host knows which. One of this host that drains may fail a check and be up again, which is no wake.
        """
        model, name_of_sleep = route["model"], route["sleep"]["id"]
        down = self._down.setdefault(name_of_sleep, set())
        others = set(map(routes_file.name_of, sleeping.elsewhere(routes, route)))
        down |= {
            name
            for name in others
            if not checks.get(name) or told.get(f"{model}/{name}") == name_of_sleep
        }

    def _is_woken(self, route: Document, wished: bool, up: dict[str, bool]) -> bool:
        sleep = route["sleep"]
        if wished and sleep["policy"] != "refuse":
            return True
        if resting.woken(self.root).get(route["model"]) == sleep["id"]:
            return True
        # A replica that is up again is of a host whose clients wanted it: none gets up by itself.
        return any(up.get(name) for name in self._down.get(sleep["id"], ()))

    def _rest(self, model: str, target: Document) -> list[str]:
        """End the replica of a target once it has no request."""
        program, now = f"{model}-{target['slot']}", time.monotonic()
        if now - self._rested.get(program, -EACH) < EACH or not resting.can_rest(
            self.root, program
        ):
            return []
        if not _is_marked(self.root, program):
            since, quiet = self._draining.get(program, (now, 0))
            name = routes_file.name_of(target)
            opened, _ = router_view.load(self.root, model, name, unknown=1)
            busy = opened or completion.busy(target["port"], signs.of_slot(self.root, program))
            self._draining[program] = since, 0 if busy else quiet + 1
            if (busy or quiet < 1) and now - since < DRAIN:
                return []
            with Directory(make_own(self.root, *resting.PLACE)) as place:
                place.write(program, "")
                # A process that starts from here on finds the file and waits. So only this one may be an engine.
                place.write(program, processes.identity(processes.state(self.root, program)["pid"]))
        self._draining.pop(program, None)
        if resting.rests(self.root, program):
            self._rested[program] = now
            return [f"{program} sleeps"] if self._told.pop(program, None) else []
        return [f"{program} falls asleep"] if self._bid(program) else []

    def _end_dozing(self, model: str) -> list[str]:
        """End former replicas of a model that sleeps: they hold memory, and a rollback can start them."""
        ended = [each for each in doze.dozing(self.root) if each.rpartition("-")[0] == model]
        for program in ended:
            hang.end(self.root, program)
        return [f"{program} dozes no more" for program in ended]

    def _bid(self, program: str) -> bool:
        """Ask the engine of a slot to end, once, and end it where it does not; whether it was asked now."""
        now = time.monotonic()
        if program not in self._told:
            self._told[program] = now
            _ask_to_end(processes.state(self.root, program)["pid"])
            return True
        if now - self._told[program] >= LEAVE:
            self._told[program] = now
            hang.end(self.root, program)
        return False

    def _wake(self, routes: Document, route: Document, up: dict[str, bool]) -> list[str]:
        """Start the replicas of a model, and give its targets what they had as they get up."""
        model, sleep, done = route["model"], route["sleep"], []
        known = resting.woken(self.root)
        if known.get(model) != sleep["id"]:
            text = json.dumps({**known, model: sleep["id"]}) + "\n"
            with Directory(make_own(self.root, "watch")) as opened:
                opened.write(resting.WOKEN, text)
        if routes.get("at"):
            # At each look until the model is awake everywhere: a router may answer late, or have been started anew.
            with router_files.alone(self._directory):
                router_releases.follow(self.root)
        if not sleep["due"]:
            due = int(time.time()) + sleep["starts"]
            self._edit_routes(route, sleeping.waking(model, due))
            done.append(f"{model} wakes: a start usually takes {sleep['starts']} s")
        gained, refused = self._get_up(routes, route, up)
        done += [f"{model}: {each} does not start: {_REFUSED}" for each in refused]
        gained += refused
        gained += _up_elsewhere(routes, route, up)
        asleep = [routes_file.name_of(each) for each in route["targets"] if each.get("asleep")]
        # Not by when it is due: a wake may be kept from its beginning here, and a clock may be set meanwhile.
        took = time.monotonic() - self._begun.setdefault(sleep["id"], time.monotonic())
        late = sleep["due"] and took > sleep["starts"] + max(
            LATE, (LATE_TIMES - 1) * sleep["starts"]
        )
        if late:
            gained = asleep
        if gained:
            self._edit_routes(route, sleeping.awake(model, gained))
            if late:
                done.append(f"{model} is not up long after its time; it counts as awake")
            elif len(gained) == len(asleep):
                done += [] if refused else [f"{model} is awake"]
        return done

    def _get_up(
        self, routes: Document, route: Document, up: dict[str, bool]
    ) -> tuple[list[str], list[str]]:
        """Start this host's replicas of a model; return the targets that are up, and those that will never be."""
        gained, refused, own = [], [], sleeping.own(routes, route)
        for each in own:
            program, name = f"{route['model']}-{each['slot']}", routes_file.name_of(each)
            if not self._started(program):
                continue
            if up.get(name) and self._answers(program, each["port"]):
                gained.append(name)
            elif self._is_refused(program):
                refused.append(name)
        # Requests wait until the standby can take them.
        return gained, refused if len(gained) + len(refused) == len(own) else []

    def _edit_routes(self, route: Document, edit: sleeping.Edit) -> None:
        """Edit the routes, unless a command has begun another sleep of the model since `route` was read."""
        in_sleep = sleeping.in_sleep(route, edit)
        reweigh.reweigh(self.root, lambda present: routes_file.edited(present, in_sleep))

    def _use_elsewhere(self, routes: Document, route: Document, up: dict[str, bool]) -> None:
        """Send requests to the hosts on which a model is up, while another one has this host's device."""
        model, down = route["model"], self._down.get(route["sleep"]["id"], set())
        if gained := [each for each in _up_elsewhere(routes, route, up) if each in down]:
            self._edit_routes(route, sleeping.awake(model, gained))

    def _follow_to_sleep(self, routes: Document, route: Document, up: dict[str, bool]) -> list[str]:
        """Let requests wait again once the hosts that had the model awake have put it to sleep."""
        model, name = route["model"], route["sleep"]["id"]
        serving = [routes_file.name_of(each) for each in route["targets"] if each["weight"]]
        in_turn = routes.get("at") and route["sleep"].get("alternates")
        if not in_turn or not serving or any(up.get(each) for each in serving):
            self._lost.pop(name, None)
            return []
        self._lost[name] = self._lost.get(name, 0) + 1
        if self._lost[name] < LOOKS:
            return []
        self._lost.pop(name)
        self._edit_routes(route, sleeping.lost(model))
        return [f"{model} sleeps on all hosts again"]

    def _answers(self, program: str, port: int) -> bool:
        return completion.healthy(port, signs.of_slot(self.root, program)["health"])

    def _is_refused(self, program: str) -> bool:
        """Whether the start of a slot refuses its files until somebody repairs them: nobody should wait for it."""
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
            names = slot_manifest.snapshots(self.root, program)
            return any(tampering.is_refused(self.root, each) for each in names)
        return False

    def _started(self, program: str) -> bool:
        """Take the mark of a slot away, so that its process supervisor starts the replica; whether it is on its way.

        An engine with a mark has been asked to end, and answers until it has. It is not the one that starts.
        """
        if _is_marked(self.root, program) and not resting.rests(self.root, program):
            self._bid(program)
            return False
        return self._runs_again(program)

    def _runs_again(self, program: str) -> bool:
        """Take the mark of a slot away and end what waits in the engine's place; whether nothing waits there."""
        self._draining.pop(program, None)
        self._told.pop(program, None)
        self._rested.pop(program, None)
        doze.unmark(self.root, resting.PLACE, program)
        pid = processes.state(self.root, program)["pid"]
        if processes.waits(pid):
            _ask_to_end(pid)
            return False
        return True

    def _clear(self, routes: Document, marked: list[str]) -> None:
        """Let replicas run that a former sleep has left: their model's route says nothing of a sleep any more.

        One that dozes sleeps on, and so does what waits in its place since it has ended: its successor has the device.
        """
        models = {route["model"] for route in routes.get("routes", ()) if not route.get("sleep")}
        dozing = set(doze.marked(self.root))
        for program in marked:
            slot = os.path.join(self.root, "slots", program)
            gone = not os.path.isdir(slot)
            if gone:
                doze.forget(self.root, program)
            if gone or (program.rpartition("-")[0] in models and program not in dozing):
                self._runs_again(program)


def _up_elsewhere(routes: Document, route: Document, up: dict[str, bool]) -> list[str]:
    """Return the targets of other hosts that are asleep in the routes and up."""
    names = map(routes_file.name_of, sleeping.elsewhere(routes, route))
    return [name for name in names if up.get(name)]


def _programs(routes: Document, route: Document) -> list[str]:
    """Return the programs of this host whose targets sleep."""
    return [f"{route['model']}-{each['slot']}" for each in sleeping.own(routes, route)]


def _is_marked(root: str, program: str) -> bool:
    return os.path.exists(os.path.join(root, *resting.PLACE, program))


def _ask_to_end(pid: int) -> None:
    if pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)


def wished(directory: str) -> set[str]:
    """Return the models that requests of clients want since they sleep."""
    found: set[str] = set()
    try:
        workers = router_socket.processes(directory)
        for pid in workers["current"] + workers["old"]:
            known = router_socket.read_map(directory, pid, "asleep.map") or {}
            found |= {
                name[len(sleeping.WISH) :] for name in known if name.startswith(sleeping.WISH)
            }
    except RouterError:
        return set()
    return found
