"""Kill the ops machine at seeded moments of a canary and a bake on real hosts, and let no command follow.

    python tests/bench/bench_lease.py [--seeds 0-9] [--hosts 3] [--budget 900] [--kept FILE]

At each moment, at a random time between the first share and the end of an upgrade, the toolkit's process is killed; or
it falls silent with all that it has started, as where its machine loses its power. Then the hosts alone must end it:
no share may stand for longer than the lease and five seconds, and each guard must come to its verdict. Hosts, routers
and changes are real; a stub stands in for vLLM. Clients ask the first host's router all the time. A moment costs about
a minute.

`--kept` names a file to which each moment is written as it ends, a line of JSON. Moments that it holds are not tried
again, so that many can be tried in several runs; the figures are of all that it holds.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.seeded import Seeded, tried_moments
from tests.fleet.machine import Machine
from tests.system.stub_site import ROOT, StubSite
from toolkit.adapters.hosts.heartbeat import SILENCE_SECONDS

VERSIONS = ("v1", "v2")
BAKE = 6.0
GUARD = (
    f"{{canary: [{{share: 20%, duration: 3s}}, {{share: 50%, duration: 3s}}], bake: {BAKE:.0f}s}}"
)
# What ends an interrupted upgrade before the next moment, and is no part of it.
AT_ONCE = "{bake: 1s}"
WORDS = {"kill": "killed", "power": "power lost"}
# The seconds for which a host holds the lock of an ops machine of which it hears nothing more.
LEASE = {"kill": 0.0, "power": SILENCE_SECONDS}
SPARE = 5.0
# A guard that suspects something watches on.
PATIENCE = 120.0


@dataclass(frozen=True)
class Moment(Seeded):
    """What came of one moment. Times are in seconds.

    `at` is the time after the first share; `ended` says that the command came to its end before. `phase` is the
    guard's on a host that watched then. `share` is for how long any host had a share, `verdict` after how long no guard
    was without one. `sound` says that each host serves what its guard decided, and none has a share. `serving` has each
    host's version.
    """

    how: str
    at: float
    ended: bool
    phase: str
    share: float
    verdict: float
    sound: bool
    serving: str
    lost: int
    words: str = ""

    @property
    def in_time(self) -> bool:
        """Whether no share stood for longer than it may."""
        return self.share <= LEASE[self.how] + SPARE


def main() -> None:
    """Try the moments and print them; exit with 1 where one was not in time, did not end well or lost a request."""
    moments = tried_moments((__doc__ or "").splitlines()[0], Moment, try_moments)
    print(table(moments))
    sys.exit(not all(each.sound and each.in_time and not each.lost for each in moments))


def table(moments: Sequence[Moment]) -> str:
    """Return the figures: a line for each number of hosts and each way to end the ops machine."""
    lines = [f"{'':22}moments  sound  share gone after at most, s  verdict after at most, s  lost"]
    for hosts, how in sorted({(each.hosts, each.how) for each in moments}):
        some = [each for each in moments if (each.hosts, each.how) == (hosts, how)]
        lines.append(
            f"{f'{hosts} hosts, {WORDS[how]}'.replace('1 hosts', '1 host'):22}{len(some):7}"
            f"{sum(each.sound for each in some):7}{max(each.share for each in some):29.1f}"
            f"{max(each.verdict for each in some):26.1f}{sum(each.lost for each in some):6}"
        )
    good = sum(each.sound and each.in_time and not each.lost for each in moments)
    met = "met" if good == len(moments) else "missed"
    lines.append(
        f"target: no share {SPARE:.0f} s after the lease (killed {LEASE['kill']:.0f} s, power lost "
        f"{LEASE['power']:.0f} s), none lost; {good} of {len(moments)}: {met}"
    )
    return "\n".join(lines)


def try_moments(site: StubSite, seeds: Sequence[int], until: float) -> Iterator[Moment]:
    """Yield what came of the moments of the seeds that began before `until`; each begins where the former ended."""
    for version in VERSIONS:
        site.pin(version)
    site.guard(AT_ONCE)
    site.lab.toolkit("deploy", "tiny@v1", "--yes", timeout=900)
    site.guard(GUARD)
    # To and fro, because the first upgrade starts replicas, and all others find them standing by.
    for version in reversed(VERSIONS):
        with upgrading(site, version) as command:
            began = time.monotonic()
            command.wait(300)
        usual = time.monotonic() - began
    print(f"an upgrade takes {usual:.0f} s from its first share on", file=sys.stderr, flush=True)
    for turn, seed in enumerate(seeds):
        if turn and time.monotonic() > until:
            break
        yield try_moment(site, seed, usual, VERSIONS[(turn + 1) % 2])


def try_moment(site: StubSite, seed: int, usual: float, wanted: str) -> Moment:
    """End the ops machine amid the change to `wanted`, and look what the hosts do with nobody there."""
    dice = random.Random(seed)
    how, at = dice.choice(["kill", "power"]), dice.uniform(0.0, usual)
    site.guard(GUARD)
    load = site.load(site.lab.machines[0].name)
    try:
        with upgrading(site, wanted) as command:
            with suppress(subprocess.TimeoutExpired):
                command.wait(at)
            ended = command.poll() is not None
            phase = ", ".join(sorted({phase_of(each) for each in site.lab.machines} - {""}))
            if not ended:
                os.killpg(command.pid, signal.SIGKILL if how == "kill" else signal.SIGSTOP)
            share, verdict = watched(site.lab.machines)
        found = {each.name: serving(each) for each in site.lab.machines}
        faults = [fault for each in site.lab.machines for fault in faults_of(each)]
    finally:
        report = load.stop()
    site.guard(AT_ONCE)
    site.lab.toolkit("deploy", f"tiny@{wanted}", "--yes", timeout=900)
    faults += [f"{each.detail} at {each.ended_at:.1f}" for each in report.bad[:5]]
    return Moment(
        seed, len(site.lab.machines), how, round(at, 1), ended, phase, round(share, 1), round(verdict, 1),
        not faults or len(faults) == len(report.bad[:5]), str(found), len(report.bad), "; ".join(faults),
    )  # fmt: skip


@contextmanager
def upgrading(site: StubSite, version: str) -> Iterator[subprocess.Popen[bytes]]:
    """Change to a version, and yield the command once a host has a share; what is left of it is killed in the end."""
    argv, environment = site.lab.command("deploy", f"tiny@{version}", "--yes")
    command = subprocess.Popen(
        argv,
        env=environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not any(map(shares, site.lab.machines)):
            if command.poll() is not None:
                raise RuntimeError(f"{argv} ended with {command.returncode} and gave no share")
            time.sleep(0.05)
        yield command
    finally:
        with suppress(ProcessLookupError):
            os.killpg(command.pid, signal.SIGKILL)
        command.wait()


def watched(machines: Sequence[Machine]) -> tuple[float, float]:
    """Return for how long any host has a share from now on, and after how long all guards have their verdict.

    Raises RuntimeError where that has no end.
    """
    began = time.monotonic()
    shared = 0.0
    while True:
        now = time.monotonic() - began
        if any(map(shares, machines)):
            shared = now
        elif now - shared > 1 and not any(map(lacks_verdict, machines)):
            return shared, now - 1
        if now > LEASE["power"] + BAKE + PATIENCE:
            raise RuntimeError(f"no end after {now:.0f} s: {[*map(order_of, machines)]}")
        time.sleep(0.1)


def shares(machine: Machine) -> bool:
    """Whether the host's own routes give a release a share."""
    return any(each.get("share") for each in targets(machine))


