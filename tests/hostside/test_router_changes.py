"""Changes of the router: nothing is lost under load, files and workers agree, what fails leaves all as it was."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.hostside.router_lab import (
    REPO,
    Backend,
    router,
    router_check,
    router_files,
    router_socket,
    router_view,
    seals,
    until,
)
from tests.hostside.router_site import PATH, Clients, Site
from tests.pace import Pace
from tests.planning.rendered import render_files
from toolkit.planning.routing.edits import with_model, with_weights, without_model
from toolkit.planning.routing.routes import Target


def test_a_switch_back_and_forth_under_load_loses_nothing(site: Site) -> None:
    clients = Clients(site.lab.port, short=8, streams=12)
    for _ in range(3):
        site.shift(green=10, blue=90)
        site.reload()
        site.shift(green=100, blue=0)
        until(lambda: router_view.sessions(str(site.lab.root), "tiny", "blue") == 0)
        site.reload()
        site.shift(green=0, blue=100)
        until(lambda: router_view.sessions(str(site.lab.root), "tiny", "green") == 0)
    until(lambda: clients.results["short"] > 500 and clients.results["stream"] > 24)
    results = clients.stop()
    assert {key: n for key, n in results.items() if key.startswith("bad")} == {}
    site.consistent()


def test_once_a_switch_has_returned_the_old_one_may_die(site: Site) -> None:
    clients = Clients(site.lab.port, short=6, streams=0)
    idle = [http.client.HTTPConnection("127.0.0.1", site.lab.port, timeout=60) for _ in range(30)]
    for connection in idle:
        connection.request("POST", PATH, b'{"model":"tiny"}')
        connection.getresponse().read()
    # the idle clients belong to the worker that this leaves behind
    site.reload()
    site.shift(green=100, blue=0)
    until(lambda: router_view.sessions(str(site.lab.root), "tiny", "blue") == 0)
    site.blue.stop()
    for connection in idle:
        with contextlib.closing(connection):
            connection.request("POST", PATH, b'{"model":"tiny"}')
            assert json.load(connection.getresponse())["slot"] == "green"
    assert set(clients.stop()) == {"short"}


def test_a_worker_left_behind_sends_to_a_replica_that_started_since(site: Site) -> None:
    site.green.stop()
    until(lambda: site.lab.observe()["servers"]["tiny"]["green"]["status"] == "DOWN")
    idle = http.client.HTTPConnection("127.0.0.1", site.lab.port, timeout=60)
    with contextlib.closing(idle):
        idle.request("POST", PATH, b'{"model":"tiny"}')
        idle.getresponse().read()
        site.reload()
        site.green = Backend("green", site.green.port)
        site.lab.up("tiny", "green")
        assert site.shift(green=100, blue=0)["workers"] == 2
        idle.request("POST", PATH, b'{"model":"tiny"}')
        assert json.load(idle.getresponse())["slot"] == "green"


def test_sessions_are_those_of_all_workers(site: Site) -> None:
    clients = [http.client.HTTPConnection("127.0.0.1", site.lab.port) for _ in range(2)]
    body = json.dumps({"model": "tiny", "stream": True, "tokens": 2000, "pause": 0.01})
    with contextlib.closing(clients[0]), contextlib.closing(clients[1]):
        for connection in clients:
            connection.request("POST", PATH, body)
            connection.getresponse().readline()
            site.reload()
        facts = site.lab.observe()
        assert (facts["workers"], facts["servers"]["tiny"]["blue"]["sessions"]) == (3, 2)
        assert router_view.sessions(str(site.lab.root), "tiny", "blue") == 2
        assert router_view.sessions(str(site.lab.root), "tiny", "green") == 0
    until(lambda: router_view.sessions(str(site.lab.root), "tiny", "blue") == 0)
    until(lambda: site.lab.observe()["workers"] == 1)


def test_a_canary_gets_its_share_to_the_request(site: Site) -> None:
    site.shift(green=10, blue=90)
    slots = Counter(site.slot() for _ in range(100))
    assert slots.total() == 100
    assert 9 <= slots["green"] <= 11


def test_models_come_and_go_beside_traffic(site: Site) -> None:
    clients = Clients(site.lab.port, short=4, streams=4)
    more = with_model(site.lab.routes, "more", (Target("blue", site.green.port, 100),), created=2)
    assert site.lab.apply(more)["reloaded"]
    assert site.lab.ask(PATH, {"model": "more"})[1]["slot"] == "green"
    site.consistent()
    site.lab.apply(without_model(more, "more"))
    assert site.lab.ask(PATH, {"model": "more"})[0] == 404
    site.consistent()
    assert set(clients.stop()) == {"short", "stream"}


def test_the_same_again_changes_nothing(site: Site) -> None:
    site.lab.apply(site.lab.routes)
    done = site.lab.apply(site.lab.routes)
    assert (done["changed"], done["reloaded"], done["commands"]) == ([], False, 0)


def test_a_target_that_is_not_up_gets_no_traffic(site: Site) -> None:
    site.green.stop()
    until(lambda: site.lab.observe()["servers"]["tiny"]["green"]["status"] == "DOWN")
    before = site.files()
    new = with_weights(site.lab.routes, "tiny", {"green": 100, "blue": 0})
    with pytest.raises(router.RouterError, match=r"tiny/green gets no traffic: .* DOWN"):
        site.lab.apply(new, wait_up=0.3)
    assert site.files() == before
    assert site.slot() == "blue"
    site.consistent()


def test_a_target_that_is_just_coming_up_is_waited_for(site: Site) -> None:
    site.green.stop()
    until(lambda: site.lab.observe()["servers"]["tiny"]["green"]["status"] == "DOWN")
    site.green = Backend("green", site.green.port)
    site.shift(green=100, blue=0)
    assert site.slot() == "green"


def test_files_that_the_router_refuses_leave_all_as_it_was(site: Site) -> None:
    before = site.files()
    files = {**render_files(site.lab.routes), "backends.cfg": "backend x\n    nonsense here\n"}
    with pytest.raises(router.RouterError, match="unknown keyword 'nonsense'"):
        router.apply(str(site.lab.root), {"files": files})
    assert site.files() == before
    assert site.slot() == "blue"
    site.consistent()


def test_a_reload_that_fails_leaves_all_as_it_was(site: Site, monkeypatch: Any) -> None:
    before = site.files()
    # what only the real start can tell, as would be an address that somebody else has taken
    monkeypatch.setattr(router_check, "check", lambda *_, **__: None)
    files = {**render_files(site.lab.routes), "backends.cfg": "backend x\n    nonsense here\n"}
    with pytest.raises(router.RouterError, match="the router refused its new files"):
        router.apply(str(site.lab.root), {"files": files})
    assert site.files() == before
    assert site.slot() == "blue"
    site.shift(green=100, blue=0)
    assert site.slot() == "green"
    site.consistent()


def test_a_start_from_the_files_is_what_was_there(site: Site) -> None:
    site.shift(green=100, blue=0)
    site.lab.stop()
    facts = site.lab.observe()
    assert (facts["running"], facts["workers"], facts["version"]) == (False, 0, "")
    assert facts["bind"] == f"127.0.0.1:{site.lab.port}"
    assert facts["servers"]["tiny"]["green"] == {"weight": 100, "status": "", "sessions": 0}
    assert facts["routes"] == site.lab.routes.as_json()
    assert not site.shift(green=90, blue=10)["running"]
    assert not site.shift(green=100, blue=0)["running"]
    site.lab.start()
    assert site.slot() == "green"
    site.consistent()


def test_observing_where_there_is_no_router_at_all(tmp_path: Path) -> None:
    assert router_view.observe(str(tmp_path)) == {
        "running": False,
        "silent": False,
        "bind": "",
        "version": "",
        "workers": 0,
        "servers": {},
        "routes": {},
        "drift": [],
        "crowd": "",
    }
    assert router_view.sessions(str(tmp_path), "tiny", "blue") == 0


@pytest.mark.parametrize("answers", [1, 2, 3])
def test_a_worker_that_ends_while_it_is_told_a_map_counts_as_done(
    monkeypatch: pytest.MonkeyPatch, answers: int
) -> None:
    """After a reload the former worker ends with its last request, which may be right now."""
    told = iter(["", "New version created: 3", "", ""][:answers])
    monkeypatch.setattr(router_socket, "_ask_worker", lambda *_: next(told, ""))
    assert router_socket.set_map("", 1, "relay.map", {"a": "b"})


def test_a_worker_that_does_not_follow_a_map_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"show info": "alive", "prepare map relay.map": "New version created: 3"}
    monkeypatch.setattr(router_socket, "_ask_worker", lambda *given: told.get(given[2], ""))
    with pytest.raises(router.RouterError, match="it holds something else afterwards"):
        router_socket.set_map("", 1, "relay.map", {"a": "b"})


def test_a_router_without_its_configuration_is_not_reloaded(site: Site) -> None:
    base = Path(site.lab.directory, "haproxy.cfg")
    text = base.read_text()
    base.unlink()
    Path(site.lab.directory, "backends.cfg").unlink()
    before = router_socket.processes(site.lab.directory)
    with pytest.raises(router.RouterError, match="configuration is gone") as caught:
        site.lab.apply(site.lab.routes)
    assert getattr(caught.value, "hint", "") == "toolkit provision --force"
    assert router_socket.processes(site.lab.directory) == before
    assert site.slot() == "blue"
    base.write_text(text)
    assert site.lab.apply(site.lab.routes)["reloaded"] is True


@pytest.mark.parametrize("is_gone", [False, True])
def test_files_are_mended_under_a_damaged_base_and_nothing_else_is_changed(
    site: Site, is_gone: bool
) -> None:
    """The role that writes the base anew checks it with the files that are there: each would wait for the other."""
    base, backends = (Path(site.lab.directory, name) for name in ("haproxy.cfg", "backends.cfg"))
    texts = base.read_text(), backends.read_text()
    seals.write(str(site.lab.root), "base", {str(base): [seals.digest(texts[0].encode())]})
    base.unlink() if is_gone else base.write_text(texts[0] + "nonsense\n")
    backends.write_text("backend x\n    nonsense here\n")
    assert site.lab.apply(site.lab.routes)["reloaded"] is False
    assert backends.read_text() == texts[1]
    assert site.slot() == "blue"
    more = with_model(site.lab.routes, "other", (Target("blue", site.blue.port, 100),), created=0)
    refused = "configuration is gone" if is_gone else "refuses its new files"
    with pytest.raises(router.RouterError, match=refused):
        router.apply(str(site.lab.root), {"files": render_files(more)})
    base.write_text(texts[0])
    site.reload()
    site.consistent()


def test_a_router_whose_files_are_all_gone_is_not_given_some_of_them(site: Site) -> None:
    """Its directory was removed, and only the role brings that back."""
    base = Path(site.lab.directory, "haproxy.cfg")
    seals.write(str(site.lab.root), "base", {str(base): [seals.digest(base.read_bytes())]})
    names = ("haproxy.cfg", *router_files.FILES)
    kept = {name: Path(site.lab.directory, name).read_text() for name in names}
    for name in kept:
        Path(site.lab.directory, name).unlink()
    with pytest.raises(router.RouterError, match="the router's configuration is gone"):
        site.lab.apply(site.lab.routes)
    assert not base.with_name("backends.cfg").exists()
    for name, text in kept.items():
        Path(site.lab.directory, name).write_text(text)
    site.reload()
    site.consistent()


def test_workers_whose_master_refused_a_reload_are_told_changes(site: Site) -> None:
    """Its master has no worker of its own then, and those from before have all traffic."""
    base = Path(site.lab.directory, "haproxy.cfg")
    text = base.read_text()
    base.write_text(text + "nonsense\n")
    with pytest.raises(router.RouterError, match="refused its new files"):
        router_socket.reload(site.lab.directory)
    seen = site.lab.observe()
    assert (seen["running"], seen["workers"]) == (True, 1)
    done = site.lab.apply(with_weights(site.lab.routes, "tiny", {"blue": 0, "green": 100}))
    assert (done["running"], done["reloaded"]) == (True, False)
    assert site.slot() == "green"
    base.write_text(text)
    router_socket.reload(site.lab.directory)
    assert site.slot() == "green"


def test_a_dead_replica_is_seen(site: Site, pace: Pace) -> None:
    # a stop of the thread that accepts also ends the answers to checks
    site.blue.stop()
    started = pace()
    until(lambda: site.lab.observe()["servers"]["tiny"]["blue"]["status"] == "DOWN")
    assert pace() - started < 2.5
    assert site.lab.ask(PATH, {"model": "tiny"})[0] == 503


# --- the role's own reload ---------------------------------------------------------------------------


def reload_as_the_role_does(socket: str) -> dict[str, Any]:
    module = REPO / "playbooks/roles/router/library/router_reload.py"
    arguments = json.dumps({"ANSIBLE_MODULE_ARGS": {"socket": socket}})
    argv = [sys.executable, str(module), arguments]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_the_role_reloads_without_a_loss(site: Site, tmp_path: Path) -> None:
    before = router_socket.processes(site.lab.directory)["current"]
    clients = Clients(site.lab.port, short=4, streams=4)
    result = reload_as_the_role_does(f"{site.lab.root}/control/master.sock")
    assert (result["changed"], result["running"]) == (True, True)
    assert set(router_socket.processes(site.lab.directory)["current"]).isdisjoint(before)
    assert set(clients.stop()) == {"short", "stream"}
    absent = reload_as_the_role_does(str(tmp_path / "master.sock"))
    assert (absent["changed"], absent["running"]) == (False, False)


def test_a_base_that_is_wrong_is_reported_and_the_former_serves(site: Site) -> None:
    base = Path(site.lab.directory, "haproxy.cfg")
    text = base.read_text()
    base.write_text(text + "nonsense\n")
    result = reload_as_the_role_does(f"{site.lab.root}/control/master.sock")
    assert result["failed"] is True
    assert "refused its new files" in result["msg"]
    assert site.slot() == "blue"
    base.write_text(text)
    assert reload_as_the_role_does(f"{site.lab.root}/control/master.sock")["changed"] is True
