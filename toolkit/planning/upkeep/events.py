"""The work of hosts without a command (takeovers, restarts of replicas that hung, sleep), and what they lack for it."""

from __future__ import annotations

from collections.abc import Iterable

from toolkit.domain.hosts.facts import HostFacts
from toolkit.domain.moment import moment_text
from toolkit.domain.quantity import format_seconds, format_size
from toolkit.domain.replicas.warmth import WORDS, WhenAsleep
from toolkit.planning.change.preflight import READ_ONLY, SERVES_ON
from toolkit.planning.change.sleep import lack_of_room
from toolkit.planning.routing.routes import Route, Routes, Sleep

DAY = 86400.0
# With less a log or a change finds no room any moment.
FULL_BYTES, FULL_FILES = 64 * 2**20, 1000


def events_of(routes: Routes, facts: Iterable[HostFacts]) -> tuple[str, ...]:
    """Return each event in words: takeovers until the next change of the model, hangs for a day, sleep, lacks."""
    facts = list(facts)
    found = [
        f"{route.model}: its standby took over by itself at {moment_text(route.took_over)}, "
        f"because what served before was down; toolkit deploy {route.model} chooses anew"
        for route in routes.routes
        if route.took_over
    ]
    found += [
        f"{each.name} {slot.model} {slot.slot}: it hung at {moment_text(slot.hung_at)} and was restarted: "
        f"{slot.hung}"
        for each in facts
        for slot in each.slots
        if slot.hung_at and each.observed_at - slot.hung_at < DAY
    ]
    found += [
        f"{each.name}: its router's log lacks requests: {each.unlogged}"
        for each in facts
        if each.unlogged
    ]
    found += [
        f"{each.name}: its disk is full: {room}; toolkit prune, or make room there: df -h, df -i"
        for each in facts
        if (room := _full(each))
    ]
    found += [f"{each.name}: its disk {SERVES_ON}; {READ_ONLY}" for each in facts if each.read_only]
    found += [
        _place_words(each, route.model)
        for each in facts
        for route in routes.routes
        if route.on(each.name) and not each.slots_of(route.model)
    ]
    found += [
        f"{each.name}: its watch does not run, so nothing ends a replica that hangs; toolkit doctor"
        for each in facts
        if each.converged and not each.watched
    ]
    found += [
        f"{route.model}: {_sleep_words(route.sleep, _hosts(route))}{_room_words(route.model, route.sleep, facts)}"
        for route in routes.routes
        if route.sleep
    ]
    return tuple(found)


def _full(facts: HostFacts) -> str:
    """Return what is left on a full disk, in words; nothing where there is room."""
    if facts.disk_total and facts.disk_free < FULL_BYTES:
        return f"{format_size(facts.disk_free)} free"
    if facts.files_free is not None and facts.files_free < FULL_FILES:
        return f"it takes {facts.files_free} more files"
    return ""


def _place_words(facts: HostFacts, model: str) -> str:
    """Return, in words, that a host has a place in the model's route and no replica, with what brings one."""
    if not facts.converged:
        return (
            f"{facts.name}: it has nothing of the toolkit, as after a new installation, and routers lead to it for "
            f"{model}: toolkit provision {facts.name}, then toolkit deploy {model} --host {facts.name}"
        )
    return (
        f"{facts.name}: {model} has its place here and no replica: toolkit deploy {model} brings one, "
        f"toolkit stop {model} --host {facts.name} gives the place up"
    )


def _room_words(model: str, sleep: Sleep, facts: Iterable[HostFacts]) -> str:
    """Return, in words, the hosts on which a sleeping model has no room to wake; nothing where all have it."""
    alternates = {each.model for each in sleep.alternates}
    lacks = ((each.name, lack_of_room(model, each, alternates)) for each in facts)
    found = [f"{name} has no room for it now: {why}" for name, why in lacks if why]
    return "".join(f"; {words}" for words in found)


def _hosts(route: Route) -> str:
    """Return on which hosts the model sleeps, in words; nothing where that is on all of its hosts."""
    if not route.partly_awake:
        return ""
    return " on " + ", ".join(sorted({each.host for each in route.targets if each.asleep}))


def _sleep_words(sleep: Sleep, where: str) -> str:
    start = f"a start usually takes {format_seconds(sleep.starts)}"
    if sleep.alternates:
        start += f"; before it wakes, {', '.join(each.model for each in sleep.alternates)} must have nothing to do"
    if sleep.due:
        return f"it wakes{where} and is due at {moment_text(sleep.due)}; {start}"
    return f"it sleeps{where} since {moment_text(sleep.since)}; {WORDS[WhenAsleep(sleep.policy)]}; {start}"