def lacks_verdict(machine: Machine) -> bool:
    """Whether a guard of the host has not come to the last verdict on its release."""
    order, found = order_of(machine), found_of(machine)
    if not order:
        return False
    same = (found.get("rollout"), found.get("number")) == (order["rollout"], order["number"])
    verdict = (found.get("verdict") or {}).get("verdict") if found.get("settled") else ""
    # A share that has passed is watched until its lease ends.
    last = verdict and (order["phase"] == "bake" or verdict != "passed")
    return not (last and (same or found.get("withdrawn")))


def faults_of(machine: Machine) -> Iterator[str]:
    """Yield in words where the host does not serve what its guard has decided."""
    order, found = order_of(machine), found_of(machine)
    slots = [each["slot"] for each in targets(machine) if each["weight"]]
    verdict = found.get("verdict") or {}
    if len(slots) != 1:
        yield f"{machine.name}: {slots} serve"
    elif order and verdict.get("verdict") == "failed":
        yield f"{machine.name}: a sound release failed: {verdict.get('reason')}"
    elif order and (slots == [order["slot"]]) is bool(found.get("withdrawn")):
        yield f"{machine.name}: {slots} serve, withdrawn: {found.get('withdrawn')}"


def serving(machine: Machine) -> str:
    """Return the version that the host's own part of the traffic goes to."""
    slot = next((each["slot"] for each in targets(machine) if each["weight"]), "")
    manifest = _json(machine, f"slots/tiny-{slot}/manifest.json")
    return str(manifest.get("release", {}).get("version", ""))


def targets(machine: Machine) -> list[dict[str, Any]]:
    """Return the host's own targets of the model, in its own routes."""
    routes = _json(machine, "router/routes.json")
    return [
        each
        for route in routes.get("routes", ())
        for each in route["targets"]
        if each.get("host", "") == routes.get("at", "")
    ]


def phase_of(machine: Machine) -> str:
    """Return the phase that the host's guard watches."""
    return str(order_of(machine).get("phase", "")) if lacks_verdict(machine) else ""


def order_of(machine: Machine) -> dict[str, Any]:
    """Return the order of the host's guard."""
    return _json(machine, "guard/tiny.json")


def found_of(machine: Machine) -> dict[str, Any]:
    """Return what the host's guard has found."""
    return _json(machine, "guard/tiny.found.json")


def _json(machine: Machine, path: str) -> dict[str, Any]:
    # Not by a command on the host, which takes longer than what is measured.
    with suppress(OSError, ValueError):
        found = json.loads(Path(f"/proc/{machine.pid}/root{ROOT}/{path}").read_text())
        return found if isinstance(found, dict) else {}
    return {}


if __name__ == "__main__":
    main()
