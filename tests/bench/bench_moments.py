"""Cut an upgrade short at seeded moments on real hosts, and let one next command end it.

    python tests/bench/bench_moments.py [--seeds 0-9] [--hosts 3] [--budget 900] [--kept FILE]

At each moment the toolkit's process is killed, or it falls silent with all that it has started, as where its machine
loses its power; or a host loses its link or its power. The time within the upgrade is random, and so is the host. Then
one `toolkit deploy` must bring all hosts to its version, and the hosts' lock must be free. Hosts, routers and changes
are real; a stub stands in for vLLM. Clients ask the first host's router all the time. A moment costs half a minute, and
one without a link up to a minute and a half.

`--kept` names a file to which each moment is written as it ends, a line of JSON. Moments that it holds are not tried
again, so that many can be tried in several runs; the figures are of all that it holds.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from demo.load import Answer
from tests.bench.seeded import Seeded, tried_moments
from tests.fleet.machine import Machine
from tests.system.stub_site import ROOT, StubSite

VERSIONS = ("v1", "v2")
WORDS = {
    "kill": "killed",
    "silent": "ops machine lost",
    "power": "power lost",
    "link": "link lost",
}
# After this silence a host ends the lock of a command that it cannot hear any more, and it must be free soon.
LOCK_SECONDS = 35.0
# A request in the air when a host ends is lost with it; its end shows within these seconds.
IN_FLIGHT = 3.0


@dataclass(frozen=True)
class Moment(Seeded):
    """What came of one moment. Times are in seconds.

    `at` is the time after the start of the upgrade; `ended` says that the command came to its end all the same.
    `locked` is how long the lock of the host was still held after the deed, or once it had its power again. `lost` are
    failed requests but those that were in flight at a host that ended or was cut off; `in_flight` are these. `busy` is
    the machine's load, in processes that run or want to, over the moment's last minute.
    """

    how: str
    victim: str
    at: float
    ended: bool
    locked: float
    converged: bool
    lost: int
    in_flight: int
    busy: float
    words: str = ""


def main() -> None:
    """Try the moments and print them; exit with 1 where one did not converge or lost a request."""
    moments = tried_moments((__doc__ or "").splitlines()[0], Moment, try_moments)
    print(table(moments))
    good = all(each.converged and not each.lost and each.locked <= LOCK_SECONDS for each in moments)
    sys.exit(not good)


def table(moments: Sequence[Moment]) -> str:
    """Return the figures: a line for each number of hosts and each way to end a command."""
    lines = [f"{'':24}moments  converged  lost  in flight  lock free after at most, s"]
    for hosts, how in sorted({(each.hosts, each.how) for each in moments}):
        some = [each for each in moments if (each.hosts, each.how) == (hosts, how)]
        lines.append(_row(f"{hosts} host{'s' * (hosts > 1)}, {WORDS[how]}", some))
    return "\n".join([*lines, _row("all", moments)])


def _row(name: str, moments: Sequence[Moment]) -> str:
    converged, lost = sum(each.converged for each in moments), sum(each.lost for each in moments)
    in_flight = sum(each.in_flight for each in moments)
    longest = max(each.locked for each in moments)
    return f"{name:24}{len(moments):7}{converged:11}{lost:6}{in_flight:11}{longest:29.1f}"


def try_moments(site: StubSite, seeds: Sequence[int], until: float) -> Iterator[Moment]:
    """Yield what came of the moments of the seeds that began before `until`; each begins where the former ended."""
    for version in VERSIONS:
        site.pin(version)
    site.lab.toolkit("deploy", "tiny@v1", "--yes", "--bake", "1", timeout=900)
    began = time.monotonic()
    site.lab.toolkit("deploy", "tiny@v2", "--yes", "--bake", "1", timeout=900)
    usual = time.monotonic() - began
    print(f"an upgrade takes {usual:.0f} s here", file=sys.stderr, flush=True)
    for turn, seed in enumerate(seeds):
        if turn and time.monotonic() > until:
            break
        yield try_moment(site, seed, usual, VERSIONS[turn % 2])


def try_moment(site: StubSite, seed: int, usual: float, wanted: str) -> Moment:
    """Cut the change to `wanted` short, and end it by one next command."""
    dice = random.Random(seed)
    how = dice.choice(list(WORDS))
    victim, at = dice.choice(site.lab.machines), dice.uniform(0.5, usual)
    load = site.load(site.lab.machines[0].name)
    try:
        # Without a standby each upgrade starts all replicas, as that to a new release does.
        words = ("deploy", f"tiny@{wanted}", "--yes", "--no-standby", "--bake", "1")
        argv, environment = site.lab.command(*words)
        with subprocess.Popen(
            argv,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as command:
            with suppress(subprocess.TimeoutExpired):
                command.wait(at)
            ended, deed = command.poll() == 0, time.time()
            do(how, victim, command)
            locked = 0.0 if how == "power" else seconds_until_free(victim)
            if how == "silent":
                with suppress(ProcessLookupError):
                    os.killpg(command.pid, signal.SIGKILL)
            command.wait(300)
        ended, back = ended or command.returncode == 0, time.time()
        mend(how, victim)
        locked = seconds_until_free(victim) if how == "power" else locked
        done = site.lab.toolkit(*words, check=False, timeout=900)
        serving = site.serving()
    finally:
        report = load.stop()
    reached = None if how in ("kill", "silent") else (deed, back, victim is site.lab.machines[0])
    in_flight = [each for each in report.bad if reached and _excused(each, *reached)]
    right = {machine.name: [wanted] for machine in site.lab.machines}
    converged = done.returncode == 0 and serving == right
    bad = len(report.bad) - len(in_flight)
    words_of_it = "" if converged else f"{serving} {done.stdout[-800:]}{done.stderr[-800:]}"
    lost = [each for each in report.bad if each not in in_flight]
    words_of_it += "; ".join(f"{each.detail} {each.ended_at - deed:+.1f} s" for each in lost[:5])
    return Moment(
        seed, len(site.lab.machines), how, victim.name, round(at, 1), ended, round(locked, 1), converged, bad,
        len(in_flight), round(os.getloadavg()[0], 1), words_of_it,
    )  # fmt: skip


def do(how: str, victim: Machine, command: subprocess.Popen[bytes]) -> None:
    """End the command, or silence it, or take a host's power or link."""
    if how == "kill":
        command.kill()
    elif how == "silent":
        with suppress(ProcessLookupError):
            os.killpg(command.pid, signal.SIGSTOP)
    elif how == "power":
        victim.power_off()
    else:
        victim.cut_link()


def mend(how: str, victim: Machine) -> None:
    """Give the host back what it lost."""
    if how == "power":
        victim.power_on()
    elif how == "link":
        victim.mend_link()


def seconds_until_free(victim: Machine) -> float:
    """Return how long the deployment lock of a host is held from now on; two minutes at most."""
    began = time.monotonic()
    while time.monotonic() - began < 120:
        words = ["flock", "--nonblock", f"{ROOT}/deployment.lock", "echo", "free"]
        if victim.run(*words, check=False).strip() == "free":
            break
        time.sleep(0.2)
    return time.monotonic() - began


def _excused(answer: Answer, deed: float, back: float, door: bool) -> bool:
    """Whether a failed request was in flight at the host when it ended, or knocked at its own door meanwhile.

    A host without power or link says no word, so a client may give up long after the host is back.
    """
    if door:
        meanwhile = answer.sent_at <= back or answer.ended_at <= back + 30
        return meanwhile and answer.ended_at >= deed - IN_FLIGHT
    return answer.sent_at <= deed + IN_FLIGHT and answer.ended_at >= deed


if __name__ == "__main__":
    main()
