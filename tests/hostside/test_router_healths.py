"""A router asks each other host for the health of all of its targets at once, on a connection that it keeps."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.hostside.router_lab import REPO, Backend, Lab, free_port, lab, router_socket, until
from tests.hostside.router_site import PATH
from tests.pace import Pace
from toolkit.planning.routing.edits import with_model
from toolkit.planning.routing.routes import Routes, Target

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import withdraw

MODELS = ("tiny", "team/big")
# What a base of an older toolkit has of all this: nothing.
ASKING = "asks_all"
# For so long a relay's requests are counted. The checks of HAProxy's own, each ten seconds, may all fall into them.
SECONDS = 2.0


@dataclass
class Hosts:
    """Hosts `a` and `b`, each with both slots of two models, and an engine for each model."""

    routers: dict[str, Lab]
    engines: dict[tuple[str, str], Backend]
    relays: dict[str, str]

    def up(self, at: str, host: str) -> dict[str, bool]:
        """Return whether the targets of `host` are up, by model and slot, as the router of `at` sees them."""
        known = self.routers[at].observe()["servers"]
        return {
            f"{model}/{name}": bool(each.get("up"))
            for model in MODELS
            for name, each in known[model].items()
            if name.startswith(f"{host}.")
        }

    def all_up(self, at: str, host: str) -> bool:
        found = self.up(at, host)
        return len(found) == 4 and all(found.values())

    def pause(self, host: str, number: signal.Signals) -> None:
        for pid in _workers(self.routers[host]):
            os.kill(pid, number)


def _workers(router: Lab) -> list[int]:
    found = router_socket.processes(router.directory)
    return [*found["current"], *found["old"]]


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    relays = {"a": f"127.0.0.2:{free_port()}", "b": f"127.0.0.3:{free_port()}"}
    with contextlib.ExitStack() as stack:
        engines = {(host, model): Backend(host) for host in relays for model in MODELS}
        for engine in engines.values():
            stack.callback(engine.stop)
        routes = Routes()
        for model in MODELS:
            targets = tuple(
                Target(slot, engines[host, model].port, 100 * (slot == "blue"), host, relay)
                for host, relay in relays.items()
                for slot in ("blue", "green")
            )
            routes = with_model(routes, model, targets, created=1)
        routers = {
            name: stack.enter_context(
                lab(name, routes, router_relay_bind=relay, router_relays=[*relays.values()])
            )
            for name, relay in relays.items()
        }
        made = Hosts(routers, engines, relays)
        for at in relays:
            until(lambda at=at: made.all_up(at, "a") and made.all_up(at, "b"))
        yield made


def asked(router: Lab) -> tuple[int, int]:
    """Return the requests and the connections that the relay of the newest worker has had."""
    pid = router_socket.processes(router.directory)["current"][-1]
    (text,) = router_socket.tell(router.directory, pid, ["show stat relay 1 -1"])
    names, row = (line.split(",") for line in text.partition(": ")[2].lstrip("# ").splitlines())
    found = dict(zip(names, row, strict=True))
    return int(found["req_tot"]), int(found["conn_tot"])


def ask_itself_no_more(router: Lab) -> None:
    """End the checks of a router's own slots, which go to its own relay as well."""
    pid = router_socket.processes(router.directory)["current"][-1]
    at = router.at
    router_socket.tell(
        router.directory,
        pid,
        [
            f"disable health model.{model.replace('/', ':')}/{at}.{slot}"
            for model in MODELS
            for slot in ("blue", "green")
        ],
    )


def rates(router: Lab, seconds: float = SECONDS) -> tuple[float, float]:
    """Return the requests and the connections a second that other hosts send to a relay."""
    ask_itself_no_more(router)
    before, began = asked(router), time.monotonic()
    time.sleep(seconds)
    after, took = asked(router), time.monotonic() - began
    return (after[0] - before[0]) / took, (after[1] - before[1]) / took


def make_older(router: Lab) -> None:
    """Give the router of a host a base that answers for single targets only, and a start from it."""
    base = Path(router.directory, "haproxy.cfg")
    lines = base.read_text().splitlines(True)
    base.write_text("".join(line for line in lines if ASKING not in line))
    router_socket.reload(router.directory)


