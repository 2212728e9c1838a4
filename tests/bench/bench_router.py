"""How fast a bad release loses a share of 1 %, how fast routers leave it, and what waiting for an exchange costs.

    python tests/bench/bench_router.py [--hosts 8] [--waiting 1000] [--only withdrawal|breach|hold] [--repetitions 5]

Real routers with small stand-ins for engines; each host of a fleet has its router and its watch.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.hostside.guard_lab import ORDER, Crowd, faulty, tell_fault
from tests.hostside.router_lab import Backend, Lab, free_port, lab, router_socket
from tests.hostside.router_site import Clients, Site
from tests.planning.canary_routes import with_shares
from toolkit.planning.routing.agreement import settled
from toolkit.planning.routing.edits import with_hold, with_model, with_weights
from toolkit.planning.routing.routes import Routes, Target

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "toolkit" / "hostside"))

import deployment_lock
import guard_order
import processes
import watch
import withdraw

REQUEST = (
    b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 16\r\n\r\n" + b'{"model":"tiny"}'
)


# Requests of clients a second, over all routers.
RATE = 40.0


class Bad(Backend):
    """The engine of the release that is withdrawn; `asked` are the times of its requests."""

    def __init__(self, name: str) -> None:
        self.asked: list[float] = []
        super().__init__(name)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "last" and value[1]:
            self.asked.append(time.monotonic())


@dataclass
class Fleet:
    """Hosts with an incumbent in blue and a new release in green; on the first one it is bad."""

    routers: dict[str, Lab] = field(default_factory=dict)
    bad: Bad = field(default_factory=lambda: Bad("bad"))


@contextmanager
def fleet(count: int, phase: str, own: Mapping[str, int] | None = None) -> Iterator[Fleet]:
    """Start the routers in a `share` of 1 % on the first host, or in a `bake` of all hosts.

    `own` are ports of other engines for the slots of the first host.
    """
    hosts = [f"h{number}" if count > 1 else "" for number in range(count)]
    relays = {host: f"127.0.0.{2 + at}:{free_port()}" for at, host in enumerate(hosts)}
    several = {"router_relays": list(relays.values())} if count > 1 else {}
    made, targets = Fleet(), []
    with ExitStack() as stack:
        stack.callback(made.bad.stop)
        for host in hosts:
            settings = {**several, "router_relay_bind": relays[host]} if count > 1 else {}
            made.routers[host] = stack.enter_context(lab(host, router_threads=1, **settings))
            for slot in ("blue", "green"):
                ill = slot == "green" and host == hosts[0]
                engine = made.bad if ill else Backend(f"{host}.{slot}")
                if not ill:
                    stack.callback(engine.stop)
                serves = slot == ("blue" if phase == "share" else "green")
                targets.append(
                    Target(
                        slot,
                        own[slot] if own and host == hosts[0] else engine.port,
                        100 * serves,
                        host,
                        relays[host] if count > 1 else "",
                        standby=phase == "bake" and not serves,
                    )
                )
        routes = with_model(Routes(), "tiny", tuple(targets), created=1)
        if phase == "share":
            green = next(each.name for each in targets if each.slot == "green")
            routes = with_shares(routes, "tiny", {green: 100})
        for router in made.routers.values():
            router.apply(routes)
            (router.root / "slots").mkdir()
        for router in made.routers.values():
            router.up("tiny", *(each.name for each in targets))
        yield made


@contextmanager
def watched(routers: dict[str, Lab]) -> Iterator[None]:
    """Let the watch of each host look, as its unit does."""
    ended = threading.Event()

    def look(seen: watch.Watch) -> None:
        while not ended.wait(watch.TICK):
            with suppress(Exception):
                seen.look()

    looks = [
        threading.Thread(target=look, args=(watch.Watch(str(each.root), 8.0, 600.0),))
        for each in routers.values()
    ]
    for each in looks:
        each.start()
    yield
    ended.set()
    for each in looks:
        each.join()


def withdrawn(count: int, phase: str) -> str:
    """Withdraw the bad release under load; return a row of the table."""
    with fleet(count, phase) as made, watched(made.routers):
        clients = [Clients(each.port, short=2, streams=0) for each in made.routers.values()]
        # At 1 %, until some of its requests were drawn.
        until = time.monotonic() + 20
        while len(made.bad.asked) < 5 and time.monotonic() < until:
            time.sleep(0.05)
        began = time.monotonic()
        withdraw.withdraw(str(next(iter(made.routers.values())).root), "tiny", "green")
        took = time.monotonic() - began
        agreed = 0.0
        while time.monotonic() - began < 5:
            known = {at: Routes.from_json(r.observe()["routes"]) for at, r in made.routers.items()}
            if not agreed and all(each == settled(known) for each in known.values()):
                agreed = time.monotonic() - began
            time.sleep(0.1)
        total = sum((each.stop() for each in clients), Counter[str]())
        last = max(made.bad.asked, default=began) - began
        failed = sum(number for word, number in total.items() if word != "short")
        return (
            f"{count:>7}  {phase:<5}  {took:>10.2f}  {max(0.0, last):>15.2f}  {agreed:>14.2f}"
            f"  {total.total():>8}  {failed:>6}"
        )


def breach(count: int, repetitions: int) -> str:
    """Let a release with 1 % of a fleet's requests fail all of them, each time anew; return a row of the table."""
    rows = [_breach(count) for _ in range(repetitions)]
    took, last, bad, asked = ([each[place] for each in rows] for place in range(4))
    return (
        f"{count:>7}  {repetitions:>4}  {statistics.median(took):>12.1f}  {max(took):>7.1f}"
        f"  {max(last):>15.1f}  {sum(asked):>8.0f}  {sum(bad):>4.0f}"
    )


