"""One field of a host's document has a value of another kind: the host is still seen, and the document is named."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.hostside.test_damage import GUARDED, OPENED, ROUTES, furnish, talk
from tests.planning.facts import release
from tests.planning.rendered import render_files
from toolkit.adapters.hosts.facts import facts_from_json, own_routes
from toolkit.domain.bounds import FACT
from toolkit.domain.hosts.fleet import Host

RELEASE = release(1).as_json()
DOCUMENTS: Mapping[str, Any] = {
    "slots/tiny-blue/manifest.json": {
        "model": "tiny", "slot": "blue", "port": 8100, "devices": [0], "release": RELEASE,
        "signs": {"health": "/health"}, "environment": {"A": "b"}, "command": ["a"],
    },
    "deployment.json": {**OPENED, "rollout": "r1", "model": "tiny", "release": RELEASE, "previous": RELEASE},
    "guard/tiny.json": {
        **GUARDED, "model": "tiny", "rollout": "r1", "slot": "blue", "phase": "bake", "release": 1, "version": "v1",
        "seconds": 60.0, "since": 1.0, "requests": 0, "share": 0,
    },
    "guard/tiny.found.json": {
        "rollout": "r1", "number": 1, "watched": 1.0, "requests": 1, "probes": 1, "settled": True,
        "figures": [{"name": "failed", "new": 5.5, "old": None, "unit": "%"}], "state": {},
        "verdict": {"gate": "bake", "verdict": "failed", "reason": "it hangs", "figures": []}, "withdrawn": "it hangs",
    },
    "router/routes.json": json.loads(render_files(ROUTES)["routes.json"]),
    "watch/tiny-blue.json": {"at": 1.0, "why": "it hangs"},
    "settings.json": {"toolkit_shared_memory": "1GiB", "toolkit_metrics_from": ["10.0.0.0/8"]},
}  # fmt: skip
ODD = (
    None,
    True,
    -1,
    1.5,
    "",
    "x",
    [],
    [None],
    {},
    {"a": None},
    10**400,
    float("inf"),
    "y" * (FACT + 1),
)
PARTS = 4


def spoiled(document: Any) -> Iterator[tuple[str, Any]]:
    """Yield the document with an odd value in each field at any depth, and the name of the place.

    Each field gets a part of the odd values, and its neighbours the others: an observation takes its time.
    """
    for number, place in enumerate(places(document)):
        for odd in ODD[number % PARTS :: PARTS]:
            changed = deepcopy(document)
            parent = changed
            for each in place[:-1]:
                parent = parent[each]
            if parent[place[-1]] != odd:
                parent[place[-1]] = odd
                yield f"{place} = {odd!r:.20}", changed


def places(value: Any) -> Iterator[tuple[Any, ...]]:
    """Yield the way to each field of a document."""
    pairs: Any = value.items() if isinstance(value, dict) else ()
    pairs = enumerate(value) if isinstance(value, list) else pairs
    for key, child in pairs:
        yield (key,)
        for way in places(child):
            yield (key, *way)


@pytest.mark.parametrize("path", DOCUMENTS)
def test_an_odd_field_hides_nothing_but_its_own_document(tmp_path: Path, path: str) -> None:
    furnish(tmp_path)
    for name, document in DOCUMENTS.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(document))
    with talk(tmp_path) as ask:
        whole = facts_from_json("a", ask("observe", label="")["result"])
        assert [each.slot for each in whole.slots] == ["blue"]
        assert (whole.damaged, whole.opened is not None, len(whole.guards)) == ((), True, 1)
        for where, document in spoiled(DOCUMENTS[path]):
            (tmp_path / path).write_text(json.dumps(document))
            seen = ask("observe", label="")
            assert "result" in seen, (where, seen)
            try:
                facts = facts_from_json("a", seen["result"])
                own_routes(facts.routes, Host("a"))
            except Exception as error:
                raise AssertionError(where) from error
            others = {each for each in facts.damaged if each != path}
            assert not others, (where, others)
            assert len(facts.slots) == 1 or path in facts.damaged, where
            assert facts.opened or path in facts.damaged or path != "deployment.json", where
