"""Files that the toolkit keeps for itself, which an editor, a disk or another toolkit may have changed."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from importlib import import_module
from typing import Any

from tests.fuzz.parser import A, hostside, words, written
from tests.planning.facts import release
from toolkit.adapters.engines.wheelhouse import read_stamp
from toolkit.adapters.schedule_record import ScheduleRecord
from toolkit.adapters.sightings import Sightings
from toolkit.config.completion.known_names import FILE as NAMES
from toolkit.config.completion.known_names import known_hosts, known_keys
from toolkit.domain.quantity import format_age
from toolkit.domain.registry.upstream import Sighting
from toolkit.errors import ToolkitError
from toolkit.planning.metrics.targets import kept_targets

with hostside():
    documents = import_module("documents")
    guard_state = import_module("guard_state")
    host_settings = import_module("host_settings")
    routes_file, holds = import_module("routes_file"), import_module("holds")
    slot_manifest = import_module("slot_manifest")

FLEET = "/hosts.yaml"
KNOWN = {
    FLEET: {"seen": 1.0, "hosts": ["gpu1"], "keys": ["ann"]},
    "acme/tiny": {"1" * 40: [1.8e9, True]},
    "x.whl": [A, 5],
}
RECORD = {
    "since": 1.8e9, "missed": [["night", 1.8e9]], "failed": {"tiny": {"1" * 40: "it hangs"}},
    "runs": [{"window": "night", "opens": 1.8e9, "begun_at": 1.8e9, "ended_at": 1.8e9, "code": 0, "lines": ["a"]}],
    "warm": {"tiny": ["awake", 1.8e9]}, "idle": {"tiny": ["5", 1.8e9]},
}  # fmt: skip
TARGETS = [{"targets": ["10.0.0.1:8405"], "labels": {"__metrics_path__": "/m", "host": "gpu1"}}]


def of_this_machine(data: bytes) -> Any:
    """Read the same bytes as each file of an ops machine; times in them can be shown."""
    home = written(NAMES, data).parent
    written("sightings.json", data)
    seen = Sightings(home).see({})
    found: list[Any] = [known_hosts(home, FLEET), known_keys(home, FLEET), len(seen)]
    found.append([asdict(each) for each in kept_targets(words(data), ("gpu1",))])
    found.append(read_stamp(written("stamp.json", data)))
    written("schedule.json", data)
    with suppress(ToolkitError):
        record = ScheduleRecord(home).read()
        times = [
            each for run in record.runs for each in (run.opens, run.begun_at, run.ended_at or 0.0)
        ]
        times += [record.since, *(opens for _, opens in record.missed)]
        times += [since for _, since in (*record.warm.values(), *record.idle.values())]
        found.append([asdict(record), [format_age(each) for each in times]])
    known = Sightings(home)._read()
    found.append([format_age(each.at) for each in _sighted(known)])
    return found


def _sighted(known: dict[str, dict[str, Sighting]]) -> list[Sighting]:
    return [each for entries in known.values() for each in entries.values()]


TARGET = {
    "slot": "blue",
    "port": 8100,
    "weight": 256,
    "host": "gpu1",
    "relay": "10.0.0.1:8403",
    "share": 0,
}
ROUTES = {
    "at": "10.0.0.1:8403", "serial": 3, "own": 0,
    "routes": [
        {"model": "tiny", "created": 1, "routing": "prefix", "adapters": ["sql"], "hold": 5, "waiting": {"sql": 3},
         "targets": [TARGET, {**TARGET, "slot": "green", "weight": 0, "share": 500, "aliases": ["t"]}],
         "sleep": {"id": "ab", "policy": "wake", "starts": 9, "since": 1, "due": 2, "alternates": []}},
    ],
}  # fmt: skip
BACKENDS = b"backend model.tiny\n    server blue 127.0.0.1:8100 weight 256 check\n    server standby:blue x weight 0\n"
MANIFEST = {
    "model": "tiny",
    "slot": "blue",
    "port": 8100,
    "release": release(1).as_json(),
    "signs": {"metrics": "/m"},
}
STATE = {"judge": {"a": 1}, "usual": [None, 0.5], "process": "9", "back": 1.5, "a.json": [3, A]}


def of_a_host(data: bytes) -> Any:
    """Read the same bytes as each file of a host: its routes, the manifest of a slot, the state of a guard."""
    text = words(data)
    routes = routes_file.parsed(text)
    loaded = {
        "model.tiny": {"blue": {"weight": 1, "address": "127.0.0.1:8100", "algorithm": "hash"}}
    }
    found = [
        routes, routes_file.is_sound(text, text), routes_file.in_backends(text),
        routes_file.commands(loaded, routes), routes_file.outdated(loaded, routes), routes_file.shares(routes),
        routes_file.drawing(routes), routes_file.relays(routes), routes_file.main_slots(routes),
        holds.held(holds.of_routes(routes), 1.8e9, {"tiny": "5:1:2"}), routes_file.weights(routes),
    ]  # fmt: skip
    manifest = slot_manifest.parsed(text)
    found += [slot_manifest.is_sound(manifest), documents.digests(text)]
    state = guard_state.sound(documents.mapping(text))
    # The judge's part is compared with the judge's own.
    found.append({name: value for name, value in state.items() if name != "judge"})
    found.append(host_settings.read(str(written(host_settings.NAME, data).parent)))
    return found
