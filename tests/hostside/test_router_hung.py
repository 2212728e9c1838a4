"""Requests that a replica held when it hung: their clients hear of that, and not that the replica broke off."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hostside.router_lab import REPO, until
from tests.hostside.router_site import Site, site_of

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import hang
import router_releases

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with site_of() as made:
        manifest = {"model": "tiny", "slot": "blue", "release": {"version": "v1", "number": 3}}
        slot = made.lab.root / "slots/tiny-blue"
        slot.mkdir(parents=True)
        (slot / "manifest.json").write_text(json.dumps(manifest))
        yield made


def cut(site: Site, path: str, room: int, name: str, first: Callable[[], None]) -> Any:
    """Return the answer of a request whose replica ends while it computes; `first` happens just before.

    `name` is its id.
    """
    told: list[Any] = []
    body = json.dumps({"model": "tiny", "pause": 30}).ljust(room)

    def ask() -> None:
        told.append(site.lab.ask(path, body, X_Request_Id=name))

    site.blue.last = ("", b"")
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    until(lambda: site.blue.last[1])
    first()
    site.blue.cut()
    asking.join(60)
    return told[0]


@pytest.mark.parametrize(
    ("path", "room", "hung", "broken"),
    [
        (CHAT, 0, "server_error", "server_error"),
        (MESSAGES, 0, "timeout_error", "api_error"),
        # a body that is read elsewhere, and a path that names the model
        (MESSAGES, 20_000, "timeout_error", "api_error"),
        ("/m/tiny" + CHAT, 0, "server_error", "server_error"),
    ],
)
def test_a_request_that_a_hung_replica_held_gets_504_and_one_that_a_crash_cut_gets_502(
    site: Site, path: str, room: int, hung: str, broken: str
) -> None:
    def found_to_hang() -> None:
        # as the watch does before it ends the replica
        hang.record(str(site.lab.root), "tiny-blue", "1 request is open")
        router_releases.tell(str(site.lab.root))

    name = f"hung{path.replace('/', '-')}-{room}"
    status, answer, headers = cut(site, path, room, name, found_to_hang)
    assert (status, answer["error"]["code"], answer["error"]["type"]) == (504, "replica_hung", hung)
    assert headers["X-Toolkit-Error"] == "replica_hung"
    assert (headers["X-Toolkit-Slot"], headers["X-Toolkit-Version"]) == ("blue", "v1")
    assert answer.get("request_id") == (name if path == MESSAGES else None)
    line = until(lambda: [each for each in site.lab.requests() if each["request_id"] == name])[-1]
    assert (line["status"], line["reason"], line["slot"]) == (504, "replica_hung", "blue")
    # A hang of the past is no reason for the end of what was asked later.
    until(lambda: time.time() >= int(hang.recorded(str(site.lab.root), "tiny-blue")["at"]) + 1)
    status, answer, headers = cut(site, path, room, "broken", lambda: None)
    assert (status, answer["error"]["code"]) == (502, "replica_broke_off")
    # A reload, which a change of the routes may need, reads the map from its file.
    router_releases.follow(str(site.lab.root))
    site.reload()
    assert (headers["X-Toolkit-Error"], answer["error"]["type"]) == ("replica_broke_off", broken)


def test_a_hang_without_a_router_is_no_error(tmp_path: Path) -> None:
    router_releases.tell(str(tmp_path))
