"""Where a replica's state shows, as its manifest says or, for older manifests, as vLLM shows it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.planning.facts import release
from toolkit.planning.engines import engine_named

HOSTSIDE = Path(__file__).parents[2] / "toolkit" / "hostside"


@pytest.fixture
def signs(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(HOSTSIDE))
    monkeypatch.delitem(sys.modules, "signs", raising=False)
    import signs

    return signs


@pytest.mark.parametrize("number", ["0.31.0", "0.32.0"])
def test_a_manifest_without_signs_has_those_of_vllm(signs: ModuleType, number: str) -> None:
    made = release(1)
    lock = f"vllm-{number}-cpu-py311-aaaaaaaa"
    manifest = {
        "model": "tiny",
        "slot": "blue",
        "port": 8100,
        "release": {**made.as_json(), "engine": lock},
    }
    today = engine_named("vllm").signs(type(made).from_json(manifest["release"]), 8100).as_json()
    assert signs.signs(manifest) == json.loads(json.dumps(today))


def test_a_manifest_says_it_itself(signs: ModuleType, tmp_path: Path) -> None:
    slot = tmp_path / "slots" / "tiny-blue"
    slot.mkdir(parents=True)
    assert signs.of_slot(str(tmp_path), "tiny-blue")["health"] == "/health"
    (slot / "manifest.json").write_text(json.dumps({"signs": {"health": "/ready"}}))
    found = signs.of_slot(str(tmp_path), "tiny-blue")
    assert found["health"] == "/ready"
    # An older toolkit wrote fewer signs; the rest is as vLLM has it.
    assert found["core"] == signs.VLLM["core"]
