"""The host of bench_use_clients.py: a router with keys, a watch, and replicas that count, or the real vLLM."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.hostside.router_lab import Lab, free_port, lab, router_socket, until
from tests.system.served import ROOT as INSTALLED
from tests.system.test_use import started
from toolkit.domain.clients.keys import KeyRing
from toolkit.planning.routing.edits import with_model, with_weights
from toolkit.planning.routing.keys import with_key
from toolkit.planning.routing.routes import Routes, Target

ROOT = Path(__file__).resolve().parents[2]
MAKE_MODEL = ROOT / "demo/make_model.py"
RECORDER = ROOT / "playbooks/roles/replica/files"
KEYS = [f"key-{number}" for number in range(12)]
LIMITED = "limited"
WATCH = "import sys; sys.path.insert(0, sys.argv[1]); import watch; watch.main(sys.argv[2:])"
# The replicas: model, slot, release.
REPLICAS = (("alpha", "blue", 1), ("alpha", "green", 2), ("beta", "blue", 1))


def text_of(key: str) -> str:
    return f"tk-{key}-" + "k" * 32


@dataclass
class Replica:
    """A replica of a model on the host at `root`."""

    root: Path
    model: str
    slot: str
    release: int
    port: int = field(default_factory=free_port)
    # The engine's counters at the ends of its runs so far.
    past: Counter[str] = field(default_factory=Counter)

    @property
    def program(self) -> str:
        return f"{self.model}-{self.slot}"

    @property
    def log(self) -> Path:
        return self.root / f"{self.program}.requests"

    def start(self) -> None:
        use = self.root / "caches" / self.program / "use"
        use.mkdir(parents=True, exist_ok=True)
        told = {"directory": str(use), "program": self.program, "model": self.model}
        told |= {"version": f"v{self.release}", "engine": "counting 1.0"}
        self.process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("counting_engine.py"), str(self.port), self.log],
            env={
                **os.environ,
                "PYTHONPATH": str(RECORDER),
                "TOOLKIT_USE": json.dumps({**told, "release": self.release}),
            },
        )  # fmt: skip
        until(self.answers, 60)

    def answers(self) -> bool:
        try:
            return bool(self.counters() or True)
        except OSError:
            return False

    def counters(self) -> Counter[str]:
        """Return the engine's counters of this run: `in` and `out`."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        values = dict(line.rpartition(" ")[::2] for line in text.splitlines() if "#" not in line)
        names = {"in": "vllm:prompt_tokens_total", "out": "vllm:generation_tokens_total"}
        found = {
            each: sum(float(value) for name, value in values.items() if name.partition("{")[0] == told)
            for each, told in names.items()
        }  # fmt: skip
        return Counter({each: int(value) for each, value in found.items()})

    def stop(self) -> None:
        """End it in order: requests that run are answered first, and its counters are then what they are."""
        self.process.terminate()
        self.process.wait(60)
        runs = sorted(
            (self.root / "caches" / self.program / "use").glob("*.jsonl"),
            key=lambda each: each.stat().st_mtime_ns,
        )
        last = json.loads(runs[-1].read_text().splitlines()[-1])["counters"]
        self.past += Counter(last)

    def requests(self) -> dict[str, tuple[int, int]]:
        """Return the engine's own count of each request: tokens of prompt and answer, by the request's id."""
        found = {}
        for line in self.log.read_text().splitlines():
            ident, came, out = line.split(" ")
            if ident in found:
                sys.exit(f"the engine had request {ident} twice")
            found[ident] = (int(came), int(out))
        return found