def test_one_question_each_400_ms_is_for_all_targets_of_a_host(hosts: Hosts) -> None:
    requests, connections = rates(hosts.routers["b"])
    # Four targets were asked for by ten connections a second. The checks of HAProxy's own go on, each ten seconds.
    assert 0 < requests <= 2.5 + 5 / SECONDS
    assert connections <= 5 / SECONDS


def test_a_host_that_falls_silent_leaves_with_all_its_models_and_comes_back_at_once(
    hosts: Hosts, pace: Pace
) -> None:
    hosts.pause("b", signal.SIGSTOP)
    try:
        silent = pace()
        until(lambda: not any(hosts.up("a", "b").values()))
        assert pace() - silent < 2
        assert hosts.all_up("a", "a")
    finally:
        hosts.pause("b", signal.SIGCONT)
    back = pace()
    until(lambda: hosts.all_up("a", "b"))
    assert pace() - back < 2


def test_a_pause_of_a_host_itself_is_no_silence_of_the_others(hosts: Hosts) -> None:
    lines = hosts.routers["a"].log.read_text().count("is DOWN")
    hosts.pause("a", signal.SIGSTOP)
    time.sleep(3)
    hosts.pause("a", signal.SIGCONT)
    time.sleep(1)
    assert hosts.all_up("a", "b")
    assert hosts.routers["a"].log.read_text().count("is DOWN") == lines


def test_a_replica_that_dies_takes_its_own_targets_out_alone(hosts: Hosts, pace: Pace) -> None:
    hosts.engines["b", "team/big"].stop()
    died = pace()
    until(lambda: not any(each for name, each in hosts.up("a", "b").items() if "big" in name))
    # The relay's own checks take most of it: three failures, the first within a second.
    assert pace() - died < 3
    assert [each for name, each in hosts.up("a", "b").items() if "tiny" in name] == [True, True]
    # It gets nothing new, and its host lives.
    known = hosts.routers["a"].observe()["servers"]["team/big"]
    assert known["b.blue"]["status"].startswith("NOLB")


def test_what_tracks_a_target_follows_it(hosts: Hosts) -> None:
    hosts.engines["b", "tiny"].ill = True
    pid = router_socket.processes(hosts.routers["a"].directory)["current"][-1]

    def states() -> set[str]:
        directory = hosts.routers["a"].directory
        known = router_socket.servers(directory, pid)["model.tiny"]
        (text,) = router_socket.tell(directory, pid, ["show stat up.tiny:b.blue 4 -1"])
        status = text.partition(": ")[2].lstrip("# ").splitlines()[1].split(",")[17]
        return {known["b.blue"]["status"], known["standby:b.blue"]["status"], status}

    until(lambda: states() == {"NOLB"})
    hosts.engines["b", "tiny"].ill = False
    until(lambda: states() == {"UP"})


def test_a_reload_of_a_hosts_router_takes_nothing_of_it_down(hosts: Hosts) -> None:
    a, b = hosts.routers["a"], hosts.routers["b"]
    lines = a.log.read_text().count("is DOWN")
    for _ in range(3):
        router_socket.reload(b.directory)
        time.sleep(1)
    assert hosts.all_up("a", "b")
    assert a.log.read_text().count("is DOWN") == lines
    # and the new worker is asked
    hosts.engines["b", "tiny"].ill = True
    until(lambda: not hosts.up("a", "b")["tiny/b.blue"])


def test_a_new_worker_asks_at_once_and_the_one_before_no_more(hosts: Hosts, pace: Pace) -> None:
    a = hosts.routers["a"]
    hosts.engines["b", "tiny"].ill = True
    until(lambda: not hosts.up("a", "b")["tiny/b.blue"])
    connection = http.client.HTTPConnection("127.0.0.1", a.port, timeout=60)
    body = {"model": "team/big", "stream": True, "tokens": 10_000, "pause": 0.01}
    with contextlib.closing(connection):
        connection.request("POST", PATH, json.dumps(body))
        with connection.getresponse() as answer:
            assert answer.readline().startswith(b"data: ")
            router_socket.reload(a.directory)
            began = pace()
            until(lambda: hosts.up("a", "b") == known)
            assert pace() - began < 1
            # The worker left behind has a stream, and ends its questions within a second.
            assert router_socket.processes(a.directory)["old"]
            until(lambda: 0 < rates(hosts.routers["b"], 4.0)[0] <= 2.5 + 4 / 4)


