"""The sections about hosts: their devices, their replicas, their faults."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.cli.views.report.html import Html, tag
from toolkit.cli.views.report.parts import chip, code, columns, folded, nothing, plural, section
from toolkit.cli.views.slot import state_words, traffic_words
from toolkit.domain.hosts.facts import HostFacts, SlotFacts
from toolkit.domain.quantity import format_size
from toolkit.planning.report.findings import Findings
from toolkit.planning.upkeep.currency import Currency, EngineCurrency, State

_HOSTS = columns("Host", "State", "Devices", "Memory free", "Disk free", "Replicas#")
_REPLICAS = columns("Host", "Model", "Replicas", "Engine")
_SOURCES = columns("Model", "Pinned", "State", "At its source")
_ENGINES = columns("Engine", "On", "Locked", "Newest", "State")
# Rows of a table, where there is room for all.
_ROWS = 80
_TONES = {"serving": "good", "canary": "warn", "starting": "warn", "failed": "bad", "stopped": "bad"}  # fmt: skip
_MARKS = {"good": "✓\xa0", "bad": "✕\xa0", "warn": "△\xa0"}
_STATES = {State.CURRENT: "good", State.OUTDATED: "warn", State.CHANGED: "warn", State.UNKNOWN: ""}


def fleet(found: Findings, room: int) -> Html:
    """Return hosts and replicas."""
    facts = list(found.fleet.facts.values())
    slots = [(each.name, slot) for each in facts for slot in each.slots]
    rows = [_host(name, found) for name in found.fleet.labels]
    models = len({slot.model for _, slot in slots})
    placed = [_replicas(*each) for each in _placed(facts)]
    counts = (
        plural(len(found.fleet.labels), "host"),
        plural(models, "model"),
        plural(len(slots), "replica"),
    )
    lead = f"{', '.join(counts)} at the end of the period."
    return section(
        "fleet",
        "Fleet",
        lead,
        folded("hosts", _HOSTS, rows, max(1, _ROWS // room), "toolkit hosts"),
        tag("h3", "What runs where"),
        folded("places", _REPLICAS, placed, max(1, _ROWS // room), "toolkit status")
        if slots
        else nothing("Nothing is deployed."),
    )


def state(found: Findings, room: int) -> Html:
    """Return drift, and what sources hold."""
    drift, most = [*found.drift, *found.remarks], max(1, 50 // room)
    return section(
        "drift",
        "Drift and outdated",
        "What is not as it was deployed, and what its source holds that does not run here.",
        tag("h3", "Drift"),
        tag(
            "ul",
            [tag("li", chip("△ drift", "warn"), each) for each in drift[:most]],
            class_="plain",
        )
        if drift
        else nothing("✓ Nothing differs from what was deployed, on all hosts that answer."),
        tag("p", f"{len(drift) - most:,} more: ", code("toolkit status"))
        if len(drift) > most
        else None,
        tag("h3", "Outdated"),
        _outdated(found, room),
    )


def _outdated(found: Findings, room: int) -> Html:
    seen = found.upstream
    if not seen.asked:
        return nothing("The sources were not asked: ", code("toolkit outdated"))
    if seen.fault:
        return nothing(f"Not known: {seen.fault}")
    models = [_source(name, each) for name, each in seen.models.items()]
    engines = [_engine(each) for each in seen.engines]
    most, command = max(1, _ROWS // room), "toolkit outdated"
    parts = [
        folded("models", _SOURCES, models, most, command)
        if models
        else nothing("The registry has no model.")
    ]
    if engines:
        parts += [tag("h3", "Engines"), folded("engines", _ENGINES, engines, most, command)]
    return tag("div", parts)


def _host(name: str, found: Findings) -> tuple[object, ...]:
    facts = found.fleet.facts.get(name)
    if facts is None:
        words = found.fleet.unreachable.get(name, "")
        away = (chip("✕ unreachable", "bad"), tag("span", words, class_="why"))
        return (name, away, "-", "-", "-", "-")
    down = "silent" if facts.router.silent else "down"
    bad = facts.slots and not facts.router.running
    state = chip(f"✕ router {down}", "bad") if bad else chip("✓ up", "good")
    return (
        name,
        state,
        _devices(facts),
        f"{format_size(facts.memory_available)} of {format_size(facts.memory)}",
        f"{format_size(facts.disk_free)} of {format_size(facts.disk_total)}",
        str(len(facts.slots)),
    )


def _devices(facts: HostFacts) -> str:
    if not facts.devices:
        return plural(facts.cpus, "CPU core")
    names = [each.name for each in facts.devices]
    return ", ".join(f"{names.count(each)} x {each}" for each in dict.fromkeys(names))


def _placed(facts: Sequence[HostFacts]) -> list[tuple[str, str, tuple[SlotFacts, ...]]]:
    """Return host, model and slots, the ones with traffic first."""
    return [
        (each.name, model, tuple(sorted(each.slots_of(model), key=lambda slot: -slot.weight)))
        for each in facts
        for model in sorted({slot.model for slot in each.slots})
    ]


def _replicas(host: str, model: str, slots: Sequence[SlotFacts]) -> tuple[object, ...]:
    engines = [each.release.engine.rsplit("-", 1)[0] for each in slots if each.release]
    return (host, model, [_replica(each) for each in slots], ", ".join(dict.fromkeys(engines)))


def _replica(slot: SlotFacts) -> Html:
    release, words = slot.release, state_words(slot)
    tone = "warn" if slot.drift else _TONES.get(words, "")
    title = f"#{release.number} {release.version}" if release else "?"
    traffic = f", {traffic_words(slot)}" if slot.weight or slot.share else ""
    return chip(f"{_MARKS.get(tone, '')}{title}: {words}{traffic}", tone)


def _source(name: str, each: Currency) -> tuple[object, ...]:
    upstream = each.upstream
    seen = upstream.revision[:12] if upstream and upstream.revision else "-"
    more = "; ".join([*each.changes, *([each.fault] if each.fault else [])])
    return (
        name,
        f"{each.version.name} ({each.version.revision[:12]})",
        _state(each.state),
        (seen, tag("span", more, class_="why") if more else None),
    )


def _engine(each: EngineCurrency) -> tuple[object, ...]:
    newest = each.newest or (tag("span", each.fault, class_="why") if each.fault else "-")
    return (each.name, each.accelerator, each.locked, newest, _state(each.state))


def _state(state: State) -> Html:
    tone = _STATES[state]
    return chip(f"{_MARKS.get(tone, '')}{state}", tone)
