"""False alarms and power of the guard's statistics, by simulated upgrades judged by the code that ships.

    python tests/bench/bench_guard.py [--upgrades 1000] [--seed 1] [--only alarms|power]

An upgrade has the gate `speed`, the steps STEPS of a canary and a bake: five minutes under traffic in all. It raises a
false alarm where an unchanged version is returned, at the gate or under traffic, or where a verdict is left open at the
end. Times are those of paired probes; `recorded` are pairs of two equal vLLM replicas on two cores with other work,
in tests/bench/recorded_pairs.csv.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import random
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "toolkit" / "hostside"))

from guard_judge import Judge, Look, Side  # noqa: E402
from guard_probes import DOUBT, HURRY, PAUSE, Said  # noqa: E402
from guard_probes import Pair as HostPair  # noqa: E402
from guard_traffic import Traffic as Seen  # noqa: E402
from trial import FAILED, PASSED  # noqa: E402

from toolkit.domain.gates.guard import Guard, Speed, Tolerance  # noqa: E402
from toolkit.domain.gates.verdict import Verdict  # noqa: E402
from toolkit.domain.replicas.answers import Pair, Times  # noqa: E402
from toolkit.planning.guard import speed  # noqa: E402

RECORDED = Path(__file__).with_name("recorded_pairs.csv")
# (share of the requests, seconds); the last one is the bake.
STEPS = ((0.01, 60), (0.1, 60), (0.5, 120), (1.0, 60))
TOLERANCE = Tolerance()
# A verdict that is still held back then is left open. In seconds.
LATEST = 900
# The usual times of an answer, in seconds: to the first token, and between tokens.
FIRST, BETWEEN = 0.05, 0.01


# (time to the first token, time between tokens) of an answer, as parts of the usual ones; those of new and old.
Pace = tuple[float, float]
Paces = tuple[Pace, Pace]


@dataclass(frozen=True)
class Version:
    """What is wrong: times are `slower` times those of the old version, the share `errors` of answers fails.

    The share `refused` of requests that the old version answers gets a status of 4xx.
    """

    slower: float = 1.0
    errors: float = 0.0
    refused: float = 0.0


@dataclass(frozen=True)
class Traffic:
    """Requests and the noise beside them, second by second.

    `rate` is in requests a second, `errors` the share that fails whatever serves, and `refused` the share that no
    version takes; they are functions of dice and second. `pace` yields the times of the new and the old replica's
    answers to one paired probe. Requests that are not refused are open for `lasts` seconds.
    """

    rate: Callable[[random.Random, int], float]
    errors: Callable[[random.Random, int], float]
    pace: Callable[[random.Random], Iterator[Paces]]
    refused: Callable[[random.Random, int], float] = lambda dice, at: 0.0
    lasts: int = 0


def steady(dice: random.Random, noise: float = 0.18) -> Iterator[Paces]:
    """Noise of each answer alone, half of it in both of its times; one in twenty waits, as long as usual on average."""

    def one() -> Pace:
        late = dice.expovariate(1.0) if dice.random() < 0.05 else 0.0
        shared = dice.lognormvariate(0, noise * math.sqrt(0.5))
        first, between = (shared * dice.lognormvariate(0, noise * math.sqrt(0.5)) for _ in "12")
        return first + late, between

    while True:
        yield one(), one()


def neighbours(dice: random.Random) -> Iterator[Paces]:
    """Others take the machine for a time: sometimes from both replicas, sometimes for a while from one of them."""
    left, bad = 0, (1.0, 1.0)
    for new, old in steady(dice, 0.3):
        if not left and dice.random() < 0.03:
            left, factor = dice.randint(3, 12), dice.uniform(1, 5)
            bad = dice.choice(((factor, factor), (factor, factor), (factor, 1.0), (1.0, factor)))
        left = max(0, left - 1)
        bad = bad if left else (1.0, 1.0)
        yield (new[0] * bad[0], new[1] * bad[0]), (old[0] * bad[1], old[1] * bad[1])


@cache
def records() -> list[Paces]:
    """Return the recorded pairs, one after the other."""
    with RECORDED.open() as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    return [((row["first_a"], row["next_a"]), (row["first_b"], row["next_b"])) for row in rows]


def recorded(dice: random.Random) -> Iterator[Paces]:
    """Spells of twenty recorded pairs, from anywhere. Which of both replicas is the new one is up to chance."""
    known, swapped = records(), dice.random() < 0.5
    while True:
        start = dice.randrange(len(known) - 20)
        for first, second in known[start : start + 20]:
            yield (second, first) if swapped else (first, second)


def none(dice: random.Random, second: int) -> float:
    """No request fails but those of a bad version."""
    return 0.0


def troubled(dice: random.Random, second: int) -> float:
    """A twentieth of all requests fails for one minute, whatever serves."""
    return 0.05 if 100 <= second < 160 else 0.002


def faulty_clients(dice: random.Random, second: int) -> float:
    """One request in twenty is wrong, and for 20 s of each 80 four in five: a client floods the model with them."""
    return 0.8 if second // 20 % 4 == 1 else 0.05


TRAFFIC = {
    "quiet": Traffic(lambda dice, at: 0.05, none, steady),
    "busy": Traffic(lambda dice, at: 50.0, lambda dice, at: 0.002, steady),
    "bursty": Traffic(lambda dice, at: 60.0 if at // 7 % 5 == 0 else 0.5, none, steady),
    "noisy neighbours": Traffic(lambda dice, at: 10.0, troubled, neighbours),
    "faulty clients": Traffic(
        lambda dice, at: 40.0 if at // 20 % 4 == 1 else 2.0, none, steady, faulty_clients, 30
    ),
    "recorded": Traffic(lambda dice, at: 2.0, none, recorded),
}


def main() -> int:
    """Print both tables; 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--upgrades", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=["alarms", "power"], default="")
    given = parser.parse_args()
    met = []
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        if given.only != "power":
            met.append(alarms(pool, given.upgrades, given.seed))
        if not given.only:
            print()
        if given.only != "alarms":
            met.append(power(pool, max(20, given.upgrades // 5), given.seed))
    return int(not all(met))


def alarms(pool: ProcessPoolExecutor, count: int, seed: int) -> bool:
    """Print the table of unchanged versions; return whether the target is met."""
    print(
        "unchanged version      upgrades  returned by the gate  returned under traffic  left open"
    )
    returned = 0
    for name in TRAFFIC:
        outcomes = list(
            pool.map(partial(upgrade, name, Version()), seeds(seed, name, count), chunksize=20)
        )
        gate, traffic, unsure = (
            sum(each[0] == word for each in outcomes) for word in ("gate", "traffic", "open")
        )
        returned += gate + traffic + unsure
        print(f"{name:20} {count:10} {gate:21} {traffic:23} {unsure:10}")
    rate = returned / count / len(TRAFFIC)
    word = "met" if rate <= 0.001 else "missed"
    print(f"target: at most 1 in 1,000; {returned} of {count * len(TRAFFIC)}: {word}")
    return rate <= 0.001


def power(pool: ProcessPoolExecutor, count: int, seed: int) -> bool:
    """Print how soon bad versions are caught under traffic alone, without the gate; return whether targets are met."""
    print("bad version, traffic                      caught in 5 min   median s   95 % within s")
    met = True
    for title, name, version in CASES:
        met = caught(pool, count, seed, title, partial(watch, name, version, rate=10.0)) and met
    print(f"target: 95 % within 5 min; {'met' if met else 'missed'}")
    print("without small shares, which is no part of the target:")
    for title, version, steps in LARGE:
        caught(pool, count, seed, title, partial(watch, "busy", version, rate=10.0, steps=steps))
    return met


def caught(
    pool: ProcessPoolExecutor,
    count: int,
    seed: int,
    title: str,
    one: Callable[[int], tuple[float, str]],
) -> bool:
    """Print how soon a bad version is caught in `count` upgrades; return whether 95 % of them are within 5 min."""
    found = pool.map(one, seeds(seed, title, count), chunksize=5)
    times = sorted(at for at, verdict in found if verdict == FAILED and at <= 300)
    part = len(times) / count
    middle = f"{times[len(times) // 2]:.0f}" if times else "-"
    late = f"{times[math.ceil(0.95 * count) - 1]:.0f}" if part >= 0.95 else "-"
    print(f"{title:42} {100 * part:13.1f} % {middle:>10} {late:>15}", flush=True)
    return part >= 0.95


CASES = (
    ("30 % slower, 10 requests/s", "busy", Version(slower=1.3)),
    ("30 % slower, a quiet night", "quiet", Version(slower=1.3)),
    ("twice as slow, 10 requests/s", "busy", Version(slower=2.0)),
    ("3 % errors, 10 requests/s", "bursty", Version(errors=0.03)),
    ("5 % errors, 10 requests/s", "bursty", Version(errors=0.05)),
    ("500 on everything, 10 requests/s", "busy", Version(errors=1.0)),
    ("400 on one request in three, 10/s", "faulty clients", Version(refused=0.33)),
)


# Where the version has half of the requests or all of them from the start.
LARGE = (
    ("twice as slow, half of 10 requests/s", Version(slower=2.0), ((0.5, 240), (1.0, 60))),
    ("twice as slow, a bake of 10 requests/s", Version(slower=2.0), ((1.0, 300),)),
    ("3 % errors, a bake of 10 requests/s", Version(errors=0.03), ((1.0, 300),)),
)


def upgrade(name: str, version: Version, seed: int) -> tuple[str, float]:
    """Return by whom the version was returned (`gate`, `traffic`, `open`, empty for nobody), and when."""
    if gate(name, version, seed) is not Verdict.PASSED:
        return "gate", 0.0
    at, verdict = watch(name, version, seed)
    return {FAILED: "traffic", PASSED: ""}.get(verdict, "open"), at


def gate(name: str, version: Version, seed: int) -> Verdict:
    """Return the verdict of the gate `speed`, which takes more pairs as long as they do not decide."""
    dice = random.Random(seed + 1)
    pace, pairs = TRAFFIC[name].pace(dice), list[Pair]()
    for _ in range(speed.MOST // Speed().pairs):
        for _ in range(Speed().pairs):
            new, old = next(pace)
            # The new replica is still cold.
            cold = 1.5 if len(pairs) < 5 else 1.0
            pairs.append(Pair(times(new, version.slower * cold), times(old)))
        judged = speed.judge(pairs, TOLERANCE)
        if not judged.undecided:
            break
    return judged.result.verdict


def times(pace: Pace, factor: float = 1.0) -> Times:
    """Return the times of an answer of 32 tokens."""
    first, between = factor * FIRST * pace[0], factor * BETWEEN * pace[1]
    whole = first + 31 * between
    return Times(first, between, whole, whole, 32, 0, 1)


def watch(
    name: str,
    version: Version,
    seed: int,
    rate: float = 0.0,
    steps: Sequence[tuple[float, int]] = STEPS,
) -> tuple[float, str]:
    """Return the second at which the host's judge came to a verdict that ends the upgrade, and that verdict."""
    run = Run(TRAFFIC[name], version, random.Random(seed), 0.0 if name == "quiet" else rate)
    learned: dict[str, Any] | None = None
    for share, seconds in steps:
        phase = "bake" if share == 1 else "share"
        judge = Judge(order(phase, seconds), usual=(1000 * FIRST, 0.002))
        if learned:
            judge.learn(learned)
        verdict = ""
        while not verdict and run.second < LATEST:
            if judge.look(run.look(share, judge)):
                return float(run.second), FAILED
            verdict, _ = judge.verdict()
        if verdict != PASSED:
            return float(run.second), verdict
        learned = judge.as_json()["learned"]
    return 0.0, PASSED


def order(phase: str, seconds: int) -> dict[str, Any]:
    """Return what a host is ordered to watch."""
    tolerance = asdict(TOLERANCE)
    return {
        "phase": phase, "seconds": seconds, "requests": 0, "patience": Guard().patience,
        "former": "blue", "tolerance": tolerance,
    }  # fmt: skip


class Run:
    """Traffic and probes of one upgrade, second by second."""

    def __init__(
        self, traffic: Traffic, version: Version, dice: random.Random, rate: float
    ) -> None:
        self.traffic, self.version, self.dice, self.rate = traffic, version, dice, rate
        self.second, self._probe = 0, 0.0
        self._open: dict[str, list[int]] = {}
        self._pace = traffic.pace(dice)

    def look(self, share: float, judge: Judge) -> Look:
        """Return what the next second shows where the new release has this share of the requests."""
        self.second += 1
        base = self.traffic.errors(self.dice, self.second)
        count = poisson(self.dice, self.rate or self.traffic.rate(self.dice, self.second))
        mine = sum(self.dice.random() < share for _ in range(count))
        wrong = self.traffic.refused(self.dice, self.second)
        refused = wrong + (1 - wrong) * self.version.refused
        pairs = []
        while self._probe < self.second:
            pairs.append(self._pair(base, mine, count - mine))
            taken = pairs[-1].new.seconds + pairs[-1].old.seconds
            hurry = HURRY if pairs[-1].new.fault else DOUBT if judge.trial.doubtful else PAUSE
            self._probe += hurry + taken
        new = self._seen("new", mine, base + self.version.errors, refused)
        old = self._seen("old", count - mine, base, wrong)
        return Look(float(self.second), Side(new), Side(old), tuple(pairs))

    def _pair(self, base: float, mine: int, others: int) -> HostPair:
        new, old = next(self._pace)
        # Requests are open for half a second each, those of a slower version for longer; a pair counts where the new
        # one had no more of them before and after.
        mine_open = mine * self.version.slower / 2
        open_now = [(poisson(self.dice, mine_open), poisson(self.dice, others / 2)) for _ in "12"]
        return HostPair(
            0,
            self._said(new, self.version.slower, base + self.version.errors),
            self._said(old, 1.0, base),
            float(self.second),
            all(ours <= theirs for ours, theirs in open_now),
        )

    def _said(self, pace: Pace, factor: float, errors: float) -> Said:
        first, between = factor * FIRST * pace[0], factor * BETWEEN * pace[1]
        seconds = first + 15 * between
        fault = "status 500" if self.dice.random() < errors else ""
        return Said(
            fault, "sea", seconds, False, {"first": first, "next": between, "whole": seconds}
        )

    def _seen(self, side: str, came: int, errors: float, refused: float) -> Seen:
        """Return the traffic of a replica to which `came` requests came: refusals come at once, answers later."""
        no = self._failed(came, refused) if refused else 0
        answers = self._open.setdefault(side, [0] * (self.traffic.lasts + 1))
        answers.append(came - no)
        done = answers.pop(0) if self.traffic.lasts else answers.pop()
        return Seen(
            done + no, self._failed(done, errors), no, sum(answers), self.second, 1000 * FIRST
        )

    def _failed(self, count: int, errors: float) -> int:
        return sum(self.dice.random() < errors for _ in range(count))


def poisson(dice: random.Random, mean: float) -> int:
    """Return a Poisson number (Knuth's way)."""
    limit, count, product = math.exp(-mean), 0, dice.random()
    while product > limit:
        count += 1
        product *= dice.random()
    return count


def seeds(seed: int, name: str, count: int) -> list[int]:
    """Return a seed for each of `count` upgrades."""
    first = random.Random(seed ^ zlib.crc32(name.encode())).randrange(2**40)
    return [first + 2 * each for each in range(count)]


if __name__ == "__main__":
    sys.exit(main())
