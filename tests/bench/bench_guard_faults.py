"""What the guard of a host finds of faults that begin while a release serves, how soon, and what its own work takes.

    python tests/bench/bench_guard_faults.py [--rate 20] [--repetitions 30] [--only faults|more|work|alarms]

A real router, two engines that get faults, and the watch as a process of its own. `more` are faults that hit only some
requests, or only a part of each answer. `alarms` repeats a bake of an unchanged release on a machine whose cores are
taken by other processes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.hostside.guard_lab import Crowd, Guarded, guarded, shows

FAULTS = {
    "500 on everything": "500",
    "empty answers": "empty",
    "garbage": "garbage",
    "5 % errors": "errors",
    "3 s an answer": "slow",
    "a hang with /health 200": "hang",
    "memory growth, 200 MiB/s": "grow",
    "refused connections": "refuse",
    "a crash": "crash",
}
# What clients send in turn where a fault hits some of them: whole answers and streams, long prompts, a key among 17.
MIXED = (
    *({"prompt": "2+2"}, {"prompt": "2+2", "stream": True}, {"prompt": "2+2 " * 300}, {"prompt": "2+2"}) * 4,
    {"prompt": "2+2", "user": "seldom"},
)  # fmt: skip
EMBEDDING = {
    "path": "/v1/embeddings", "payload": {"model": "tiny", "input": "2+2"}, "contains": "", "same": False,
}  # fmt: skip
# words -> the fault, and the probes where they are not those of a completion.
MORE: dict[str, tuple[str, dict[str, Any]]] = {
    "an error with status 200": ("body", {}),
    "streams that break off": ("cut", {}),
    "500 to streams alone": ("streams", {}),
    "500 to long prompts alone": ("long", {}),
    "500 to one key of 17 alone": ("key", {}),
    "429 on everything": ("429", {}),
    "memory growth, 8 MiB/s": ("leak", {}),
    "embeddings: empty vectors": ("empty", {"probes": [EMBEDDING]}),
    "embeddings: zero vectors": ("garbage", {"probes": [EMBEDDING]}),
    "each token 5 times as late": ("tokens", {}),
    "one request at a time": ("crowd", {}),
    "another name as `model`": ("name", {}),
    "`usage` of 0 tokens": ("usage", {}),
    "`finish_reason` length": ("finish", {}),
}
# Seconds after which a fault of these counts as not found.
ENOUGH = 40.0
# Seconds in which the watch sees how the former release usually does, and in which the new one is good.
BEFORE, GOOD, LIMIT = 12.0, 5.0, 180.0
TARGET = 5.0
# Clients take an answer for bad that takes longer.
LATE = 2.0


@contextmanager
def site(
    rate: float, bodies: Sequence[dict[str, Any]] = ({"prompt": "2+2"},)
) -> Iterator[tuple[Guarded, Crowd | None, int]]:
    """Yield the lab, its clients (none at a rate of 0), and the pid of its watch."""
    patch = pytest.MonkeyPatch()
    with guarded(patch) as lab:
        crowd = Crowd(lab.router.port, rate, bodies=bodies) if rate else None
        with lab.process() as pid:
            time.sleep(BEFORE if rate else 1)
            yield lab, crowd, pid
    patch.undo()


class Found(NamedTuple):
    """How a fault was found; all times are in seconds.

    `withdrawn` runs from the fault to the withdrawal. `last` is the time from the first figure that shows the fault to
    the last request that clients gave the bad release: from their first bad answer, and for memory from the first look
    that finds it over its limit. None where no client asked, or nothing showed before the verdict.
    """

    withdrawn: float
    last: float | None
    bad: str
    reason: str


def more(name: str, rate: float, changes: dict[str, Any]) -> tuple[float | None, str, str]:
    """Return the seconds from a fault to the withdrawal, None where it does not come, the bad answers, the reason."""
    with site(rate, MIXED) as (lab, crowd, _):
        lab.begin(**changes)
        time.sleep(GOOD)
        lab.fault(name)
        began = time.time()
        while not (verdict := lab.found()["verdict"]) and time.time() - began < ENOUGH:
            time.sleep(0.1)
        bad = str(crowd.stop()["bad"]) if crowd else "-"
        if not verdict:
            return None, bad, ""
        return lab.found()["withdrawn_at"] - began, bad, verdict["reason"]


def fault(name: str, rate: float) -> Found:
    """Let the new release have a fault; return how the guard found it."""
    with site(rate) as (lab, crowd, _):
        lab.begin()
        time.sleep(GOOD)
        lab.fault(name)
        began = time.time()
        shown = over_limit(lab) if name == "grow" else None
        verdict = lab.verdict(LIMIT)
        withdrawn = lab.found()["withdrawn_at"]
        time.sleep(1)
        bad = str(crowd.stop()["bad"]) if crowd else "-"
        assert lab.weights() == {"blue": 100, "green": 0}
        last = None
        if crowd and (first := shown or crowd.first_bad):
            # An answer is bad once it takes so long, before it has come.
            first = min(first, began + LATE) if name in ("slow", "hang") else first
            # A request without an answer has no slot: then it is the time of the withdrawal.
            asked = max(crowd.last_asked.get("green", 0.0), withdrawn)
            last = asked - first
        return Found(withdrawn - began, last, bad, verdict["reason"])


def over_limit(lab: Guarded) -> float:
    """Return when a look found the memory of the new release over its limit."""
    while not shows(found := lab.found()):
        time.sleep(0.05)
    return float(found["looked_at"])


def work(rate: float, seconds: float = 30.0) -> tuple[float, float]:
    """Return the percents of a core that the watch takes without a guard and with one."""
    with site(rate) as (lab, _, pid):
        alone = taken(pid, seconds)
        lab.begin()
        time.sleep(2)
        return alone, taken(pid, seconds)


def taken(pid: int, seconds: float) -> float:
    """Return the percents of a core that a process takes."""
    before = ticks(pid)
    time.sleep(seconds)
    return 100 * (ticks(pid) - before) / os.sysconf("SC_CLK_TCK") / seconds


def ticks(pid: int) -> int:
    """Return the ticks for which a process ran (proc(5): fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return int(fields[11]) + int(fields[12])


def alarms(rate: float, repetitions: int, seconds: float = 10.0) -> tuple[int, list[str]]:
    """Return how many bakes of an unchanged release did not pass, and why; two processes take all cores."""
    spin = [
        sys.executable,
        "-c",
        "import time\nwhile True:\n e = time.time() + 0.3\n while time.time() < e: pass\n time.sleep(0.3)",
    ]
    noise = [subprocess.Popen(spin) for _ in range(os.cpu_count() or 2)]
    reasons = []
    try:
        with site(rate) as (lab, _, _pid):
            for number in range(repetitions):
                lab.begin(seconds=seconds, rollout=f"r{number}", requests=20)
                verdict = lab.verdict(seconds + 60)
                if verdict["verdict"] != "passed":
                    reasons.append(verdict["reason"])
                lab.forget()
                lab.reset()
    finally:
        for each in noise:
            each.kill()
            each.wait()
    return len(reasons), reasons


def main() -> int:
    """Print the tables; 1 where a figure is over its limit."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rate", type=float, default=20.0)
    parser.add_argument("--repetitions", type=int, default=30)
    parser.add_argument("--only", choices=["faults", "more", "work", "alarms"], default="")
    given = parser.parse_args()
    parts = {
        "faults": lambda: print_faults(given.rate),
        "more": lambda: print_more(given.rate),
        "work": lambda: print_work(given.rate),
        "alarms": lambda: print_alarms(given.rate, given.repetitions),
    }
    well = []
    for number, name in enumerate([given.only] if given.only else parts):
        print("\n" * bool(number), end="")
        well.append(parts[name]())
    return 0 if all(well) else 1


def print_faults(rate: float) -> bool:
    """Print how soon each fault is found, and return whether the target is met."""
    print(
        f"{'fault':26}{f'at {rate:g}/s':>9}{'shown':>8}{'bad':>5}{'quiet':>8}  found by", flush=True
    )
    well = True
    for words, name in FAULTS.items():
        found = fault(name, rate)
        quiet = "-" if name == "errors" else f"{fault(name, 0).withdrawn:.1f} s"
        last = "-" if found.last is None else f"{found.last:.1f} s"
        # What few requests show is proven by many: its first bad answer is no figure that shows it.
        well = well and (name == "errors" or (found.last or 0.0) <= TARGET)
        print(
            f"{words:26}{found.withdrawn:>7.1f} s{last:>8}{found.bad:>5}{quiet:>8}  {found.reason[:90].rstrip()}",
            flush=True,
        )
    outcome = "met" if well else "missed"
    print(f"target: the last request at most {TARGET:g} s after the fault shows: {outcome}")
    return well


def print_more(rate: float) -> bool:
    """Print which of the other faults are found; there is no target, since some are the business of golden prompts."""
    print(f"{'fault':28}{f'at {rate:g}/s':>10}{'bad':>5}  found by", flush=True)
    for words, (name, changes) in MORE.items():
        took, bad, reason = more(name, rate, changes)
        within = f"{took:.1f} s" if took is not None else "-"
        print(
            f"{words:28}{within:>10}{bad:>5}  {reason[:80].rstrip() or f'nothing in {ENOUGH:g} s'}",
            flush=True,
        )
    return True


def print_work(rate: float) -> bool:
    """Print what the watch takes, and return whether the guard's part is below its target."""
    alone, guarding = work(rate)
    print("of one core: watch  with a guard")
    print(f"{alone:17.2f}%{guarding:13.2f}%")
    print("target: under 2% more", flush=True)
    return guarding - alone < 2


def print_alarms(rate: float, repetitions: int) -> bool:
    """Print how many bakes of an unchanged release did not pass; none may."""
    false, reasons = alarms(rate, repetitions)
    print(f"bakes of an unchanged release: {repetitions}, not passed: {false}")
    print("target: none", *reasons, sep="\n", flush=True)
    return not false


if __name__ == "__main__":
    sys.exit(main())
