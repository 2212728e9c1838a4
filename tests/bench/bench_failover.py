"""Lose what serves on real hosts under load, and measure what clients notice.

    python tests/bench/bench_failover.py [--hosts 3] [--rounds 3] [--only WORDS]

Each host serves one release and has the former one as its standby. In each round the replicas that serve are killed
(SIGKILL), on one host or on all at once, or a host loses its power, its link, or the packets of one direction; then
everything is as before again. Hosts, routers and watches are real; a stub stands in for vLLM. Four clients ask the
first host's router all the time, and six more have a request that takes long. A round costs 10 to 30 seconds.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from demo.load import Answer
from tests.fleet.machine import Machine, missing
from tests.system.stub_site import PROMPT, StubSite, stub_site
from tests.system.waiting import until

VERSIONS = ("v1", "v2")
# Loses something, and mends it.
Way = tuple[Callable[[], object], Callable[[], object]]
# Seconds that clients go on after the loss: a takeover is for good after 1.5, and a lost host is out after 2.
AFTER = 5.0
LONG = 12


@dataclass(frozen=True)
class Loss:
    """What clients noticed of one loss. Times are in seconds after it.

    `failed` are requests without their answer, with the words that they got; `last` is when the last of them ended.
    `gap` is the longest time between two good answers. `cut` is when the long requests to what was lost had ended.
    """

    what: str
    failed: int
    last: float
    gap: float
    cut: float
    words: str


HEAD = f"{'':38}losses  failed at most  last at most, s  gap at most, s  cut at most, s"


def row(losses: Sequence[Loss]) -> str:
    """Return the worst figures of losses in the same way."""
    failed, last = max(each.failed for each in losses), max(each.last for each in losses)
    gap, cut = max(each.gap for each in losses), max(each.cut for each in losses)
    return f"{losses[0].what:38}{len(losses):6}{failed:16}{last:17.2f}{gap:16.2f}{cut:16.2f}"


class Long(threading.Thread):
    """A client whose request takes long; `ended` is when it did, `words` are status, error and labels."""

    def __init__(self, door: str) -> None:
        super().__init__(daemon=True)
        self.ended, self.words, self._door = 0.0, "", door
        self.start()

    def run(self) -> None:
        message = {"role": "user", "content": PROMPT}
        body = {"model": "tiny", "messages": [message], "user": f"slow {LONG}"}
        head = {"Content-Type": "application/json"}
        request = urllib.request.Request(
            f"{self._door}/v1/chat/completions", json.dumps(body).encode(), head
        )
        try:
            with urllib.request.urlopen(request, timeout=2 * LONG) as answer:
                self.words = f"{answer.status}"
        except urllib.error.HTTPError as error:
            names = ("X-Toolkit-Error", "X-Toolkit-Slot", "X-Toolkit-Version")
            self.words = " ".join(
                str(each) for each in (error.code, *map(error.headers.get, names))
            )
        except OSError as error:
            self.words = type(error).__name__
        self.ended = time.time()


def main() -> None:
    """Lose what serves in each way, and print what clients noticed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hosts", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="the ways whose names have these words")
    given = parser.parse_args()
    if lacking := missing():
        raise SystemExit(lacking)
    with stub_site(given.hosts) as site:
        for version in VERSIONS:
            site.pin(version)
            site.lab.toolkit("deploy", f"tiny@{version}", "--yes", "--bake", "1", timeout=900)
        found: dict[str, list[Loss]] = {}
        for name, way in WAYS.items():
            for _ in range(given.rounds if given.only in name else 0):
                if loss := tried(site, name, way):
                    found.setdefault(name, []).append(loss)
                    print(loss, file=sys.stderr, flush=True)
    print("\n".join([HEAD, *map(row, found.values())]))