known = {
    "tiny/b.blue": False,
    "tiny/b.green": False,
    "team/big/b.blue": True,
    "team/big/b.green": True,
}


def test_a_host_of_an_older_toolkit_is_asked_for_each_target(hosts: Hosts, pace: Pace) -> None:
    b = hosts.routers["b"]
    make_older(b)
    # Once the other host has noticed it.
    until(lambda: 4 <= rates(b)[0] <= 10 + 5 / SECONDS)
    assert hosts.all_up("a", "b")
    assert rates(b)[1] <= 2.5 + 5 / SECONDS
    hosts.engines["b", "tiny"].ill = True
    until(lambda: hosts.up("a", "b") == known)
    hosts.engines["b", "tiny"].ill = False
    until(lambda: hosts.all_up("a", "b"))
    hosts.pause("b", signal.SIGSTOP)
    try:
        silent = pace()
        until(lambda: not any(hosts.up("a", "b").values()))
        assert pace() - silent < 2
    finally:
        hosts.pause("b", signal.SIGCONT)
    until(lambda: hosts.all_up("a", "b"))


def test_without_questions_the_checks_of_haproxy_find_a_dead_host(hosts: Hosts) -> None:
    a = hosts.routers["a"]
    program = Path(a.directory, "healths.lua")
    actions = (("healths", "http-req"), ("doubted", "http-req"), ("without_replica", "http-res"))
    lines = [f"core.register_action('{name}', {{'{on}'}}, function() end)" for name, on in actions]
    program.write_text("\n".join(lines))
    router_socket.reload(a.directory)
    until(lambda: hosts.all_up("a", "b"))
    hosts.pause("b", signal.SIGSTOP)
    try:
        until(lambda: not any(hosts.up("a", "b").values()))
    finally:
        hosts.pause("b", signal.SIGCONT)


def test_a_base_that_asks_for_no_hosts_checks_each_target_as_often_as_before(hosts: Hosts) -> None:
    a = hosts.routers["a"]
    base = Path(a.directory, "haproxy.cfg")
    lines = base.read_text().splitlines(True)
    former = [
        each
        for each in lines
        if not any(word in each for word in (ASKING, "healths.lua", "lua.doubted", "setenv"))
    ]
    assert len(lines) - len(former) > 3
    base.write_text("".join(former))
    # The master keeps what its configuration has set.
    a.stop()
    a.start()
    until(lambda: hosts.all_up("a", "b"))
    requests, connections = rates(hosts.routers["b"])
    assert 5 <= requests <= 12 and 5 <= connections <= 12


def test_the_health_of_all_targets_is_for_other_hosts_alone(hosts: Hosts) -> None:
    def answer_at(address: str) -> tuple[int, list[str]]:
        port = hosts.relays["b"].rpartition(":")[2]
        connection = http.client.HTTPConnection(address, int(port), timeout=60)
        with contextlib.closing(connection):
            connection.request("GET", "/healths")
            answer = connection.getresponse()
            return answer.status, sorted(answer.read().decode().strip().split(" 200 "))

    assert answer_at("127.0.0.1") == (404, [""])
    status, found = answer_at("127.0.0.3")
    assert (status, {each.removeprefix("200 ") for each in found}) == (
        200,
        {f"model.{model}/b.{slot}" for model in ("tiny", "team:big") for slot in ("blue", "green")},
    )


@pytest.mark.parametrize(
    ("told", "codes"),
    [
        pytest.param({}, {}, id="nothing"),
        pytest.param(
            {"model.team:big/b.green": "1000", "model.tiny/b.green": "1004"},
            {"team/big": {"b.green": "299"}, "tiny": {"b.green": "299"}},
            id="two models",
        ),
        pytest.param({"model.tiny/b.green": "995"}, {}, id="the last word of a worker that asks no more"),
        pytest.param({"model.tiny/b.green": "x", "other/b.green": "1000"}, {}, id="no such entry"),
    ],
)  # fmt: skip
def test_a_withdrawal_counts_while_its_host_says_so(
    told: dict[str, str], codes: dict[str, dict[str, str]]
) -> None:
    assert withdraw.still_told(told, 1000.5) == codes
