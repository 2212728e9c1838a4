"""Documents lead to places that exist: each row of CONTRIBUTING names one, and so does the map of the architecture."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.documents import ROOT, fenced, table_rows

TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
CHANGES = table_rows(TEXT, "Where does my change go?", 2)
FEATURES = table_rows(TEXT, "Where does my change go?", 2, table=1)
# A reader who wants to add one of these must find where.
WANTED = {
    "a canary share",
    "a gate on golden prompts, an expectation of them",
    "a LoRA adapter",
    "a scrape file",
    "usage per key",
    "a webhook",
    "a schedule",
    "AMD",
    "a second engine",
    "a field of the registry",
}


@pytest.mark.parametrize(("change", "place"), [*CHANGES, *FEATURES])
def test_each_change_has_a_place_that_exists(change: str, place: str) -> None:
    paths = re.findall(r"`((?:toolkit|playbooks|tests|docs)/[^`]*)`", place)
    assert paths, change
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_wanted_feature_has_a_row() -> None:
    assert {change for change, _ in [*CHANGES, *FEATURES]} >= WANTED


def test_every_room_has_a_row() -> None:
    documented = {room.strip("`") for room, _ in table_rows(TEXT, "Layers and rooms", 2)}
    rooms = {
        f"{path.parent.relative_to(ROOT).as_posix()}/"
        for path in ROOT.glob("toolkit/*/*/__init__.py")
    }
    assert documented == rooms


def test_every_file_of_the_map_exists() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    section = re.split(r"^## ", text, flags=re.MULTILINE)[1]
    named = {
        name for _, _, line in fenced(section) for name in re.findall(r"[\w/]+\.(?:py|yml)", line)
    }
    files = [
        f"/{path.relative_to(ROOT).as_posix()}"
        for top in ("toolkit", "playbooks")
        for path in (ROOT / top).rglob("*")
    ]
    assert len(named) > 20
    assert [name for name in named if not any(each.endswith(f"/{name}") for each in files)] == []


@pytest.mark.parametrize("layer", ["workflows", "planning", "adapters", "config", "domain", "cli"])
def test_the_order_of_rooms_is_the_one_that_is_enforced(layer: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    [contract] = [
        each["layers"]
        for each in project["tool"]["importlinter"]["contracts"]
        if each["type"] == "layers"
        and (
            each.get("containers") == [f"toolkit.{layer}"]
            or f"toolkit.{layer}." in each["layers"][0]
        )
    ]
    order = " > ".join(contract).replace(f"toolkit.{layer}.", "")
    assert f"{layer}: {order}" in " ".join(TEXT.split())


def test_each_module_of_the_hosts_side_stands_below_a_subject() -> None:
    table = TEXT.partition("By subject:")[2].partition("\n## ")[0]
    named = re.findall(r"`(\w+)\.py`", table)
    modules = {path.stem for path in (ROOT / "toolkit/hostside").glob("[a-z]*.py")}
    assert sorted(named) == sorted(modules)