def tried(site: StubSite, name: str, way: Callable[[StubSite], Way]) -> Loss | None:
    """Lose what serves in one `way`; return None where that is the same on a single host, or needs another one."""
    if len(site.lab.machines) == 1 and way is not all_killed:
        return None
    whole(site)
    lose, mend = way(site)
    load = site.load(site.lab.machines[0].name, pause=0.02)
    long = [Long(site.door(site.lab.machines[0].name)) for _ in range(6)]
    load.wait_for(lambda report: len(report.answers) > 100, 60)
    at = time.time()
    lose()
    time.sleep(max(0.0, at + AFTER - time.time()))
    report = load.stop()
    mend()
    # The others go on, and end by themselves.
    cut = [each for each in long if each.ended and each.words != "200"]
    answers = [each for each in report.answers if each.ended_at >= at]
    bad = [each for each in report.bad if each.ended_at >= at]
    words = Counter([*map(_words, bad), *(f"long: {each.words}" for each in cut)])
    shown = "; ".join(f"{count} x {each}" for each, count in words.most_common(4))
    return Loss(
        name, len(bad), max((each.ended_at - at for each in bad), default=0.0), _gap(answers, at),
        max((each.ended - at for each in cut), default=0.0), shown,
    )  # fmt: skip


def _words(answer: Answer) -> str:
    status, _, body = answer.detail.partition(" ")
    code = body.partition('"code":"')[2].partition('"')[0]
    return f"{status} {code}" if code else answer.detail[:60]


def _gap(answers: Sequence[Answer], at: float) -> float:
    good = sorted([at, *(each.ended_at for each in answers if not each.detail)])
    return max((later - before for before, later in itertools.pairwise(good)), default=0.0)


def whole(site: StubSite) -> None:
    """Wait until each host has a replica that serves and a standby, and no long request is left."""

    def slots() -> list[Any]:
        return list(site.status()["slots"])

    def ready(found: list[Any]) -> bool:
        serving = sum(bool(each["weight"]) for each in found)
        healthy = [each for each in found if each["healthy"] and not each["sessions"]]
        return serving == len(site.lab.machines) and len(healthy) == 2 * serving

    until(slots, 180, ready)


def killing(site: StubSite, machines: Sequence[Machine]) -> Way:
    """Kill the replicas that serve on these hosts; their hosts start them again."""
    serving = {each["host"]: each["slot"] for each in site.status()["slots"] if each["weight"]}

    def kill(machine: Machine) -> None:
        unit = f"toolkit-tiny-{serving[machine.name]}.service"
        machine.run("systemctl", "kill", "--signal=KILL", unit)

    def lose() -> None:
        threads = [threading.Thread(target=kill, args=(each,)) for each in machines]
        for each in threads:
            each.start()
        for each in threads:
            each.join()

    return lose, lambda: None


def all_killed(site: StubSite) -> Way:
    return killing(site, site.lab.machines)


def own_killed(site: StubSite) -> Way:
    return killing(site, site.lab.machines[:1])


def other_killed(site: StubSite) -> Way:
    return killing(site, site.lab.machines[-1:])


def power_lost(site: StubSite) -> Way:
    return site.lab.machines[-1].power_off, site.lab.machines[-1].power_on


def link_lost(site: StubSite) -> Way:
    return site.lab.machines[-1].cut_link, site.lab.machines[-1].mend_link


def deaf(site: StubSite) -> Way:
    return losing(site.lab.machines[-1], "input", "iifname")


def mute(site: StubSite) -> Way:
    return losing(site.lab.machines[-1], "output", "oifname")


def losing(machine: Machine, hook: str, name: str) -> Way:
    """Lose each packet that comes to the host, or each that leaves it."""
    chain = f"chain c {{ type filter hook {hook} priority -300; {name} eth0 drop; }}"
    lose = ["nft", f"table inet cut {{ {chain}; }}"]
    return (
        lambda: machine.run(*lose),
        lambda: machine.run("nft", "delete", "table", "inet", "cut"),
    )


WAYS: dict[str, Callable[[StubSite], Way]] = {
    "all that serve are killed": all_killed,
    "the replica beside the door is killed": own_killed,
    "another host's replica is killed": other_killed,
    "another host loses its power": power_lost,
    "another host loses its link": link_lost,
    "nothing reaches another host": deaf,
    "nothing comes from another host": mute,
}


if __name__ == "__main__":
    main()
