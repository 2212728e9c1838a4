"""Real vLLM on a real host over SSH: started by its systemd, in its sandbox, behind its router."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from tests.fleet.machine import Machine
from tests.fleet.network import ip
from tests.fleet.sandbox import reached_from_outside, reached_inside
from tests.system.vllm_site import REGISTRY, VllmSite
from tests.system.waiting import until

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]
# Workers that compute together must find each other in the sandbox, as they must on two devices.
IN_TWO = ", tensor-parallel-size: 2"
# Tokens of a stream that lasts some seconds; the model has room for 1,024.
MANY = 900
# Tokens of the answers that clients ask for at once. Short ones begin and end in every second, also of a busy machine.
# Those of one length end together, so long ones keep the engine at work while clients of short ones ask again.
LENGTHS = (3, 4, 5, 300, 400)


@pytest.fixture(scope="module")
def site(vllm_site: Callable[..., VllmSite]) -> VllmSite:
    eager = "enforce-eager: true"
    return vllm_site(1, registry=REGISTRY.replace(eager, f"{eager}{IN_TWO}"))


@pytest.fixture(scope="module")
def alpha(site: VllmSite) -> Machine:
    return site.lab["alpha"]


def test_a_model_comes_to_a_bare_host(site: VllmSite, alpha: Machine) -> None:
    site.lab.toolkit("deploy", "tiny@v1", "--yes", "--bake", "1")

    assert site.serving() == {"alpha": ["v1"]}
    for prompt, known in site.short_answers().items():
        assert _text(site.ask("alpha", prompt)) == known["v1"]
    assert "world_size=2" in site.log(alpha, "blue")
    # it is the unit's vLLM that answered, under the user without rights
    words = alpha.run("ps", "-o", "user:32=,args=", "-p", _main_process(alpha, site.unit("blue")))
    assert words.startswith("toolkit-tiny-blue ")
    assert "vllm serve" in words


def test_its_processes_listen_on_loopback_alone(site: VllmSite, alpha: Machine) -> None:
    unit = site.unit("blue")
    group = alpha.run("systemctl", "show", "--property=ControlGroup", "--value", unit).strip()
    processes = alpha.run("cat", f"/sys/fs/cgroup{group}/cgroup.procs").split()
    shown = alpha.run(
        "ss", "--no-header", "--listening", "--numeric", "--tcp", "--udp", "--processes"
    )
    theirs = [
        line.split()[4]
        for line in shown.splitlines()
        if any(f"pid={process}," in line for process in processes)
    ]
    # the door, and what the workers open for each other
    assert "127.0.0.1:8100" in theirs
    assert len(theirs) > 1
    assert [each for each in theirs if not each.startswith(("127.0.0.1:", "[::1]:"))] == []


def test_its_unit_is_as_closed_as_a_unit_can_be(site: VllmSite, alpha: Machine) -> None:
    assert site.exposure(alpha, "blue") <= 1.5


def test_what_runs_beside_it_in_its_sandbox_reaches_nobody(site: VllmSite, alpha: Machine) -> None:
    with _world(site, alpha) as world:
        ways = [
            f"connect/{world.address}/{world.port}",
            f"connect/{world.address6}/{world.port6}",
            f"connect/{alpha.address}/22",
            f"send/{world.address}/53",
            f"send/{world.address6}/53",
            "send/127.0.0.53/53",
            f"raw/{world.address}",
            "frame/eth0",
        ]

        def outside() -> tuple[dict[str, str], bytes]:
            found = reached_from_outside(alpha, [*ways, "look-up/prompt.outside.test"])
            return {way: found[way] for way in ways}, world.asked()

        # All of these are ways out for others on the same host. A busy machine may lose a first packet.
        through = dict.fromkeys(ways, "through")
        until(outside, 60, lambda seen: seen[0] == through and b"\x06prompt\x07outside" in seen[1])

        loopback = ["connect/127.0.0.1/22", "connect/::1/22"]
        words = [*ways, *loopback, "look-up/prompt.inside.test"]
        inside = reached_inside(alpha, site.unit("blue"), f"{site.root}/caches/tiny-blue", words)
        assert inside["cgroup"] == _cgroup(alpha, _main_process(alpha, site.unit("blue")))
        assert [way for way in ways if not inside[way].startswith("refused")] == []
        assert {way: inside[way] for way in loopback} == dict.fromkeys(loopback, "through")
        assert b"inside" not in world.asked()
    assert _text(site.ask("alpha", "Say hello.")) == site.answers["Say hello."]["v1"]


def test_the_sandbox_stands_in_the_engines_way_nowhere(site: VllmSite, alpha: Machine) -> None:
    said = site.log(alpha, "blue")
    assert "Starting vLLM server" in said
    denied = re.compile("not permitted|denied|read-only|no such|not supported", re.IGNORECASE)
    assert [line for line in said.splitlines() if denied.search(line)] == []


def test_a_request_for_which_vllm_would_compile_is_answered(site: VllmSite, alpha: Machine) -> None:
    assert "g++" not in alpha.run("sh", "-c", "command -v g++ || echo none")
    answer = site.ask("alpha", "Say hello.", logprobs=True, top_logprobs=3, top_k=2, top_p=0.5)
    assert len(answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]) == 3


def test_requests_are_shown_with_the_engines_own_count(site: VllmSite) -> None:
    usage = site.ask("alpha", "What is the capital of France?")["usage"]
    counted = (usage["prompt_tokens"], usage["completion_tokens"])
    assert counted[0] > 5 and counted[1] > 1

    def shown() -> list[tuple[int | None, int | None]]:
        found = json.loads(site.lab.toolkit("requests", "tiny", "--json").stdout)["requests"]
        mine = [each for each in found if each["client"] == site.lab.network.gateway]
        return [(each["tokens_in"], each["tokens_out"]) for each in mine]

    until(lambda: shown()[-1:] == [counted], 60)


def test_a_stream_that_its_client_drops_is_told_with_its_tokens(site: VllmSite) -> None:
    # On a busy machine the engine may end its stream before router and server learn that the client has left.
    for number in range(10):
        found = _dropped(site, f"dropped-stream-{number}")
        if found["status"] == 499 and found["tokens_out"] < MANY:
            break
    assert (found["status"], found["reason"]) == (499, "client_left_answer")
    assert found["tokens_in"] > 5 and 0 < found["tokens_out"] < MANY


def test_top_shows_the_load_of_a_real_engine(site: VllmSite) -> None:
    rates = ("requests_per_second", "prompt_tokens_per_second", "generated_tokens_per_second")
    parts = {*rates, "running", "cache_use", "first_token", "between_tokens"}
    # A frame is of one second, in which a loaded machine may end no request or begin none.
    seen: dict[str, Any] = {}

    def all_seen() -> bool:
        frame = json.loads(site.lab.toolkit("top", "--json").stdout)
        [model], [mine] = frame["models"], frame["replicas"]
        assert (mine["host"], mine["version"], mine["state"]) == ("alpha", "v1", "serving")
        assert model["generated_tokens_per_second"] == mine["generated_tokens_per_second"]
        assert (mine["running"] or 0) + (mine["waiting"] or 0) <= len(LENGTHS)
        assert not mine["failed_per_second"]
        seen.update({part: mine[part] for part in parts if mine[part]})
        print("not seen yet:", *sorted(parts - seen.keys()))
        return seen.keys() == parts or not all_ask()

    with _asked_all_the_time(site) as all_ask:
        until(all_seen, 240)
        lines = site.lab.toolkit("top").stdout.splitlines()
    assert 0 < seen["cache_use"] <= 1
    assert seen["between_tokens"]["p50"] > 0
    assert seen["first_token"]["p50"] > 0
    # The model's row, and the replica's.
    assert [line.split()[0] for line in lines if "tiny" in line.split()] == ["tiny", "alpha"]


@contextlib.contextmanager
def _asked_all_the_time(site: VllmSite) -> Iterator[Callable[[], bool]]:
    """Let clients ask one request after another, and give a look whether all still do.

    Raises what one of them met.
    """
    ended = threading.Event()

    def ask(tokens: int) -> None:
        while not ended.is_set():
            site.ask("alpha", "Say hello.", max_tokens=tokens, ignore_eos=True)

    with ThreadPoolExecutor(len(LENGTHS)) as pool:
        asking = [pool.submit(ask, tokens) for tokens in LENGTHS]
        try:
            yield lambda: not any(each.done() for each in asking)
        finally:
            ended.set()
        for each in asking:
            each.result()


def _dropped(site: VllmSite, name: str) -> Any:
    """Leave a stream after its first line; return what is told of the request once its tokens are known."""
    body = {
        "model": "tiny", "stream": True, "max_tokens": MANY, "ignore_eos": True,
        "messages": [{"role": "user", "content": "Say hello."}],
    }  # fmt: skip
    request = urllib.request.Request(
        f"{site.door('alpha')}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "X-Request-Id": name},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer.readline()

    told: list[Any] = []

    def is_told() -> bool:
        found = json.loads(site.lab.toolkit("requests", "tiny", "--json").stdout)["requests"]
        # The router's line may come before the engine's count.
        told[:] = [
            each for each in found if each["request_id"] == name and each["tokens_out"] is not None
        ]
        return bool(told)

    until(is_told, 60)
    [only] = told
    return only


@dataclass(frozen=True)
class World:
    """All that is not the host: somebody who listens, by both protocols, and a resolver."""

    address: str
    port: int
    address6: str
    port6: int
    resolver: socket.socket

    def asked(self) -> bytes:
        """Return what has come to the resolver since the last time."""
        heard = b""
        with contextlib.suppress(BlockingIOError):
            while True:
                heard += self.resolver.recv(4096)
        return heard


@contextlib.contextmanager
def _world(site: VllmSite, host: Machine) -> Iterator[World]:
    """Listen on this machine, and give the host an address by IPv6 and this machine as its resolver."""
    network = site.lab.network
    prefix6 = f"fd00:77:{network.prefix.split('.')[2]}::"
    address, address6 = network.gateway, f"{prefix6}1"
    ip("addr", "add", f"{address6}/64", "dev", network.bridge, "nodad")
    host.run("ip", "addr", "add", f"{prefix6}11/64", "dev", "eth0", "nodad")
    resolver = f"nameserver {address}\noptions timeout:1 attempts:1\n"
    host.run("sh", "-c", 'printf %s "$1" >/etc/resolv.conf', "sh", resolver)
    with (
        socket.create_server((address, 0)) as listener,
        socket.create_server((address6, 0), family=socket.AF_INET6) as listener6,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as names,
    ):
        names.bind((address, 53))
        names.setblocking(False)
        port, port6 = listener.getsockname()[1], listener6.getsockname()[1]
        yield World(address, port, address6, port6, names)


def _text(answer: Any) -> str:
    text: str = answer["choices"][0]["message"]["content"]
    return text


def _main_process(host: Machine, unit: str) -> str:
    return host.run("systemctl", "show", "--property=MainPID", "--value", unit).strip()


def _cgroup(host: Machine, process: str) -> str:
    return host.run("cat", f"/proc/{process}/cgroup").strip()