def _breach(count: int) -> tuple[float, float, int, int]:
    """Return the seconds from the fault to the withdrawal and to the last request, the bad answers, and all answers."""
    with faulty() as engines, pytest.MonkeyPatch.context() as patch:
        patch.setattr(deployment_lock, "read", lambda _: {"held": True, "owner": {"token": "t1"}})
        pids = {slot: each.pid for slot, (each, _) in engines.items()}
        patch.setattr(
            processes,
            "state",
            lambda _, program: {"state": "running", "pid": pids[program[5:]], "started_at": None},
        )
        ports = {slot: port for slot, (_, port) in engines.items()}
        with fleet(count, "share", ports) as made, watched(made.routers):
            root = next(iter(made.routers.values())).root
            for number, slot in enumerate(ports, 1):
                _manifest(root, number, slot, ports[slot])
            crowds = [Crowd(each.port, RATE / count) for each in made.routers.values()]
            share = {"phase": "share", "share": 100}
            guard_order.begin(str(root), {**ORDER, **share}, "t1")
            # The guard has seen the release well.
            _until(lambda: guard_order.facts(str(root))[0]["probes"] >= 5)
            began = time.time()
            tell_fault(ports["green"], "500")
            _until(lambda: bool(guard_order.facts(str(root))[0]["withdrawn"]))
            took = guard_order.facts(str(root))[0]["withdrawn_at"] - began
            time.sleep(3)
            answers = sum((each.stop() for each in crowds), Counter[str]())
        asked = [at for each in crowds for slot, at in each.last_asked.items() if "green" in slot]
        return took, max([0.0, *(at - began for at in asked)]), answers["bad"], answers.total()


def _manifest(root: Path, number: int, slot: str, port: int) -> None:
    release = {"number": number, "version": f"v{number}", "args": [], "memory": 0}
    manifest = {"model": "tiny", "slot": slot, "port": port, "devices": [], "release": release}
    place = root / f"slots/tiny-{slot}"
    place.mkdir()
    (place / "manifest.json").write_text(json.dumps(manifest))


def _until(true: Callable[[], bool], seconds: float = 90.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise SystemExit("the guard has not come so far")
        time.sleep(0.02)


def held(count: int) -> list[str]:
    """Let `count` requests wait and go on; return the rows of the table."""
    with lab() as running:
        site = Site(running)
        off = with_weights(running.routes, "tiny", {"blue": 0})
        running.apply(with_hold(off, "tiny", 60))
        pid = router_socket.processes(running.directory)["current"][-1]
        waiting = []
        for _ in range(count):
            made = socket.create_connection(("127.0.0.1", running.port), timeout=20)
            made.sendall(REQUEST)
            waiting.append(made)
            time.sleep(0.003)
        before = cpu(pid)
        time.sleep(5)
        share = (cpu(pid) - before) / 5
        began = time.monotonic()
        running.apply(with_weights(running.routes, "tiny", {"green": 100}))
        good = sum(each.recv(4096).startswith(b"HTTP/1.1 200") for each in waiting)
        took = time.monotonic() - began
        for each in waiting:
            each.close()
        site.blue.stop()
        site.green.stop()
        return [f"{count:>7}  {share:>20.1%}  {took:>21.2f}  {count - good:>6}"]


def cpu(pid: int) -> float:
    """Return the processor seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hosts", type=int, default=8)
    parser.add_argument("--waiting", type=int, default=1000)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--only", choices=["withdrawal", "breach", "hold"], default="")
    given = parser.parse_args()
    parts = {
        "withdrawal": lambda: print_withdrawal(given.hosts),
        "breach": lambda: print_breach(given.hosts, given.repetitions),
        "hold": lambda: print_hold(given.waiting),
    }
    for number, name in enumerate([given.only] if given.only else parts):
        print("\n" * bool(number), end="")
        parts[name]()


def print_withdrawal(hosts: int) -> None:
    """Print how fast routers leave a release that is withdrawn, from the decision on."""
    print("routers  phase  withdraw s  last request, s  all routers, s  requests  failed")
    for count in (1, hosts):
        for phase in ("share", "bake"):
            print(withdrawn(count, phase), flush=True)
    print(
        "target: last request to the bad release at most 5 s after the decision, none failed",
        flush=True,
    )


def print_breach(hosts: int, repetitions: int) -> None:
    """Print how fast a release with a share of 1 % loses it, from what first shows its fault."""
    print("routers  runs  withdrawn, s  longest  last request, s  requests   bad")
    for count in (1, hosts):
        print(breach(count, repetitions), flush=True)
    print("target: last request to the bad release at most 5 s after the breach", flush=True)


def print_hold(waiting: int) -> None:
    """Print what requests cost that wait."""
    print("waiting  router, of one core  all answered after, s  failed")
    for row in held(waiting):
        print(row)
    print("target: none failed")


if __name__ == "__main__":
    main()
