"""The load of a fleet as people and programs read it: hosts, models, replicas, and what is under way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolkit.cli.terminal.table import table_lines
from toolkit.cli.views.guard import guard_json, guard_words
from toolkit.cli.views.slot import state_words, traffic_words
from toolkit.domain.deployment.plan import WHOLE
from toolkit.domain.deployment.release import Deployment
from toolkit.domain.hosts.facts import FleetFacts, GuardFacts, HostFacts, SlotFacts
from toolkit.domain.quantity import format_seconds, format_size
from toolkit.planning.upkeep.load import Load, quantile, together

_HOSTS = ("HOST", "STATE", "REQ/S", "OPEN", "MEMORY FREE", "DEVICES")
_MODELS = ("MODEL", "REQ/S", "FAILED/S", "OPEN", "QUEUE", "FIRST p50", "p95", "TOK/S IN", "OUT")
_REPLICAS = (
    "HOST",
    "MODEL",
    "SLOT",
    "RELEASE",
    "STATE",
    "TRAFFIC",
    "REQ/S",
    "FIRST",
    "TOK/S",
    "KV",
)


@dataclass(frozen=True, slots=True)
class TopRow:
    """A replica, or a slot without one, with its load."""

    host: str
    slot: SlotFacts
    load: Load


@dataclass(frozen=True, slots=True)
class Frame:
    """All that one frame shows. `away` has since when, in seconds, a host has not answered.

    `waiting` names hosts that have not answered yet; `seconds` is the longest time over which rates are.
    """

    at: float
    fleet: FleetFacts
    rows: tuple[TopRow, ...]
    guards: tuple[tuple[str, GuardFacts], ...] = ()
    deployments: tuple[Deployment, ...] = ()
    away: Mapping[str, float] | None = None
    waiting: tuple[str, ...] = ()
    seconds: float = 0.0

    def models(self) -> dict[str, Load]:
        """Return the load of each model, over all hosts."""
        names = sorted({row.slot.model for row in self.rows})
        return {
            name: together(row.load for row in self.rows if row.slot.model == name)
            for name in names
        }

    def host(self, name: str) -> Load:
        """Return the load of all replicas of a host."""
        return together(row.load for row in self.rows if row.host == name)


def frame_json(frame: Frame) -> dict[str, Any]:
    """Return what `--json` prints of a frame."""
    return {
        "at": frame.at,
        "seconds": frame.seconds,
        "hosts": {name: _host_json(frame, facts) for name, facts in frame.fleet.facts.items()},
        "unreachable": frame.fleet.unreachable,
        "models": [{"model": name, **_load_json(load)} for name, load in frame.models().items()],
        "replicas": [_replica_json(row) for row in frame.rows],
        "guards": [guard_json(name, each) for name, each in frame.guards],
        "deployments": [
            {
                "host": each.host,
                "model": each.model,
                "action": each.action,
                "release": each.release,
                "actor": each.actor,
                "held": _is_held(frame, each),
            }
            for each in frame.deployments
        ],
    }


def frame_lines(frame: Frame, width: int, *, colours: bool = False) -> list[str]:
    """Return the lines of a frame, at most `width` columns wide."""
    parts = [
        table_lines(_HOSTS, _host_rows(frame), width, colours=colours),
        _table(_MODELS, [_model_row(*each) for each in frame.models().items()], width, colours),
        _table(_REPLICAS, _replica_rows(frame), width, colours),
        [_deployment_words(frame, each) for each in frame.deployments],
        [guard_words(name, each) for name, each in frame.guards],
    ]
    if not frame.rows and not frame.waiting:
        parts.insert(1, ["nothing is deployed"])
    lines: list[str] = []
    for part in parts:
        if part:
            lines += ["", *part] if lines else part
    return lines


def summary(frame: Frame) -> str:
    """Return one line about the whole fleet."""
    load = together(row.load for row in frame.rows)
    away = len(frame.fleet.errors)
    hosts = f"{len(frame.fleet.labels)} host{'s' if len(frame.fleet.labels) != 1 else ''}"
    words = [hosts + (f", {away} away" if away else "")]
    words.append(f"{_rate(load.requests)} requests/s")
    words.append(f"{_rate(load.generated)} tokens/s")
    return "   ".join(words)


def _table(
    headers: Sequence[str], rows: Sequence[Sequence[object]], width: int, colours: bool
) -> list[str]:
    return table_lines(headers, rows, width, colours=colours) if rows else []


def _host_rows(frame: Frame) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name in frame.fleet.labels:
        if facts := frame.fleet.facts.get(name):
            load = frame.host(name)
            down = "router silent" if facts.router.silent else "router down"
            state = "up" if facts.router.running or not facts.slots else down
            memory = f"{format_size(facts.memory_available)} of {format_size(facts.memory)}"
            opened = "-" if load.open is None else str(load.open)
            rows.append((name, state, _rate(load.requests), opened, memory, _devices(facts)))
        elif name in frame.fleet.errors:
            since = (frame.away or {}).get(name)
            words = "unreachable" + (f", {format_seconds(since)}" if since and since >= 1 else "")
            reason = frame.fleet.unreachable[name].splitlines()
            rows.append((name, words, "-", "-", "-", reason[0] if reason else ""))
        else:
            rows.append((name, "waiting", "-", "-", "-", ""))
    return rows


def _devices(facts: HostFacts) -> str:
    """Return the devices of a host with their free memory, alike ones once."""
    if not facts.devices:
        return "cpu"
    free = ", ".join(format_size(each.memory_free) for each in facts.devices)
    names = list(dict.fromkeys(each.name for each in facts.devices))
    return f"{len(facts.devices)}x {', '.join(names)}: {free} free"


def _model_row(name: str, load: Load) -> tuple[str, ...]:
    return (
        name,
        _rate(load.requests),
        _rate(load.failed),
        _count(load.open),
        _count(load.waiting),
        _time(quantile(load.first, 0.5)),
        _time(quantile(load.first, 0.95)),
        _rate(load.prompt),
        _rate(load.generated),
    )


def _replica_rows(frame: Frame) -> list[tuple[str, ...]]:
    return [
        (
            row.host,
            row.slot.model,
            row.slot.slot,
            f"#{row.slot.release.number} {row.slot.release.version}" if row.slot.release else "?",
            state_words(row.slot),
            traffic_words(row.slot),
            _rate(row.load.requests),
            _time(quantile(row.load.first, 0.5)),
            _rate(row.load.generated),
            _part(row.load.cache_use),
        )
        for row in frame.rows
    ]


def _deployment_words(frame: Frame, each: Deployment) -> str:
    where = f" on {each.host}" if each.host else ""
    state = (
        "under way"
        if _is_held(frame, each)
        else "open: its command has ended, or its guard goes on"
    )
    return f"deployment: {each.action} {each.model} #{each.release}{where} by {each.actor}: {state}"


def _is_held(frame: Frame, each: Deployment) -> bool:
    facts = frame.fleet.facts.get(each.host)
    return facts is not None and facts.held_by is not None


def _host_json(frame: Frame, facts: HostFacts) -> dict[str, Any]:
    return {
        "router": facts.router.running,
        "memory": facts.memory,
        "memory_available": facts.memory_available,
        "devices": [
            {"name": each.name, "memory": each.memory, "memory_free": each.memory_free}
            for each in facts.devices
        ],
        **_load_json(frame.host(facts.name)),
    }


def _replica_json(row: TopRow) -> dict[str, Any]:
    slot, release = row.slot, row.slot.release
    return {
        "host": row.host,
        "model": slot.model,
        "slot": slot.slot,
        "release": release.number if release else None,
        "version": release.version if release else "",
        "state": state_words(slot),
        "weight": slot.weight,
        "share": slot.share / WHOLE,
        **_load_json(row.load),
    }


def _load_json(load: Load) -> dict[str, Any]:
    return {
        "requests_per_second": load.requests,
        "failed_per_second": load.failed,
        "open": load.open,
        "running": load.running,
        "waiting": load.waiting,
        "prompt_tokens_per_second": load.prompt,
        "generated_tokens_per_second": load.generated,
        "cache_use": load.cache_use,
        "first_token": _spread(load, "first"),
        "between_tokens": _spread(load, "between"),
    }


def _spread(load: Load, name: str) -> dict[str, Any] | None:
    histogram = load.first if name == "first" else load.between
    if histogram is None or histogram.count <= 0:
        return None
    return {
        "number": histogram.count,
        "mean": histogram.total / histogram.count,
        "p50": quantile(histogram, 0.5),
        "p95": quantile(histogram, 0.95),
    }


def _rate(value: float | None) -> str:
    if value is None:
        return "-"
    if value >= 10_000:
        return f"{value / 1000:.0f}k"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}".removesuffix(".0")


def _count(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds * 1000:.0f} ms" if seconds < 0.9995 else f"{seconds:.1f} s"


def _part(part: float | None) -> str:
    return "-" if part is None else f"{100 * part:.0f}%"
