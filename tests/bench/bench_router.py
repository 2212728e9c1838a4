"""How fast routers leave a release that its host withdraws, and what waiting for an exchange costs.

    python tests/bench/bench_router.py [--hosts 8] [--waiting 1000]

Real routers with small stand-ins for engines; each host of a fleet has its router and its watch.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.hostside.router_lab import Backend, Lab, free_port, lab, router_socket
from tests.hostside.router_site import Clients, Site
from toolkit.planning.routing.agreement import settled
from toolkit.planning.routing.edits import with_hold, with_model, with_shares, with_weights
from toolkit.planning.routing.routes import Routes, Target

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "toolkit" / "hostside"))

import watch
import withdraw

REQUEST = (
    b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 16\r\n\r\n" + b'{"model":"tiny"}'
)


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
def fleet(count: int, phase: str) -> Iterator[Fleet]:
    """Start the routers in a `share` of 1 % on the first host, or in a `bake` of all hosts."""
    hosts = [f"h{number}" if count > 1 else "" for number in range(count)]
    relays = {host: f"127.0.0.{2 + at}:{free_port()}" for at, host in enumerate(hosts)}
    several = {"router_relays": list(relays.values())} if count > 1 else {}
    made, targets = Fleet(), []
    with ExitStack() as stack:
        stack.callback(made.bad.stop)
        for host in hosts:
            own = {**several, "router_relay_bind": relays[host]} if count > 1 else {}
            made.routers[host] = stack.enter_context(lab(host, router_threads=1, **own))
            for slot in ("blue", "green"):
                ill = slot == "green" and host == hosts[0]
                engine = made.bad if ill else Backend(f"{host}.{slot}")
                if not ill:
                    stack.callback(engine.stop)
                serves = slot == ("blue" if phase == "share" else "green")
                targets.append(
                    Target(
                        slot,
                        engine.port,
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
    given = parser.parse_args()
    print("routers  phase  withdraw s  last request, s  all routers, s  requests  failed")
    for count in (1, given.hosts):
        for phase in ("share", "bake"):
            print(withdrawn(count, phase), flush=True)
    print("target: last request to the bad release at most 5 s after the breach, none failed\n")
    print("waiting  router, of one core  all answered after, s  failed")
    for row in held(given.waiting):
        print(row)
    print("target: none failed")


if __name__ == "__main__":
    main()
