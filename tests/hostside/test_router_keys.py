"""Who gets in: keys that count at once in every worker, and nothing of a key left lying about."""

from __future__ import annotations

import contextlib
import http.client
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.hostside.keyed import ANN, BOB, TINY, bearer, locked, ring, status
from tests.hostside.router_lab import Backend, Lab, lab, router, router_keys, router_socket, until
from tests.hostside.router_site import PATH, Site
from toolkit.domain.clients.keys import KeyRing
from toolkit.planning.routing.edits import with_model
from toolkit.planning.routing.keys import opened, with_key, without_key
from toolkit.planning.routing.routes import Routes, Target

__all__ = ["locked"]


def door(root: Path) -> tuple[int, bool]:
    """Return how many keys are valid and whether nobody gets in without one."""
    found = router_keys.door(str(root))
    return found["keys"], found["locked"]


def test_without_keys_the_door_is_open_and_one_key_locks_it(site: Site) -> None:
    assert status(site.lab) == 200
    assert door(site.lab.root) == (0, False)
    site.lab.give(ring())
    assert door(site.lab.root) == (2, True)
    assert [status(site.lab, key) for key in ("", ANN, BOB, ANN[:-1])] == [401, 200, 200, 401]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Authorization": f"Bearer {ANN}"}, 200),
        ({"Authorization": f"bearer {ANN}"}, 200),
        ({"x-api-key": ANN}, 200),
        # what some clients send of themselves beside the key that they were given
        ({"Authorization": "Bearer none", "x-api-key": ANN}, 200),
        ({"Authorization": f"Basic {ANN}"}, 401),
        ({"Authorization": ANN}, 401),
        ({"Authorization": "Bearer "}, 401),
        ({"Authorization": "Bearer door"}, 401),
        ({"x-api-key": ""}, 401),
        ({"Cookie": f"key={ANN}"}, 401),
    ],
    ids=str,
)
def test_where_a_key_may_stand(locked: Lab, headers: dict[str, str], expected: int) -> None:
    assert locked.ask(PATH, TINY, **headers)[0] == expected


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (PATH, TINY),
        (PATH, b"no JSON"),
        ("/m/tiny/v1/completions", b"{}"),
        ("/v1/models", None),
        ("/v1/models/tiny", None),
        ("/invocations", TINY),
        ("/metrics", None),
        ("/nothing", None),
    ],
)
def test_every_path_but_the_health_asks_for_a_key(locked: Lab, path: str, body: Any) -> None:
    code, answer, headers = locked.ask(path, body)
    assert (code, answer["error"]["code"]) == (401, "missing_api_key")
    assert set(answer["error"]) == {"message", "type", "param", "code"}
    assert headers["WWW-Authenticate"] == 'Bearer realm="toolkit"'
    assert headers["Content-Type"] == "application/json"
    assert locked.ask("/healthz")[0] == 200


def test_who_has_no_key_is_told_so_before_the_body_is_looked_at(locked: Lab) -> None:
    assert locked.ask(PATH, TINY, Content_Encoding="gzip")[0] == 401
    # the head alone: no body was waited for
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n"
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", locked.port)) as raw:
        raw.connect()
        raw.sock.sendall(head.encode())
        assert raw.sock.recv(100).startswith(b"HTTP/1.1 401 ")


def test_a_key_is_the_routers_alone(site: Site) -> None:
    site.lab.give(ring())
    headers = {
        **bearer(ANN),
        "x-api-key": BOB,
        "X-Toolkit-Version": "forged",
        "X-Toolkit-Key": "bob",
    }
    answer = site.lab.ask(PATH, TINY, **headers)
    assert answer[0] == 200
    site.lab.ask(PATH, TINY, **bearer("tk-wrong-" + "w" * 32))
    lines = until(lambda: len(each := site.lab.requests()) > 1 and each)
    assert {(line["key"], line["status"]) for line in lines} == {("ann", 200), ("-", 401)}

    seen = {name.lower(): value for name, value in site.blue.headers.items()}
    assert not {"authorization", "x-api-key"} & set(seen)
    # The router's own word for whose request it is.
    of_toolkit = {name: value for name, value in seen.items() if name.startswith("x-toolkit")}
    assert of_toolkit == {"x-toolkit-key": "ann"}
    places = [site.lab.log, *Path(site.lab.directory).rglob("*")]
    written = "".join(each.read_text() for each in places if each.is_file())
    assert all(key not in written for key in (ANN, BOB, "tk-wrong"))


def test_files_of_keys_are_for_root_and_the_router_alone(site: Site) -> None:
    site.lab.give(ring())
    for name, mode in (("keys.json", 0o600), ("keys.map", 0o640)):
        found = Path(site.lab.directory, name).stat()
        assert stat.S_IMODE(found.st_mode) == mode
        assert found.st_uid == Path(site.lab.directory).stat().st_uid


