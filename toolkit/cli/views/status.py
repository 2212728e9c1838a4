"""The view of `toolkit status`: serving, standing and unfinished releases on every host."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from toolkit.adapters.history.history import History
from toolkit.adapters.hosts.port import HostPort
from toolkit.cli.opening.context import read_registry
from toolkit.cli.opening.settled import observe_settled
from toolkit.cli.opening.warm_hours import KnownHours
from toolkit.cli.terminal.output import note, print_json, say, table
from toolkit.cli.views.guard import guard_json, guard_words
from toolkit.cli.views.sleep_rule import sleep_json, sleep_lines
from toolkit.cli.views.slot import state_words, traffic_words
from toolkit.domain.deployment.release import Deployment
from toolkit.domain.deployment.schedule import SleepRule
from toolkit.domain.hosts.facts import HostFacts, SlotFacts
from toolkit.domain.quantity import format_seconds, format_size
from toolkit.errors import InputError, ToolkitError
from toolkit.planning.change.fence import fence_remarks
from toolkit.workflows.change.wishes import watched
from toolkit.workflows.fleet.status import FleetStatus

_COLUMNS = (
    "MODEL", "VERSION", "RELEASE", "SLOT", "STATE", "TRAFFIC", "REQUESTS", "MEMORY", "UP",
)  # fmt: skip


def show_once(
    model: str | None,
    registry_path: str,
    hours: KnownHours,
    ports: list[HostPort],
    history: History,
    home: Path,
    *,
    as_json: bool,
) -> ToolkitError | None:
    """Look once and print what is seen; return the error of the hosts that do not answer."""
    seen = observe_settled(ports, history, registry_path, home)
    failure = seen.fleet.failure() if seen.fleet.errors else None
    if model and not failure:
        _require_known(model, seen, history, registry_path)
    if as_json and (failure is None or seen.fleet.facts):
        rest = {
            "guards": [guard_json(name, each) for name, each in watched(seen.fleet, model)],
            "sleep": {name: sleep_json(rule) for name, rule in _rules(seen, model, hours).items()},
            "schedule_fault": hours.fault,
        }
        print_json({**seen.as_json(model), **rest}, failure)
    elif seen.fleet.facts:
        _show(seen, model, hours, several=len(ports) > 1)
        # Away from the registry's directory, status is about the hosts alone.
        if seen.registry_fault and Path(registry_path).exists():
            note(f"registry: not known what has left it: {seen.registry_fault}")
    return failure


def _require_known(model: str, seen: FleetStatus, history: History, registry_path: str) -> None:
    """Raise InputError for a model that no host, no history and no registry has; not where one cannot be read."""
    if seen.slots(model) or (seen.registry_fault and Path(registry_path).exists()):
        return
    if seen.history_fault or history.releases(model):
        return
    registry = read_registry(registry_path) if Path(registry_path).exists() else None
    if registry is None or model not in {**registry.models, **registry.waiting}:
        raise InputError(
            f"no model {model!r} on a host, in the history or in the registry",
            hint="toolkit status",
        )


def _show(seen: FleetStatus, model: str | None, hours: KnownHours, *, several: bool) -> None:
    """Print what runs; with `several` hosts each line names its host."""
    slots = seen.slots(model)
    if slots:
        _show_slots(slots, seen, several=several)
        for name, rule in _rules(seen, model, hours).items():
            for words in sleep_lines(name, rule):
                say(words)
        hours.tell()
    else:
        say("nothing is deployed" if model is None else f"{model} is not deployed")
    for words in (*(f"drift: {each}" for each in seen.drift), *seen.events):
        note(words)
    if slots:
        say()
    routers = [facts.router for facts in seen.fleet.facts.values()]
    entered = any(each.running and not each.inward for each in routers)
    for facts in seen.fleet.facts.values():
        _show_host(facts, several=several, entered=entered)
    _show_remarks(seen)
    for name, guard in watched(seen.fleet, model):
        note(guard_words(name, guard))
    for each in seen.unfinished:
        say(_unfinished(each, seen))


def _show_slots(
    slots: Sequence[tuple[str, SlotFacts]], seen: FleetStatus, *, several: bool
) -> None:
    rows = [(name, *_row(slot, seen.fleet.facts[name].observed_at)) for name, slot in slots]
    first = 0 if several else 1
    table(("HOST", *_COLUMNS)[first:], [row[first:] for row in rows])
    for words in _adapters(slot for _, slot in slots):
        say(words)


def _adapters(slots: Iterable[SlotFacts]) -> list[str]:
    """Return the LoRA adapters of each release that serves, or does so awake, each release once."""
    serving = [slot.release for slot in slots if slot.release and (slot.has_part or slot.share)]
    words = [f"adapters of {each.title}: {each.adapter_words}" for each in serving if each.adapters]
    return list(dict.fromkeys(words))


def _rules(seen: FleetStatus, model: str | None, hours: KnownHours) -> dict[str, SleepRule]:
    """Return when the models that hosts have fall asleep without a command, by name."""
    names = sorted({slot.model for _, slot in seen.slots(model)})
    return {name: hours.rule(name, seen.alternates.get(name, ())) for name in names}


def _show_remarks(seen: FleetStatus) -> None:
    """Print what concerns the fleet as a whole and deserves a command."""
    for words in seen.left_registry:
        note(f"registry: {words}")
    for name, models in seen.left_fleet.items():
        note(
            f"{name} left the fleet file and may still serve {', '.join(models)}: put it back for "
            f"toolkit hosts drain {name}, or toolkit hosts forget {name}"
        )
    for name in seen.behind:
        note(f"{name}: its router has missed a change; toolkit repair tells it")
    if seen.keys_differ:
        note("the hosts do not have the same keys; toolkit keys sync brings them together")


def _show_host(facts: HostFacts, *, several: bool, entered: bool) -> None:
    _show_router(facts, entered=entered)
    if owner := facts.held_by:
        held = f"{facts.name} is held by" if several else "held by"
        say(f"{held} {owner.actor} (pid {owner.pid}): {owner.command}")
    for words in fence_remarks(facts) if facts.slots else ():
        note(f"{facts.name}: {words}")


def _show_router(facts: HostFacts, *, entered: bool) -> None:
    """Print where clients enter; where they have `entered` at other hosts, a router on loopback is no entrance."""
    router = facts.router
    if router.running:
        alone = "; from there alone" if router.inward else ""
        if not (alone and entered):
            where = router.endpoint or "not known"
            say(f"endpoint: {where}  ({facts.name}, HAProxy {router.version}{alone})")
        if router.crowd:
            note(f"{facts.name}: its router is crowded: {router.crowd}")
    elif facts.slots and router.silent:
        say(f"the router of {facts.name} runs and does not answer; see: toolkit doctor")
    elif facts.slots:
        say(f"the router of {facts.name} does not run; start it with: toolkit deploy MODEL")


def _unfinished(each: Deployment, seen: FleetStatus) -> str:
    facts = seen.fleet.facts
    held = facts[each.host].held_by if each.host in facts else None
    watches = facts[each.host].guards if each.host in facts else ()
    if not held and any(guard.rollout == each.rollout and not guard.verdict for guard in watches):
        return f"unfinished: {each.title}, {each.action} {each.model}; its guard goes on by itself"
    running = (
        "it runs"
        if held
        else "it was cut short: the next deploy, upgrade, rollback or stop ends it"
    )
    where = f" on {each.host}" if each.host and len(facts) > 1 else ""
    return f"unfinished: {each.title}, {each.action} {each.model}{where} by {each.actor}; {running}"


def _row(slot: SlotFacts, now: float) -> tuple[str, ...]:
    release = slot.release
    return (
        slot.model,
        release.version if release else "?",
        f"#{release.number}" if release else "?",
        slot.slot,
        state_words(slot),
        traffic_words(slot),
        str(slot.sessions),
        _memory(slot),
        # A sleeping replica has no time of running: the process in its slot only waits for requests.
        format_seconds(now - slot.started_at) if slot.started_at and not slot.rests else "-",
    )


def _memory(slot: SlotFacts) -> str:
    """Return the replica's memory where it computes: of its devices, or of the host."""
    if not slot.devices:
        return format_size(slot.memory)
    return "-" if slot.device_memory is None else format_size(slot.device_memory)