class Site:
    """The host: a router with keys, replicas, and a watch."""

    def __init__(self, running: Lab, requests: int) -> None:
        self.lab, self.root = running, running.root
        for name in ("slots", "watch"):
            (self.root / name).mkdir()
        self.home = self.root / "home"
        (self.root / "fleet.yaml").write_text(
            "all:\n  hosts:\n    gpu1:\n      ansible_connection: local\n"
            f"      toolkit_root: {self.root}\n"
        )
        ring, quota = KeyRing(), max(3, requests // 100)
        for name in KEYS:
            ring = with_key(ring, name, text_of(name), now=1.0)
        ring = with_key(ring, LIMITED, text_of(LIMITED), now=1.0, requests_per_day=quota)
        running.give(ring)
        self.replicas: list[Any] = []

    def serve(self, replicas: list[Any]) -> None:
        """Start the replicas and lead traffic to them, even parts of a model's to each of its slots."""
        self.replicas, routes = replicas, Routes()
        for each in replicas:
            each.start()
        for model in dict.fromkeys(each.model for each in replicas):
            mine = [each for each in replicas if each.model == model]
            targets = tuple(Target(each.slot, each.port, 100) for each in mine)
            routes = with_model(routes, model, targets, created=1)
        self.lab.apply(routes)
        for each in replicas:
            self.lab.up(each.model, each.slot)

    def watch(self) -> None:
        """Start the watch, or kill it and start it anew."""
        self.end()
        with (self.root / "watch.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    WATCH,
                    str(ROOT / "toolkit/hostside"),
                    str(self.root),
                    "60",
                    "600",
                ],
                stdout=log,
                stderr=log,
            )

    def end(self) -> None:
        """Kill the watch."""
        if hasattr(self, "process"):
            self.process.kill()
            self.process.wait()

    def usage(self) -> dict[str, Any]:
        """Return what `toolkit usage` says by key and model."""
        words = ["usage", "--by", "key", "--by", "model", "--json"]
        words += ["--fleet", str(self.root / "fleet.yaml"), "--home", str(self.home)]
        environment = {name: value for name, value in os.environ.items() if "TOOLKIT" not in name}
        done = subprocess.run(
            [sys.executable, "-m", "toolkit.cli.main", *words],
            stdout=subprocess.PIPE,
            env={**environment, "PYTHONPATH": str(ROOT)},
            check=True,
        )
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def restart_router(self, end: Callable[[], None]) -> None:
        end()
        self.lab.start()

    def restart_replica(self) -> None:
        """End a replica in order and start it anew; its model has another one meanwhile."""
        first = self.replicas[0]
        first.stop()
        time.sleep(0.5)
        first.start()
        self.lab.up(first.model, first.slot)

    def shift(self, weight: int) -> None:
        """Move traffic between slots, as a switch does."""
        first = self.replicas[0]
        if len(self.replicas) > 1:
            self.lab.apply(
                with_weights(self.lab.routes, first.model, {first.slot: weight, "green": 100})
            )

    def reload(self) -> None:
        router_socket.reload(self.lab.directory)

    def cut_log(self) -> None:
        os.truncate(self.lab.log, 0)


@contextmanager
def counting_site(requests: int) -> Iterator[Site]:
    """Boot the host with engines that count."""
    with lab() as running:
        site = Site(running, requests)
        try:
            site.serve([Replica(site.root, *each) for each in REPLICAS])
            site.watch()
            yield site
        finally:
            site.end()
            for each in site.replicas:
                each.process.kill()
                each.process.wait()


class VllmReplica:
    """The real engine in the place of a replica on the host at `root`."""

    def __init__(self, stack: ExitStack, root: Path) -> None:
        self.model, self.slot, self.past = "tiny", "blue", Counter[str]()
        (path,) = INSTALLED.glob("engines/vllm-0.32.0-*/.complete")
        engine, home = path.parent, root / "caches/tiny-blue"
        home.mkdir(parents=True)
        made = root / "made"
        make = [engine / "bin/python", MAKE_MODEL, made, "--variants", "rubbish"]
        subprocess.run(make, check=True, stdout=sys.stderr)
        self.engine = stack.enter_context(started(engine, made / "rubbish", home, recorded=True))
        self.port, self.process = self.engine.port, self.engine.process

    def start(self) -> None:
        """Do nothing: it runs."""

    def stop(self) -> None:
        """Wait until the recorder has all, read records and counters, and end it in order."""
        self.engine.agrees()
        # The watch may take the files of a run that has ended.
        self.recorded = {each["id"]: (each["in"], each["out"]) for each in self.engine.records()}
        self.past = Counter(dict(zip(("in", "out"), self.engine.counters(), strict=True)))
        self.process.terminate()
        self.process.wait(60)

    def requests(self) -> dict[str, tuple[int, int]]:
        """Return what was recorded of each request: vLLM has no count of its own but the sum of all."""
        return self.recorded


@contextmanager
def vllm_site(requests: int) -> Iterator[Site]:
    """Boot the host with a real engine."""
    with lab() as running, ExitStack() as stack:
        site = Site(running, requests)
        try:
            site.serve([VllmReplica(stack, site.root)])
            site.watch()
            yield site
        finally:
            site.end()
