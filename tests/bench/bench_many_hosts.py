"""What a command takes on 25 to 200 hosts, and what each more would: seconds, memory, descriptors, bytes.

    python tests/bench/bench_many_hosts.py [--hosts 25 50 100 200] [--gateways 2] [--parts commands changes routes]

`status` and `keys` are the real commands in a session that may open 1,024 files; their hosts are the host's side of the
toolkit in one process, behind a stand-in for ssh (see `stub_hosts`). `deploy` and `upgrade`, a tenth of the hosts at a
time, are the real workflow on hosts in memory; what a router is sent is what the wire would carry. `routes` is one
change of routes, computed for all routers: as differences, and as whole files. So many of the hosts are
`gateways`, which have no replica.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.stub_hosts import StubHosts
from tests.planning.rendered import render_files
from tests.workflows.world import World, release
from toolkit.planning.change.rollout import Limits
from toolkit.planning.routing.differences import file_edits
from toolkit.planning.routing.files import Rendering
from toolkit.planning.routing.routes import Route, Routes, Target

ROOT = Path(__file__).resolve().parents[2]
USUAL_DESCRIPTORS = 1024
# A router asks each other host, and checks each target of its own, so often, in seconds.
ASKED_EACH = 0.4
# It checks each target of another host so often beside.
CHECKED_EACH = 10


@dataclass
class Cost:
    """Seconds of the clock and of the processor, MB, descriptors, and bytes that hosts were sent."""

    clock: float
    processor: float
    memory: float
    descriptors: int
    sent: int


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hosts", type=int, nargs="+", default=[25, 50, 100, 200])
    parser.add_argument("--gateways", type=int, default=0)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    given = parser.parse_args()
    print(f"{'':22}{'clock, s':>9}{'proc., s':>9}{'MB':>6}{'open files':>11}{'sent, kB':>10}")
    for count in given.hosts:
        found = [
            each for part in given.parts for each in PARTS[part](count, given.gateways).items()
        ]
        for name, cost in found:
            print(
                f"{count:>4} hosts, {name:10}{cost.clock:>9.2f}{cost.processor:>9.2f}{cost.memory:>6.0f}"
                f"{cost.descriptors or '':>11}{cost.sent / 1000:>10.0f}",
                flush=True,
            )
        every, one = checks(count, given.gateways)
        print(f"{count:>4} hosts, checks a second, all routers: {every:,.0f}", flush=True)
        if given.gateways:
            print(f"{count:>4} hosts, checks a second, a gateway: {one:,.0f}", flush=True)


def commands(count: int, gateways: int) -> dict[str, Cost]:
    """Return the costs of commands over so many stub hosts."""
    with tempfile.TemporaryDirectory(prefix="tkmany-") as place:
        directory = Path(place)
        stubs = StubHosts(directory)
        fleet = {f"host{each:03}": _host(directory, each, gateways) for each in range(count)}
        (directory / "fleet.yaml").write_text(json.dumps({"all": {"hosts": fleet}}, indent=1))
        with stubs.answering():
            run = [
                ("status", ["status"]),
                ("status again", ["status"]),
                ("keys add", ["keys", "add", "someone"]),
            ]
            return {name: _measured(words, directory, stubs) for name, words in run}


def _host(directory: Path, number: int, gateways: int) -> dict[str, Any]:
    root = directory / f"host{number:03}"
    (root / "router").mkdir(parents=True)
    return {
        "ansible_host": f"10.1.{number // 200}.{number % 200 + 1}",
        "toolkit_root": str(root),
        "ansible_python_interpreter": "/usr/bin/python3",
        **({"toolkit_gateway": True, "router_bind": "*:8080"} if number < gateways else {}),
    }


def _measured(words: list[str], directory: Path, stubs: StubHosts) -> Cost:
    places = {
        "TOOLKIT_HOME": str(directory / "home"),
        "TOOLKIT_FLEET": str(directory / "fleet.yaml"),
        "PYTHONPATH": str(ROOT),
        "PATH": f"{stubs.path}:{os.environ['PATH']}",
    }
    sent, began = stubs.received, time.monotonic()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = subprocess.Popen(
        [sys.executable, "-m", "toolkit.cli.main", *words],
        env={**os.environ, **places},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    hard = resource.prlimit(command.pid, resource.RLIMIT_NOFILE)[1]
    resource.prlimit(command.pid, resource.RLIMIT_NOFILE, (USUAL_DESCRIPTORS, hard))
    peak = Peak(command.pid)
    out, err = command.communicate(timeout=900)
    peak.end()
    if command.returncode:
        raise SystemExit(f"{words} ended with {command.returncode}: {err[-2000:]} {out[-500:]}")
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    took = time.monotonic() - began
    return Cost(took, processor, peak.memory, peak.descriptors, stubs.received - sent)


class Peak:
    """The most memory in MB and the most open files of a process, seen ten times a second."""

    def __init__(self, pid: int) -> None:
        self.memory, self.descriptors = 0.0, 0
        self._place, self._over = Path(f"/proc/{pid}"), threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.1):
            try:
                self.descriptors = max(self.descriptors, len([*(self._place / "fd").iterdir()]))
                for line in (self._place / "status").read_text().splitlines():
                    if line.startswith("VmHWM"):
                        self.memory = max(self.memory, int(line.split()[1]) / 1000)
            except OSError:
                return


def changes(count: int, gateways: int) -> dict[str, Cost]:
    """Return the costs of a first deployment and of an upgrade on so many hosts in memory."""
    with tempfile.TemporaryDirectory() as place:
        world = World(Path(place), count)
        for each in [*world.hosts.values()][:gateways]:
            each.host = replace(each.host, gateway=True, router_bind="*:8080")
        sent = _counting(world)
        limits = Limits(serial=max(1, count // 10))
        found = {}
        for number, name in enumerate(("deploy", "upgrade"), 1):
            before, clock, processor = sum(sent), time.monotonic(), time.process_time()
            world.deploy(release(number), limits)
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
            found[name] = Cost(
                time.monotonic() - clock,
                time.process_time() - processor,
                memory,
                0,
                sum(sent) - before,
            )
        return found


def _counting(world: World) -> list[int]:
    """Have all hosts note what they are sent as routes; return the list of sizes."""
    sizes: list[int] = []
    for host in world.hosts.values():
        apply = host.apply_routes

        def noting(
            files: Mapping[str, str],
            edits: Mapping[str, Any] = {},
            apply: Callable[..., None] = apply,
        ) -> None:
            whole = {name: text for name, text in files.items() if name not in edits}
            sizes.append(len(json.dumps({"files": whole, "edits": dict(edits)})))
            apply(files, edits)

        host.apply_routes = noting  # type: ignore[method-assign]
    return sizes


def routes(count: int, gateways: int) -> dict[str, Cost]:
    """Return what a change of one host's weights costs for all routers: as differences, and as whole files."""
    before, after = (Rendering(_fleet(count, weight, gateways)) for weight in (100, 0))
    labels = [f"host{each:03}" for each in range(count)]

    def edited() -> int:
        return sum(len(json.dumps(file_edits(before.at(each), after.at(each)))) for each in labels)

    def whole() -> int:
        return sum(len(json.dumps(render_files(after.routes, each))) for each in labels)

    return {"edits": _computed(edited), "whole files": _computed(whole)}


