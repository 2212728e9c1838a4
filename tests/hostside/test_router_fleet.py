"""Routers of several hosts: each leads to the replicas of all, through the other host's router."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.hostside.router_lab import (
    REPO,
    Lab,
    router_socket,
    until,
)
from tests.hostside.router_pair import (
    PATH,
    Pair,
    current,
    kill,
    name_releases,
    pair,
    workers_of,
)
from tests.hostside.router_site import Clients
from tests.pace import Pace
from toolkit.domain.clients.keys import KeyRing
from toolkit.planning.routing.edits import with_model, with_weights
from toolkit.planning.routing.keys import with_key

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import hang
import router_releases

__all__ = ["pair"]


def test_every_router_leads_to_the_replicas_of_all_hosts(pair: Pair) -> None:
    for at in pair.routers:
        assert set(pair.answers(at)) == {"a.blue", "b.blue"}
    assert pair.routers["a"].observe()["drift"] == []


def test_a_weight_is_followed_by_all_routers(pair: Pair) -> None:
    pair.apply(with_weights(pair.routes, "tiny", {"a.blue": 0}))
    for at in pair.routers:
        assert pair.answers(at) == {"b.blue": 20}


def test_an_engine_that_ends_is_out_of_rotation_everywhere(pair: Pair) -> None:
    pair.engines["b"].stop()
    for router in pair.routers.values():
        until(lambda router=router: not router.observe()["servers"]["tiny"]["b.blue"]["up"])
    for at in pair.routers:
        assert pair.answers(at) == {"a.blue": 20}


def test_a_host_that_dies_costs_no_request_that_it_had_not_begun(pair: Pair, pace: Pace) -> None:
    clients = Clients(pair.routers["a"].port, short=4, streams=0)
    until(lambda: clients.results["short"] > 40)
    # its router's workers vanish as with its power
    kill(pair.routers["b"])
    died = pace()
    until(lambda: not pair.routers["a"].observe()["servers"]["tiny"]["b.blue"]["up"])
    assert pace() - died < 2
    results = clients.stop()
    # what was under way on the host that died is lost with it: at most one request of each client
    assert sum(count for word, count in results.items() if word != "short") <= 4
    assert pair.answers("a") == {"a.blue": 20}


def test_a_release_is_named_by_the_host_that_has_it_and_a_key_stays_at_the_door(pair: Pair) -> None:
    key = "tk-" + "a" * 40
    for router in pair.routers.values():
        router.give(with_key(KeyRing(), "ann", key, now=1.0))
    name_releases(pair)
    asked = [
        pair.routers["a"].ask(PATH, {"model": "tiny"}, Authorization=f"Bearer {key}")[2]
        for _ in range(20)
    ]
    assert {(each["X-Toolkit-Slot"], each["X-Toolkit-Version"]) for each in asked} == {
        ("a.blue", "of-a"),
        ("b.blue", "of-b"),
    }
    lines = until(lambda: len(each := pair.routers["a"].requests()) > 19 and each)
    assert {(line["key"], line["slot"], line["version"], line["release"]) for line in lines} == {
        ("ann", "a.blue", "of-a", 3),
        ("ann", "b.blue", "of-b", 3),
    }
    for engine in pair.engines.values():
        came = {name.lower(): value for name, value in engine.all_headers}
        assert ("authorization" in came, came["x-toolkit-key"]) == (False, "ann")
    # one line for each request, at the door where it came in
    assert pair.routers["b"].requests() == []


def test_a_request_that_a_relay_handed_to_no_replica_goes_to_another_host(pair: Pair) -> None:
    # b's relay goes on, and says for a moment that its replica is up
    pair.engines["b"].stop()
    assert pair.answers("a") == {"a.blue": 20}
    lines = until(lambda: len(each := pair.routers["a"].requests()) >= 20 and each)
    assert {line["retries"] for line in lines} > {"0"}
    # where no host is left, the client sees the router's own words
    pair.engines["a"].stop()
    asked = until(
        lambda: (each := pair.routers["a"].ask(PATH, {"model": "tiny"}))[0] != 200 and each
    )
    assert (asked[0], asked[1]["error"]["code"], asked[2]["Retry-After"]) == (
        503,
        "no_replica",
        "1",
    )


def test_a_replica_of_another_host_that_hung_is_told_so_at_the_door(pair: Pair) -> None:
    name_releases(pair)
    pair.apply(with_weights(pair.routes, "tiny", {"a.blue": 0}))
    told: list[Any] = []

    def ask() -> None:
        body = {"model": "tiny", "pause": 30}
        told.append(pair.routers["a"].ask("/v1/messages", body, X_Request_Id="mine"))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    until(lambda: pair.engines["b"].last[1])
    root = str(pair.routers["b"].root)
    hang.record(root, "tiny-blue", "1 request is open")
    router_releases.tell(root)
    pair.engines["b"].cut()
    asking.join(60)
    status, answer, headers = told[0]
    assert (status, answer["error"]["type"], answer["request_id"]) == (504, "timeout_error", "mine")
    assert (headers["X-Toolkit-Error"], headers["X-Toolkit-Slot"]) == ("replica_hung", "b.blue")
    line = until(lambda: pair.routers["a"].requests())[-1]
    assert (line["status"], line["reason"], line["version"]) == (504, "replica_hung", "of-b")


@pytest.mark.parametrize("room", [0, 20_000])
@pytest.mark.parametrize(
    ("path", "kind"),
    [("/v1/chat/completions", "server_error"), ("/v1/messages", "overloaded_error")],
)
def test_what_no_relay_could_hand_on_is_told_in_the_clients_api(
    pair: Pair, path: str, kind: str, room: int
) -> None:
    # only b may serve, and its relay does not yet see that its replica is gone
    name_releases(pair)
    pair.apply(with_weights(pair.routes, "tiny", {"a.blue": 0}))
    pair.engines["b"].stop()
    body = json.dumps({"model": "tiny"}).ljust(room)
    status, answer, headers = pair.routers["a"].ask(path, body, X_Request_Id="mine")
    assert (status, answer["error"]["code"], answer["error"]["type"]) == (503, "no_replica", kind)
    assert (headers["X-Toolkit-Error"], headers["Retry-After"]) == ("no_replica", "1")
    assert answer.get("request_id") == ("mine" if kind == "overloaded_error" else None)
    labels = [headers[f"X-Toolkit-{name}"] for name in ("Slot", "Version", "Release")]
    assert labels == ["b.blue", "of-b", "3"]
    line = until(lambda: pair.routers["a"].requests())[-1]
    assert (line["slot"], line["version"]) == ("b.blue", "of-b")


def test_an_error_of_a_slot_on_another_host_has_the_label_of_that_slot(pair: Pair) -> None:
    name_releases(pair)
    pair.engines["b"].broken = True
    pair.apply(with_weights(pair.routes, "tiny", {"a.blue": 0}))
    status, _, headers = pair.routers["a"].ask(PATH, {"model": "tiny"})
    assert (status, headers["X-Toolkit-Slot"], headers["X-Toolkit-Version"]) == (
        502,
        "b.blue",
        "of-b",
    )
    line = until(lambda: [each for each in pair.routers["a"].requests() if each["status"] == 502])[
        -1
    ]
    assert (line["slot"], line["version"], line["release"]) == ("b.blue", "of-b", 3)


def test_what_a_host_that_dies_has_begun_is_told_with_the_label_of_its_slot(pair: Pair) -> None:
    name_releases(pair)
    router, told = pair.routers["a"], []
    pair.apply(with_weights(pair.routes, "tiny", {"a.blue": 0}))
    # The host tells its releases with its health.
    until(
        lambda: router_socket.read_map(
            router.directory, current(router), f"{router.directory}/releases.map"
        )
    )
    ask = threading.Thread(
        target=lambda: told.append(router.ask(PATH, {"model": "tiny", "pause": 30})), daemon=True
    )
    ask.start()
    until(lambda: pair.engines["b"].last[1])
    pair.routers["b"].kill()
    ask.join(30)
    status, _, headers = told[0]
    labels = [headers[f"X-Toolkit-{name}"] for name in ("Slot", "Version", "Release")]
    assert (status, labels) == (502, ["b.blue", "of-b", "3"])
    line = until(lambda: router.requests())[-1]
    assert (line["slot"], line["version"], line["release"]) == ("b.blue", "of-b", 3)


def test_a_request_has_one_id_on_both_hosts(pair: Pair) -> None:
    pair.apply(with_weights(pair.routes, "tiny", {"a.blue": 0}))
    asked = {"model": "tiny", "pause": 30}
    client = http.client.HTTPConnection("127.0.0.1", pair.routers["a"].port, timeout=20)
    with contextlib.closing(client):
        client.request("POST", PATH, json.dumps(asked), {"X-Request-Id": "left"})
        until(lambda: pair.engines["b"].last[1])
    pair.engines["b"].broken = True
    status, answer, headers = pair.routers["a"].ask(
        "/v1/messages", {"model": "tiny"}, X_Request_Id="broken"
    )
    assert (status, headers["X-Request-Id"]) == (502, "broken")
    assert (answer["error"]["type"], answer["request_id"]) == ("api_error", "broken")
    at_the_door = until(lambda: len(each := pair.routers["a"].requests()) == 2 and each)
    # The router logs a request once it has ended, in whichever order.
    ended = {each["request_id"]: (each["status"], each["reason"]) for each in at_the_door}
    assert ended == {"left": (499, "client_left"), "broken": (502, "replica_broke_off")}
    found = until(lambda: len(each := pair.routers["b"].requests("handed-on ")) == 2 and each)
    assert {each["request_id"]: each["status"] for each in found} == {"left": 499, "broken": 502}


def test_a_host_that_falls_silent_has_its_requests_cut_within_two_seconds(
    pair: Pair, pace: Pace
) -> None:
    name_releases(pair)
    pair.apply(with_weights(pair.routes, "tiny", {"a.blue": 0}))
    with _stream(pair.routers["a"]) as answer:
        workers = workers_of(pair.routers["b"])
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        try:
            silent = pace()
            with pytest.raises((http.client.HTTPException, ConnectionError)):
                answer.read()
            assert pace() - silent < 2
        finally:
            for pid in workers:
                os.kill(pid, signal.SIGCONT)
    line = until(lambda: [each for each in pair.routers["a"].requests() if each["end"] != "--"])[-1]
    assert (line["slot"], line["version"]) == ("b.blue", "of-b")


@pytest.mark.parametrize("why", ["drained", "busy"])
def test_a_drained_or_busy_replica_of_another_host_keeps_its_requests(pair: Pair, why: str) -> None:
    pair.apply(with_weights(pair.routes, "tiny", {"a.blue": 0}))
    turns = pair.engines["b"].turns
    turns.release()
    with _stream(pair.routers["a"], tokens=3, gated=True) as answer:
        if why == "drained":
            pair.apply(with_weights(pair.routes, "tiny", {"a.blue": 100, "b.blue": 0}))
        else:
            pair.apply(with_weights(pair.routes, "tiny", {"a.blue": 100}))
            pair.engines["b"].ill = True
            until(lambda: not pair.routers["a"].observe()["servers"]["tiny"]["b.blue"]["up"])
        assert pair.answers("a") == {"a.blue": 20}
        turns.release(2)
        assert answer.read().rstrip().endswith(b"[DONE]")


@contextlib.contextmanager
def _stream(
    router: Lab, tokens: int = 10_000, *, gated: bool = False
) -> Iterator[http.client.HTTPResponse]:
    """Yield a stream under way; each piece of a gated one waits for its turn."""
    connection = http.client.HTTPConnection("127.0.0.1", router.port, timeout=20)
    with contextlib.closing(connection):
        body = {
            "model": "tiny",
            "stream": True,
            "tokens": tokens,
            "pause": 0.01,
            "gated": gated,
        }
        connection.request("POST", PATH, json.dumps(body))
        with connection.getresponse() as answer:
            assert answer.readline().startswith(b"data: ")
            yield answer


def test_strangers_cannot_use_the_relay(pair: Pair) -> None:
    relay = pair.routes.routes[0].targets[0].relay
    host, _, port = relay.partition(":")
    with socket.socket() as stranger:
        stranger.settimeout(60)
        stranger.bind(("127.0.0.8", 0))
        answer = b""
        with contextlib.suppress(ConnectionError):
            stranger.connect((host, int(port)))
            stranger.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = stranger.recv(100)
        assert answer == b""


def test_requests_with_the_same_beginning_go_to_the_same_replica(pair: Pair) -> None:
    pair.apply(
        with_model(pair.routes, "tiny", pair.routes.routes[0].targets, created=1, routing="prefix")
    )
    for router in pair.routers.values():
        router.up("tiny", "a.blue", "b.blue")

    def slots(bodies: list[dict[str, object]]) -> Counter[str]:
        return Counter(
            pair.routers["a"].ask(PATH, {"model": "tiny", **body})[2]["X-Toolkit-Slot"]
            for body in bodies
        )

    chats = [[{"messages": [{"role": "user", "content": f"I am {n}"}]}] * 6 for n in range(12)]
    chats.append([{"prompt": "the same"}] * 6)
    found = [slots(chat) for chat in chats]
    # A replica that seems to have more than its part for a moment is passed over then: few are led elsewhere.
    # Taking turns would leave three of six.
    assert sum(max(each.values()) for each in found) >= 0.9 * 6 * len(chats)
    assert {each.most_common(1)[0][0] for each in found} == {"a.blue", "b.blue"}
    # what has no beginning is served as well
    assert slots([{}] * 6).keys() <= {"a.blue", "b.blue"}


def test_a_host_tells_the_others_which_sleep_has_ended_there(pair: Pair) -> None:
    here, other = pair.routers["a"], pair.routers["b"]
    watch = other.root / "watch"
    watch.mkdir()
    for known in ('{"tiny": "a1"}', '{"tiny": "b2"}'):
        (watch / "woken.json").write_text(known)
        name_releases(pair) if known.endswith('"a1"}') else router_releases.tell(str(other.root))
        ended = {"tiny/b.blue": json.loads(known)["tiny"]}
        until(lambda ended=ended: router_releases.woken_elsewhere(str(here.root)) == ended)
    assert router_releases.woken_elsewhere(str(other.root)) == {}
    # What such a note is not, nobody is told, and labels stay right.
    (watch / "woken.json").write_text('{"tiny": "c3 #x"}')
    router_releases.tell(str(other.root))
    found = router_socket.read_map(other.directory, current(other), "versions.map") or {}
    assert not [key for key in found if key.endswith("/woken")]
    pair.apply(with_weights(pair.routes, "tiny", {"a.blue": 0}))
    headers = here.ask(PATH, {"model": "tiny"})[2]
    assert (headers["X-Toolkit-Version"], headers["X-Toolkit-Release"]) == ("of-b", "3")
