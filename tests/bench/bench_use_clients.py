"""Use as clients count it, as `toolkit usage` says it, and as the engines counted it: the difference is 0.

    python tests/bench/bench_use_clients.py [--requests 20000]
    python tests/bench/bench_use_clients.py --engine vllm [--requests 2000]

Clients count what they are answered, over a real router with keys. Its host has a real watch, which carries what the
recorders write into the ledger; `toolkit usage` collects from there, in the middle and at the end. Two models run in
three replicas, whose engines compute nothing and count everything (tests/bench/counting_engine.py). Meanwhile the
router is reloaded, ended and killed, the watch is killed, a replica starts anew, the access log is cut, and a key uses
up its quota. Exits with 1 where something differs.

Of a whole answer the client alone says what it used. A request that its client left, or that the router cut, counts as
its engine counted it, which must be within what the client knows: at least what it got, at most what it had asked
for; and just what it got where the engine waited for it to leave.

With `--engine vllm` the one replica is the real vLLM that the whole-system tests have installed.
"""

from __future__ import annotations

import argparse
import json
import selectors
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.use_comparison import Comparison
from tests.bench.use_site import KEYS, LIMITED, Site, counting_site, text_of, vllm_site

CLIENTS, LANES = 2, 12


class Load:
    """Clients in processes of their own."""

    def __init__(self, port: int, models: list[str], requests: int, **more: Any) -> None:
        # The limited key asks as often as the others.
        keys = {name: text_of(name) for name in (*KEYS, LIMITED)}
        given = {"port": port, "keys": keys, "models": models, "lanes": LANES, **more}
        self.done = [0] * CLIENTS
        self.results: list[dict[str, Any]] = []
        self.processes = []
        for seed in range(CLIENTS):
            part = requests // CLIENTS + (seed < requests % CLIENTS)
            told = json.dumps({**given, "seed": seed, "requests": part})
            client = Path(__file__).with_name("counting_client.py")
            self.processes.append(
                subprocess.Popen(
                    [sys.executable, client, told], stdout=subprocess.PIPE, text=True, bufsize=1
                )
            )

    def end(self) -> None:
        """End clients that still run."""
        for each in self.processes:
            each.kill()
            each.wait()
            assert each.stdout is not None
            each.stdout.close()

    def follow(self) -> Iterator[int]:
        """Yield the number of requests so far, until all clients have ended."""
        chosen = selectors.DefaultSelector()
        for number, each in enumerate(self.processes):
            chosen.register(each.stdout or 0, selectors.EVENT_READ, number)
        while chosen.get_map():
            for key, _ in chosen.select(1):
                line = key.fileobj.readline()  # type: ignore[union-attr]
                if line.startswith("{"):
                    self.results.append(json.loads(line))
                elif line:
                    self.done[key.data] = int(line)
                else:
                    chosen.unregister(key.fileobj)
            yield sum(self.done)
        if any(each.wait(60) for each in self.processes):
            sys.exit("a client failed")


Act = tuple[float, str, Callable[[], Any]]


def disturbances(site: Site) -> list[Act]:
    """Return what happens in the middle: after which part of the requests, in words, and how."""
    return [
        (0.08, "router reloaded", site.reload),
        (0.15, "usage collected", site.usage),
        (0.22, "traffic shifted", lambda: site.shift(20)),
        (0.28, "router ended and started", lambda: site.restart_router(site.lab.stop)),
        (0.35, "access log cut", site.cut_log),
        (0.40, "router reloaded", site.reload),
        (0.45, "watch killed and started", site.watch),
        (0.52, "replica ended and started", site.restart_replica),
        (0.60, "usage collected", site.usage),
        (0.68, "router killed and started", lambda: site.restart_router(site.lab.kill)),
        (0.75, "traffic shifted", lambda: site.shift(100)),
        (0.80, "access log cut", site.cut_log),
        (0.85, "router reloaded", site.reload),
    ]


def of_one_replica(happens: Sequence[Act]) -> list[Act]:
    """Return what can happen where there is one replica, which takes a minute to start."""
    return [
        each for each in happens if each[1] not in ("traffic shifted", "replica ended and started")
    ]


def measure(
    site: Site, requests: int, models: list[str], todo: list[Act], **more: Any
) -> tuple[Load, Counter[str], float]:
    """Run the clients with all that is to happen meanwhile; return them, what happened, and the seconds."""
    load, began = Load(site.lab.port, models, requests, **more), time.monotonic()
    happened = Counter[str]()
    try:
        for done in load.follow():
            while todo and done >= todo[0][0] * requests:
                _, words, act = todo.pop(0)
                act()
                happened[words] += 1
    finally:
        load.end()
    took = time.monotonic() - began
    if todo:
        sys.exit(f"did not happen: {[words for _, words, _ in todo]}")
    return load, happened, took


def settled(site: Site) -> dict[str, Any]:
    """End the replicas, let the watch carry the rest, and return what `toolkit usage` says then."""
    for each in site.replicas:
        each.stop()
    time.sleep(2)
    before, same = site.usage(), 0
    for _ in range(60):
        time.sleep(1)
        found = site.usage()
        same = same + 1 if found["total"] == before["total"] and not found["collected"] else 0
        # On a busy machine the watch may let some seconds pass between two looks.
        if same == 3:
            return found
        before = found
    sys.exit("the ledger still grows")


def main() -> int:
    """Measure, print both tables, and return 1 where something differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=int, default=0)
    parser.add_argument("--engine", choices=["counting", "vllm"], default="counting")
    given = parser.parse_args()
    # What it started ends with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    requests = given.requests or (20_000 if given.engine == "counting" else 2_000)
    vllm = given.engine == "vllm"
    with (vllm_site if vllm else counting_site)(requests) as site:
        happens = of_one_replica(disturbances(site)) if vllm else disturbances(site)
        models = list(dict.fromkeys(each.model for each in site.replicas))
        load, happened, took = measure(site, requests, models, happens, vllm=vllm)
        usage = settled(site)
        came = sum((Counter(each["came"]) for each in load.results), Counter[str]())
        print(
            f"{requests:,} requests of {CLIENTS * LANES} lanes, {len(KEYS) + 1} keys, in {took:,.0f} s"
        )
        print("meanwhile: " + "; ".join(f"{words} {count}x" for words, count in happened.items()))
        print("tries: " + "; ".join(f"{words} {count:,}" for words, count in sorted(came.items())))
        return 0 if Comparison.of(site.replicas, load.results, usage).shown() else 1


if __name__ == "__main__":
    sys.exit(main())
