"""A made-up fleet with a made-up history: the same one for the same numbers. Nothing of it was measured."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.workflows.world import release
from toolkit.adapters.history.history import History
from toolkit.adapters.history.schema import m009_use_sums
from toolkit.config.costs.price_table import load_price_table
from toolkit.config.costs.reading import load_costs
from toolkit.domain.accelerator import Accelerator
from toolkit.domain.deployment.release import Release
from toolkit.domain.hosts.facts import (
    Device,
    FleetFacts,
    HostFacts,
    ProcessState,
    RouterFacts,
    SlotFacts,
)
from toolkit.errors import HostError
from toolkit.planning.report.findings import Cost
from toolkit.workflows.fleet.report import cost_of
from toolkit.workflows.fleet.status import FleetStatus

GB = 10**9
NOW = datetime(2026, 11, 27, 6, 0, tzinfo=UTC).timestamp()
MODELS = ("qwen-32b", "gpt-oss-20b", "llama-8b", "bge-m3", "whisper-large", "gemma-27b", "phi-14b")
KEYS = (
    "search",
    "support-desk",
    "code-review",
    "notebooks",
    "translation",
    "nightly-batch",
    "ann",
    "ben",
)
ACTORS = ("ann@ops1", "ben@ops1", "schedule@ops1")
BROKEN = (
    ("answers", "2 golden prompts of 48 lost: refund-policy, sql-join"),
    ("speed", "time to first token is 1.31 times that of the serving release, at least 1.22"),
    ("canary", "1.8 % of 412 requests failed, 0.1 % of the serving release"),
    ("bake", "its process ended and was started again"),
)


@dataclass(frozen=True)
class Size:
    """How much there is: hosts, models, days, upgrades of each model, keys."""

    hosts: int = 4
    models: int = 4
    days: int = 30
    upgrades: int = 4
    keys: int = 8


YEAR = Size(hosts=20, models=7, days=365, upgrades=52, keys=40)


def made_release(model: str, number: int, size: Size) -> Release:
    """Return release `number` of a model; versions are named after days."""
    back = timedelta(days=size.days * (size.upgrades + 2 - number) / size.upgrades)
    day = datetime.fromtimestamp(NOW, UTC) - back
    engine = "vllm-0.33.0-cuda-py312-1a2b3c4d"
    made = replace(release(number), model=model, version=f"{day:%Y-%m-%d}", engine=engine)
    return replace(made, accelerator=Accelerator.CUDA)


def write_history(path: Path, size: Size, seed: int = 7) -> History:
    """Fill the history at `path` and return it opened."""
    dice = random.Random(seed)
    history = History(path, lambda: NOW)
    hosts = [f"gpu{number:02d}" for number in range(1, size.hosts + 1)]
    models = MODELS[: size.models]
    places = {each: sorted(dice.sample(hosts, max(1, len(hosts) * 3 // 5))) for each in models}
    with sqlite3.connect(path) as db:
        for model in models:
            _releases(db, model, size, places[model], dice)
        _use(db, size, places, dice)
    db.close()
    return history


def made_status(history: History, size: Size) -> FleetStatus:
    """Return the fleet at the end of the history: one host is away, one replica has drifted."""
    models = MODELS[: size.models]
    facts, errors, labels = {}, {}, {}
    for number in range(1, size.hosts + 1):
        name = labels[f"gpu{number:02d}"] = f"gpu{number:02d}"
        if number == size.hosts:
            errors[name] = HostError(f"{name}: it does not answer on port 22 within 10 s")
            continue
        mine = [models[(number + step) % len(models)] for step in range(min(2, len(models)))]
        slots = [
            slot
            for index, model in enumerate(mine)
            for slot in _slots(history, model, index, drifted=number == 2 and index == 0)
        ]
        facts[name] = HostFacts(
            name,
            NOW,
            init="systemd",
            os="Debian 12",
            cpus=64,
            memory=528 * GB,
            memory_available=(310 + 7 * number) * GB,
            disk_free=(900 + 30 * number) * GB,
            disk_total=3840 * GB,
            slots=tuple(slots),
            router=RouterFacts(running=True),
            devices=tuple(Device(index, "NVIDIA H100 80GB", 80 * GB, 9 * GB) for index in range(2)),
        )
    drift = tuple(
        f"{name}: {slot.model}-{slot.slot}: {words}"
        for name, each in facts.items()
        for slot in each.slots
        for words in slot.drift
    )
    return FleetStatus(FleetFacts(facts, errors, labels), (), False, drift, ())


def _slots(history: History, model: str, index: int, *, drifted: bool) -> list[SlotFacts]:
    known = [each for each, _ in history.releases(model)][:2]
    ports = 8100 + 2 * index
    found = []
    for place, each in enumerate(known):
        slot = SlotFacts(
            model, "blue" if each.number % 2 else "green", ports + each.number % 2, each, devices=(index,),
            process=ProcessState.RUNNING, healthy=True, weight=0 if place else 100,
            drift=("its unit was edited on the host",) if drifted and not place else (),
        )  # fmt: skip
        found.append(slot)
    return found


def _releases(
    db: sqlite3.Connection, model: str, size: Size, hosts: Sequence[str], dice: random.Random
) -> None:
    start = NOW - size.days * 86_400
    serving = 1
    _add_release(db, model, 1, start - 9 * 86_400, size)
    _deploy(db, Attempt(model, 1, None, start - 9 * 86_400), hosts, dice)
    first = 40.0 + 30.0 * dice.random()
    for number in range(2, size.upgrades + 2):
        at = start + size.days * 86_400 * (number - 1.4 + 0.5 * dice.random()) / size.upgrades
        _add_release(db, model, number, at, size)
        broken = (
            BROKEN[dice.randrange(len(BROKEN))]
            if dice.random() < 0.22 and number <= size.upgrades
            else ()
        )
        moved = first * (0.9 + 0.16 * dice.random()) if not broken else first * 1.31
        _deploy(db, Attempt(model, number, serving, at, broken, (first, moved)), hosts, dice)
        if not broken:
            serving, first = number, moved


def _add_release(db: sqlite3.Connection, model: str, number: int, at: float, size: Size) -> None:
    body = json.dumps(made_release(model, number, size).as_json())
    db.execute("INSERT INTO releases VALUES (?, ?, ?, ?)", (model, number, body, at))


@dataclass(frozen=True)
class Attempt:
    """An attempt to make a release live; `broken` is the gate that fails, with its words, if any."""

    model: str
    number: int
    previous: int | None
    at: float
    broken: Sequence[str] = ()
    times: tuple[float, float] = (0.0, 0.0)


def _deploy(
    db: sqlite3.Connection, made: Attempt, hosts: Sequence[str], dice: random.Random
) -> None:
    rollout, actor = f"{made.model}-{made.number}", ACTORS[dice.randrange(3)]
    action = "upgrade" if made.previous else "deploy"
    slot = "blue" if made.number % 2 else "green"
    ended = made.at + 900 + 3000 * dice.random()
    outcome, words = ("failed", made.broken[1]) if made.broken else ("live", "")
    for host in hosts:
        db.execute(
            "INSERT INTO deployments (model, action, release_number, previous, slot, actor, outcome,"
            " reason, started_at, ended_at, host, rollout, kept)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)",
            (
                *(made.model, action, made.number, made.previous, slot, actor, outcome, words),
                *(made.at, ended, host, rollout),
            ),
        )
        for gate in ("checks", "answers", "speed", "health", "canary", "bake"):
            failed = bool(made.broken) and gate == made.broken[0]
            result = {
                "gate": gate,
                "verdict": "failed" if failed else "passed",
                "reason": words if failed else "",
                "figures": _figures(gate, made.times, dice),
            }
            db.execute(
                "INSERT INTO gates (model, release_number, host, rollout, at, result)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (made.model, made.number, host, rollout, (made.at + ended) / 2, json.dumps(result)),
            )
            if failed:
                break


def _figures(gate: str, times: tuple[float, float], dice: random.Random) -> list[dict[str, Any]]:
    if not times[0] or gate not in ("speed", "canary"):
        return []
    names = {
        "speed": (("time to first token", 1.0), ("time between tokens", 0.2)),
        "canary": (("first byte", 1.4),),
    }[gate]
    near = 0.99 + 0.02 * dice.random()
    return [
        {"name": name, "new": round(times[1] * factor * near, 2), "old": round(times[0] * factor, 2), "unit": "ms"}
        for name, factor in names
    ]  # fmt: skip


def _use(
    db: sqlite3.Connection, size: Size, places: Mapping[str, Sequence[str]], dice: random.Random
) -> None:
    """Each key uses some of the models, each model on the hosts that have it, on most days."""
    names = [*KEYS, *(f"team-{number:02d}" for number in range(size.keys))][: size.keys]
    models = MODELS[: size.models]
    some = min(3, len(models))
    uses = {key: sorted(dice.sample(models, some), key=models.index) for key in names}
    asking = [(key, model, host) for key in names for model in uses[key] for host in places[model]]
    rows = []
    for back in range(size.days + 1):
        day = datetime.fromtimestamp(NOW, UTC).date() - timedelta(days=back)
        busy = (0.35 if day.weekday() > 4 else 1.0) * (1.3 - 0.6 * back / size.days)
        for key, model, host in asking:
            if dice.random() < 0.35:
                continue
            index = models.index(model)
            number = int(busy * dice.randrange(400, 16_000) / (index + 1))
            whole = (number, 410 * number, 170 * number, 0 if index > 2 else 96 * number)
            for ended, part in (("whole", 1.0), ("left", 0.02), ("failed", 0.003)):
                counts = [int(part * each) for each in whole]
                if counts[0]:
                    kind = (day.isoformat(), host, key, model, "v", 1, model, ended)
                    rows.append((*kind, *counts, counts[3] // 5, 0, 0.0))
    marks = ", ".join("?" * 15)
    db.executemany(f"INSERT INTO use VALUES ({marks})", rows)
    for statement in m009_use_sums[2:]:
        db.execute(statement)


def use_rows(path: Path) -> int:
    """Return how many rows of use a history has."""
    with sqlite3.connect(path) as db:
        (count,) = db.execute("SELECT COUNT(*) FROM use").fetchone()
    db.close()
    return int(count)


def made_cost(history: History, size: Size, place: Path) -> Cost:
    """Return what the period cost with made-up prices of hosts; `place` takes their file."""
    hosts = "".join(
        f"  gpu{each:02d}: {{from: 2025-01-01, hourly: 0.45, device: h100}}\n"
        for each in range(1, size.hosts + 1)
    )
    speeds = "input: 20000, cached: 200000, output: 2500, measured: 2026-11-01"
    capacity = "".join(
        f"  - {{model: {each}, device: h100, {speeds}}}\n" for each in MODELS[: size.models]
    )
    file = place / "costs.yaml"
    file.write_text(f"currency: USD\nhosts:\n{hosts}capacity:\n{capacity}")
    since = NOW - size.days * 86_400
    return cost_of(history, load_costs(file, date.max), load_price_table().models, since, NOW)