def test_a_revoked_key_ends_at_once_also_in_workers_that_a_reload_left_behind(site: Site) -> None:
    site.lab.give(ring())
    kept = http.client.HTTPConnection("127.0.0.1", site.lab.port, timeout=60)
    stream = http.client.HTTPConnection("127.0.0.1", site.lab.port, timeout=60)

    def ask() -> int:
        kept.request("POST", PATH, json.dumps(TINY), bearer(ANN))
        with kept.getresponse() as answer:
            answer.read()
            return answer.status

    with contextlib.closing(kept), contextlib.closing(stream):
        body = {**TINY, "stream": True, "tokens": 100, "gated": True}
        site.blue.turns.release()
        stream.request("POST", PATH, json.dumps(body), bearer(ANN))
        running = stream.getresponse()
        running.readline()
        assert ask() == 200
        # the kept connection and the stream belong to the worker that this leaves behind
        site.reload()
        assert len(router_socket.processes(site.lab.directory)["old"]) == 1
        site.lab.give(without_key(ring(), "ann", now=3.0))
        assert ask() == 401
        assert status(site.lab, ANN) == 401
        assert status(site.lab, BOB) == 200
        # an answer that runs goes on to its end
        site.blue.turns.release(99)
        assert running.read().endswith(b"data: [DONE]\n\n")
        running.close()


def test_the_last_key_revoked_does_not_open_the_door_but_opening_does(site: Site) -> None:
    keys = with_key(KeyRing(), "ann", ANN, now=1.0)
    site.lab.give(keys)
    keys = without_key(keys, "ann", now=2.0)
    site.lab.give(keys)
    assert [status(site.lab), status(site.lab, ANN)] == [401, 401]
    site.lab.give(opened(keys))
    # an open door asks for nothing, so a wrong key is no fault either
    assert [status(site.lab), status(site.lab, ANN)] == [200, 200]


def test_keys_outlive_the_router_and_come_before_it(site: Site) -> None:
    site.lab.give(ring())
    site.lab.stop()
    site.lab.give(without_key(ring(), "bob", now=3.0))
    site.lab.start()
    site.lab.up("tiny", "blue")
    assert [status(site.lab, key) for key in ("", ANN, BOB)] == [401, 200, 401]
    site.shift(green=100, blue=0)
    site.reload()
    site.lab.up("tiny", "green")
    assert [status(site.lab, key) for key in ("", ANN, BOB)] == [401, 200, 401]


def test_a_damaged_map_is_a_locked_door(site: Site) -> None:
    site.lab.stop()
    Path(site.lab.directory, "keys.map").write_text("")
    site.lab.start()
    assert status(site.lab) == 401


def test_a_router_from_before_keys_is_named(site: Site) -> None:
    base = Path(site.lab.directory, "haproxy.cfg")
    base.write_text(base.read_text().replace("keys.map", "versions.map"))
    site.reload()
    until(lambda: not router_socket.processes(site.lab.directory)["old"])
    with pytest.raises(router.RouterError, match=r"knows no keys yet: .* provisioned again"):
        site.lab.give(ring())
    assert not door(site.lab.root)[1]


def test_where_the_fleet_file_says_so_nobody_gets_in_before_the_first_key() -> None:
    backend = Backend("blue")
    with lab(router_require_keys=True) as running:
        running.apply(with_model(Routes(), "tiny", (Target("blue", backend.port, 100),), created=1))
        running.up("tiny", "blue")
        assert status(running) == 401
        assert door(running.root) == (0, True)
        running.give(opened(KeyRing()))
        assert status(running) == 401
        running.give(ring())
        assert status(running, ANN) == 200
    backend.stop()


@pytest.mark.parametrize(("key", "named"), [(ANN, "ann"), (BOB, "bob")])
@pytest.mark.parametrize("form", ["small", "large", "chunked", "by path"])
def test_the_engine_is_told_whose_request_it_is(
    site: Site, form: str, key: str, named: str
) -> None:
    site.lab.give(ring())
    assert _asked_as(site, form, bearer(key)) == (200, [named])


@pytest.mark.parametrize("form", ["small", "large", "chunked", "by path"])
def test_nobody_names_a_key_that_is_not_his(site: Site, form: str) -> None:
    forged = {"X-Toolkit-Key": "bob", "x-toolkit-KEY": "eve"}
    assert _asked_as(site, form, forged) == (200, ["-"])
    site.lab.give(ring())
    assert _asked_as(site, form, {**bearer(ANN), **forged}) == (200, ["ann"])


def _asked_as(site: Site, form: str, headers: dict[str, str]) -> tuple[int, list[str]]:
    """Return the status of a request, and every name of a key that came with it to the engine."""
    body: Any = json.dumps({**TINY, "more": "x" * (200_000 if form == "large" else 0)}).encode()
    path = f"/m/tiny{PATH}" if form == "by path" else PATH
    connection = http.client.HTTPConnection("127.0.0.1", site.lab.port, timeout=20)
    with contextlib.closing(connection):
        connection.putrequest("POST", path)
        for name, value in headers.items():
            connection.putheader(name, value)
        if form == "chunked":
            connection.putheader("Transfer-Encoding", "chunked")
        else:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(
            [body] if form == "chunked" else body, encode_chunked=form == "chunked"
        )
        answer = connection.getresponse()
        answer.read()
    came = [value for name, value in site.blue.all_headers if name.lower() == "x-toolkit-key"]
    return answer.status, came
