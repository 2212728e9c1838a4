"""Cut a swap short before each of its steps, under load, and let one next command end it: what clients lose.

    python tests/bench/bench_swap_cut.py [--how kill,power,dies,alone] [--steps hold,drain,stop,start,gate,shift,bake]

The host has room for one replica, as in `bench_swap.py`, and its engine cannot doze. Just as a step begins the command
is killed, or the host loses its power and gets it back. Two seconds later one `toolkit deploy` must bring the host to
its version. With `dies` nothing is cut: the new replica ends in its bake, 20 s after its first request, and the
command undoes the swap. With `alone` the command is killed in that bake, and the next one comes 5 s after the death.
Host, router and changes are real; a stub stands in for vLLM. Four clients ask all the time.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from demo.load import LoadReport
from tests.bench.bench_swap import HOST, narrow
from tests.fleet.machine import missing
from tests.system.stub_site import REGISTRY, StubSite, stub_site
from toolkit.adapters.fakes.behaviour import Behaviour

STEPS = "hold,drain,stop,start,gate,shift,bake"
# Until a person, or a timer, types the next command.
PAUSE = 2.0


@dataclass(frozen=True)
class Cut:
    """What came of one cut. Times are in seconds; `failed` counts requests by what they got."""

    how: str
    step: str
    requests: int
    longest: float
    failed: dict[str, int]
    converged: bool
    words: str = ""


def main() -> int:
    """Print the table; 1 where the host did not come to its version."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--how", default="kill")
    parser.add_argument("--steps", default=STEPS)
    parser.add_argument("--budget", type=float, default=480.0, help="seconds to begin cuts in")
    given = parser.parse_args()
    if lacking := missing():
        raise SystemExit(lacking)
    until, found = time.monotonic() + given.budget, []
    with stub_site(1, REGISTRY) as site:
        for cut in cuts(site, given.how.split(","), given.steps.split(",")):
            print(cut, flush=True)
            found.append(cut)
            if time.monotonic() > until:
                break
    good = sum(each.converged for each in found)
    failed = sum((Counter(each.failed) for each in found), Counter[str]())
    print(f"{good} of {len(found)} came to their version; failed requests: {dict(failed)}")
    return int(good < len(found))


def cuts(site: StubSite, hows: Sequence[str], steps: Sequence[str]) -> Iterator[Cut]:
    """Yield what came of each cut; each begins where the former ended."""
    for version in ("v1", "v2"):
        site.pin(version)
    site.lab.toolkit("deploy", "tiny@v1", "--yes", "--bake", "1")
    narrow(site.lab[HOST])
    turn = 0
    for how in hows:
        if how in ("dies", "alone"):
            yield dies(site, how, turn)
            continue
        for step in steps:
            turn += 1
            yield cut_at(site, how, step, ("v1", "v2")[turn % 2])


def cut_at(site: StubSite, how: str, step: str, wanted: str) -> Cut:
    """Cut the swap to `wanted` short as `step` begins, and end it by one next command."""
    load = site.load(HOST)
    words = ("deploy", f"tiny@{wanted}", "--yes", "--no-standby", "--bake", "5")
    try:
        load.wait_for(lambda report: len(report.answers) > 40, 60)
        argv, environment = site.lab.command(*words)
        with subprocess.Popen(
            argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as command:
            assert command.stdout is not None
            said = ""
            for line in command.stdout:
                said += line
                if line.startswith(f"{step} "):
                    break
            command.kill()
        assert f"\n{step} " in said, said
        if how == "power":
            site.lab[HOST].power_off()
            site.lab[HOST].power_on()
            narrow(site.lab[HOST])
        time.sleep(PAUSE)
        done = site.lab.toolkit(*words, check=False, timeout=900)
        serving = site.serving()
        enough = len(load.report().answers) + 20
        load.wait_for(lambda report: len(report.answers) > enough, 60)
    finally:
        report = load.stop()
    converged = done.returncode == 0 and serving == {HOST: [wanted]}
    return Cut(
        how, step, *of_clients(report), converged,
        "" if converged else f"{serving} {done.stdout[-800:]}{done.stderr[-800:]}",
    )  # fmt: skip


def dies(site: StubSite, how: str, turn: int) -> Cut:
    """Upgrade to a version that dies in its bake, and see that the former one serves again."""
    bad, former = f"bad{turn}-{how}", ("v1", "v2")[turn % 2]
    site.pin(bad, Behaviour.DIES_LATER)
    load = site.load(HOST, ("v1", "v2", bad))
    try:
        load.wait_for(lambda report: len(report.answers) > 40, 60)
        argv, environment = site.lab.command("deploy", f"tiny@{bad}", "--yes", "--bake", "120")
        with subprocess.Popen(
            argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as command:
            assert command.stdout is not None
            said = ""
            for line in command.stdout:
                said += line
                if how == "alone" and line.startswith("bake "):
                    command.kill()
        if how == "alone":
            load.wait_for(lambda report: bool(report.bad), 60)
            time.sleep(5)
            said += site.lab.toolkit("deploy", f"tiny@{former}", "--yes", check=False).stdout
        serving = site.serving()
        enough = len(load.report().answers) + 20
        load.wait_for(lambda report: len(report.answers) > enough, 60)
    finally:
        report = load.stop()
    converged = serving == {HOST: [former]}
    return Cut(
        how,
        "bake",
        *of_clients(report),
        converged,
        "" if converged else f"{serving} {said[-1500:]}",
    )


def of_clients(report: LoadReport) -> tuple[int, float, dict[str, int]]:
    """Return how many requests there were, the seconds of the longest, and how many failed of each kind."""
    longest = max(each.ended_at - each.sent_at for each in report.answers)
    bad = Counter(f"{each.verdict}: {each.detail[:60]}" for each in report.bad)
    return len(report.answers), round(longest, 1), dict(bad)


if __name__ == "__main__":
    sys.exit(main())