def _computed(act: Callable[[], int]) -> Cost:
    clock, processor = time.monotonic(), time.process_time()
    sent = act()
    return Cost(time.monotonic() - clock, time.process_time() - processor, 0, 0, sent)


def checks(count: int, gateways: int) -> tuple[float, float]:
    """Return the questions and checks a second of all routers, and of a gateway; a host has one model in two slots."""
    rendering = Rendering(_fleet(count, 100, gateways))
    gate, one = (
        _checks(rendering.at(host), count - gateways) for host in ("gate", f"host{count - 1:03}")
    )
    return gateways * gate + (count - gateways) * one, gate


def _checks(files: Mapping[str, str], serving: int) -> float:
    """Return what the router with these files asks and checks in a second, where so many hosts have replicas."""
    text = files["backends.cfg"]
    own, far = text.count(" check inter 400ms "), text.count(' check inter "${TOOLKIT_CHECKS_EACH-')
    return (serving - bool(own) + own) / ASKED_EACH + far / CHECKED_EACH


def _fleet(count: int, weight: int, gateways: int) -> Routes:
    """Return the routes of so many hosts with two slots each, but for gateways; the first slot has this weight."""
    targets = [
        Target(slot, 8100, 100, f"host{each:03}", f"10.1.{each // 200}.{each % 200 + 1}:8443")
        for each in range(gateways, count)
        for slot in ("blue", "green")
    ]
    return Routes((Route("tiny", (replace(targets[0], weight=weight), *targets[1:]), created=1),))


PARTS = {"commands": commands, "changes": changes, "routes": routes}


if __name__ == "__main__":
    main()
