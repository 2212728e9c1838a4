"""What routers of a fleet ask each other when nothing happens: requests and connections a second, and processors.

    python tests/bench/bench_checks.py [--hosts 10 25] [--seconds 10] [--models 1]
    PYTHONPATH=../former python tests/bench/bench_checks.py

All routers run on this machine, each with both slots of every model, at an address of its own on loopback. The second
form measures the routers of another checkout. The engine behind all slots is one more HAProxy, and is not counted.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

# After PYTHONPATH, which may name another checkout.
sys.path.append(str(Path(__file__).resolve().parents[2]))

from tests.bench.paired import processor
from tests.hostside.router_lab import Lab, free_port, lab, router_socket, until
from toolkit.planning.routing.edits import with_model
from toolkit.planning.routing.routes import Routes, Target

ENGINE = """global
    nbthread 1
defaults
    mode http
    timeout client 10s
    timeout server 10s
    timeout connect 1s
frontend engine
    bind 127.0.0.1:{port}
    http-request return status 200
"""


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hosts", type=int, nargs="+", default=[10, 25])
    parser.add_argument("--models", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10.0)
    given = parser.parse_args()
    print("hosts  slots each  requests/s  connections/s  processors, s/s  of one router")
    for count in given.hosts:
        with engine() as port, fleet(count, given.models, port) as routers:
            requests, connections, used = idle(routers, given.seconds)
        print(
            f"{count:>5}{2 * given.models:>12}{requests:>12,.0f}{connections:>15,.0f}{used:>17.3f}"
            f"{used / count:>15.4f}",
            flush=True,
        )


@contextlib.contextmanager
def engine() -> Iterator[int]:
    """Yield the port of what answers for every replica."""
    port = free_port()
    with tempfile.NamedTemporaryFile("w", suffix=".cfg") as file:
        file.write(ENGINE.format(port=port))
        file.flush()
        process = subprocess.Popen(["/usr/sbin/haproxy", "-f", file.name])
        try:
            yield port
        finally:
            process.terminate()
            process.wait(10)


@contextlib.contextmanager
def fleet(count: int, models: int, port: int) -> Iterator[list[Lab]]:
    """Yield the routers of so many hosts, once each has every target up."""
    # Each relay takes its port on 127.0.0.1 as well.
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(free_port())
    relays = {f"host{n:03}": f"127.0.1.{n + 1}:{each}" for n, each in enumerate(ports)}
    targets = tuple(
        Target(slot, port, 100, host, relay)
        for host, relay in relays.items()
        for slot in ("blue", "green")
    )
    routes = Routes()
    for number in range(models):
        routes = with_model(routes, f"model{number}", targets, created=1)
    with contextlib.ExitStack() as stack:
        routers = [
            stack.enter_context(
                lab(host, router_relay_bind=relay, router_relays=[*relays.values()])
            )
            for host, relay in relays.items()
        ]
        for router in routers:
            router.apply(routes)
        for router in routers:
            until(lambda router=router: all_up(router, routes))
        # Their starts are over, and so are the workers before these.
        time.sleep(12)
        yield routers


def all_up(router: Lab, routes: Routes) -> bool:
    known = router.observe()["servers"]
    return all(
        known.get(route.model, {}).get(each.name, {}).get("up")
        for route in routes.routes
        for each in route.targets
    )


def idle(routers: list[Lab], seconds: float) -> tuple[float, float, float]:
    """Return requests and connections to all relays, and seconds of processors, each a second."""
    asked, began, used = counted(routers), time.monotonic(), worked(routers)
    time.sleep(seconds)
    took, used, now = time.monotonic() - began, worked(routers) - used, counted(routers)
    return (now[0] - asked[0]) / took, (now[1] - asked[1]) / took, used / took


def worked(routers: list[Lab]) -> float:
    return sum(processor(router.process.pid) for router in routers)


def counted(routers: list[Lab]) -> tuple[int, int]:
    """Return the requests and the connections that the relays of the present workers have had."""
    requests, connections = 0, 0
    for router in routers:
        pid = router_socket.processes(router.directory)["current"][-1]
        (text,) = router_socket.tell(router.directory, pid, ["show stat relay 1 -1"])
        names, row = (line.split(",") for line in text.partition(": ")[2].lstrip("# ").splitlines())
        found = dict(zip(names, row, strict=True))
        requests, connections = (
            requests + int(found["req_tot"]),
            connections + int(found["conn_tot"]),
        )
    return requests, connections


if __name__ == "__main__":
    main()
