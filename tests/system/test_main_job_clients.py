"""Clients of others ask the main job's model, which changes its version meanwhile."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.inside import nothing_inside_gets_outside
from tests.clients.report import change_under_load, doors, fill
from tests.clients.running import Door, install
from tests.clients.table import insert, render
from tests.programs import own_temporary
from tests.system.main_job import REPOSITORY, WHO
from tests.system.served import Served

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]
CLIENTS_PAGE = REPOSITORY / "docs" / "clients.md"


@pytest.fixture(autouse=True)
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Browsers and other clients leave temporary files behind."""
    with own_temporary() as made:
        for name, value in made.items():
            monkeypatch.setenv(name, value)
        yield


def test_twelve_clients_of_others_do_what_the_table_says(served: Served, tmp_path: Path) -> None:
    """The table of docs/clients.md is what this test finds; CLIENTS_TABLE=write writes it anew."""
    served.lab.toolkit("rollback", "tiny", "--yes")
    assert served.slots() == {"v1": "standby", "v2": "serving"}
    known = json.loads(served.lab.toolkit("keys", "add", "clients", "--json"))
    door = Door(served.lab.base_url, known["key"], "tiny", WHO, f"{served.lab.base_url}/healthz")
    libraries = install(tmp_path)

    try:
        nothing_inside_gets_outside(libraries, served.lab.toolkit, WHO, known["key"])
        with doors(libraries, door) as door_of:
            rows, faults = fill(libraries, door_of, served.answers[WHO])
            answered = change_under_load(
                libraries, door_of, lambda: served.lab.toolkit("rollback", "tiny", "--yes")
            )
    finally:
        served.lab.toolkit("keys", "revoke", "clients")
        served.lab.toolkit("keys", "open")

    assert faults == []
    for client, outcomes in answered.items():
        assert {each.refused for each in outcomes} == {""}, client
        # The objects that Instructor asks for do not say which version made them.
        told = {"True"} if client == "Instructor" else set(served.answers[WHO].values())
        assert {each.value for each in outcomes} == told, client
        rows[client]["version change"] = "works"
    page = insert(CLIENTS_PAGE.read_text("utf-8"), render(rows))
    if os.environ.get("CLIENTS_TABLE") == "write":
        CLIENTS_PAGE.write_text(page, "utf-8")
    assert CLIENTS_PAGE.read_text("utf-8") == page
