"""What `toolkit top` shows: one frame for pipes and programs, and frame after frame on a terminal."""

from __future__ import annotations

import itertools
import os
import pty
import select
import signal
import subprocess
import termios
import time
from contextlib import suppress
from dataclasses import replace
from typing import Any

import click
import pytest

from tests.cli.shell import Prompt, Shell, start
from tests.cli.test_json import Fleet
from tests.cli.test_watch import cut_in_canary
from tests.workflows.world import release
from toolkit.cli.views.top import Frame, TopRow, frame_json, frame_lines, summary
from toolkit.domain.hosts.facts import FleetFacts, HostFacts, ProcessState, SlotFacts
from toolkit.domain.hosts.load import Histogram, HostSample, ReplicaCount, TargetCount
from toolkit.errors import HostError
from toolkit.planning.upkeep.load import NO_LOAD, Load
from toolkit.workflows.fleet import top as following
from toolkit.workflows.fleet.top import Follower


@pytest.fixture(params=[1, 3], ids=["one host", "three hosts"])
def fleet(request: pytest.FixtureRequest, prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    monkeypatch.setattr(following, "BETWEEN", 0.0)
    return Fleet(prompt, monkeypatch, request.param)


def busy(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every host answer 10 requests a second, and write 300 tokens a second, in the slot blue."""
    for host in fleet.world.hosts.values():
        seconds = [0.0]

        def sample(seconds: list[float] = seconds) -> HostSample:
            seconds[0] += 1.0
            now = seconds[0]
            spread = Histogram(((0.1, 10 * now), (0.2, 10 * now)), 0.5 * now, 10 * now)
            replica = ReplicaCount(
                "tiny", "blue", "1", True, 2.0, 1.0, 1000 * now, 300 * now, 0.25, spread
            )
            target = TargetCount(1, "tiny", "blue", int(10 * now), 0, 0, 4)
            return HostSample(now, now, "boot", True, (target,), (replica,))

        monkeypatch.setattr(host, "sample", sample)


def test_a_frame_has_hosts_models_and_replicas(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fleet.prompt("deploy", "tiny@v1", "--yes").code == 0
    busy(fleet, monkeypatch)
    count = fleet.world.count
    said = fleet.prompt("top", "--once")
    assert said.code == 0
    (model,) = [line.split() for line in said.out.splitlines() if line.startswith("tiny")]
    assert model == ["tiny", f"{10 * count}", "0", f"{4 * count}", f"{count}", "50", "ms", "95", "ms",
                     f"{1000 * count}", f"{300 * count}"]  # fmt: skip
    replicas = [line.split() for line in said.out.splitlines() if " blue " in line]
    assert [each[0] for each in replicas] == list(fleet.world.hosts)
    assert all(
        each[1:] == ["tiny", "blue", "#1", "v1", "serving", "100%", "10", "50", "ms", "300", "25%"]
        for each in replicas
    )
    document = fleet("top").json()
    assert document["models"][0]["requests_per_second"] == 10.0 * count
    assert document["replicas"][0]["first_token"] == {
        "number": 10.0, "mean": 0.05, "p50": 0.05, "p95": pytest.approx(0.095),
    }  # fmt: skip
    assert (document["seconds"], len(document["hosts"])) == (1.0, count)


def test_without_a_terminal_it_shows_one_frame_and_ends(fleet: Fleet) -> None:
    assert fleet.prompt("top").out == fleet.prompt("top", "--once").out
    assert "nothing is deployed" in fleet.prompt("top").out


def test_guards_and_deployments_under_way_are_shown(fleet: Fleet) -> None:
    cut_in_canary(fleet)
    said = fleet.prompt("top")
    name = next(iter(fleet.world.hosts))
    assert f"deployment: deploy tiny #2 on {name} by ann@ops: open" in said.out
    assert f"guard: tiny #2 (v2) on {name} is watched in" in said.out
    document = fleet("top").json()
    assert [each["release"] for each in document["deployments"]] == [2] * len(
        document["deployments"]
    )
    assert document["guards"][0]["release"] == 2


def test_a_host_that_is_away_is_named_and_the_others_are_shown(
    prompt: Prompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "BETWEEN", 0.0)
    fleet = Fleet(prompt, monkeypatch, 3)

    def away(*_: Any) -> Any:
        raise HostError("gpu2: it does not answer", hint="ping gpu2")

    monkeypatch.setattr(fleet.world.hosts["gpu2"], "sample", away)
    said = fleet.prompt("top")
    assert said.code == 7
    rows = {line.split()[0]: line for line in said.out.splitlines() if line.startswith("gpu")}
    assert rows["gpu2"].split()[1] == "unreachable"
    assert "it does not answer" in rows["gpu2"]
    assert rows["gpu3"].split()[1] == "up"
    answer = fleet("top")
    assert (answer.code, list(answer.json()["unreachable"])) == (7, ["gpu2"])
    assert list(answer.json()["hosts"]) == ["gpu1", "gpu3"]


def test_each_host_is_followed_at_its_own_pace(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts = list(fleet.world.hosts.values())
    silent = hosts[-1]

    def hang() -> Any:
        silent.interruption.sleep(600)
        raise AssertionError("an interruption ends the wait")

    monkeypatch.setattr(silent, "sample", hang)
    with Follower(hosts, 0.01, time.time, silent.interruption.begin) as follower:
        ends = time.monotonic() + 60
        while (
            time.monotonic() < ends
            and sum(map(_has_rates, follower.seen().values())) < len(hosts) - 1
        ):
            time.sleep(0.01)
        seen = follower.seen()
        assert seen[silent.name] is None
        assert all(_has_rates(seen[each.name]) for each in hosts[:-1])
    # Leaving it ends the wait.
    assert time.monotonic() < ends


def _has_rates(sight: following.HostView | None) -> bool:
    return sight is not None and sight.seconds > 0


def test_a_host_that_comes_back_begins_anew_and_says_since_when_it_was_away(
    prompt: Prompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Fleet(prompt, monkeypatch, 1).world.host
    real, fails = host.sample, [True]

    def sample() -> HostSample:
        if fails[0]:
            raise HostError(f"{host.name}: away")
        return real()

    monkeypatch.setattr(host, "sample", sample)
    ticks = itertools.count()
    with Follower([host], 0.005, lambda: float(next(ticks)), lambda: None) as follower:
        first = _until(lambda: follower.seen()[host.name])
        again = _until(lambda: (new := follower.seen()[host.name]) is not first and new)
        # All failures in a row have the time of the first.
        assert (again.error is not None, again.at) == (True, first.at)
        fails[0] = False
        back = _until(lambda: (new := follower.seen()[host.name]) and new.facts and new)
        assert back.error is None


def _until(found: Any) -> Any:
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        if value := found():
            return value
        time.sleep(0.002)
    raise AssertionError("it did not come in time")


SLOT = SlotFacts(
    "qwen-7b", "blue", 8100, release(1), process=ProcessState.RUNNING, healthy=True, weight=100
)
FACTS = HostFacts("gpu1", 0.0, memory=64 * 10**9, memory_available=12 * 10**9)
LOAD = Load(1234.4, 0.25, 8, 6.0, 2.0, 51_234.0, 410.0, 0.624, Histogram(((2.0, 4.0),), 6.0, 4.0))


@pytest.mark.parametrize("width", [80, 120, 200])
def test_a_frame_fits_its_width(width: int) -> None:
    errors = {
        "gpu2": HostError("gpu2: ssh: connect to host 10.0.0.2 port 22: No route to host\nand more")
    }
    frame = Frame(
        5.0,
        FleetFacts({"gpu1": FACTS}, errors, {"gpu1": "gpu1", "gpu2": "gpu2", "gpu3": "gpu3"}),
        (
            TopRow("gpu1", SLOT, LOAD),
            TopRow("gpu1", replace(SLOT, slot="green", weight=0), NO_LOAD),
        ),
        away={"gpu2": 35.0},
        waiting=("gpu3",),
    )
    lines = frame_lines(frame, width)
    assert max(map(len, lines)) <= width
    text = " ".join(" ".join(lines).split())
    for words in (
        "12 GB of 64 GB",
        "1234",
        "0.2",
        "51k",
        "410",
        "62%",
        "1.0 s",
        "standby",
        "waiting",
    ):
        assert words in text, words
    assert summary(frame) == "3 hosts, 1 away   1234 requests/s   410 tokens/s"
    assert [each["slot"] for each in frame_json(frame)["replicas"]] == ["blue", "green"]
    styled = frame_lines(frame, width, colours=True)
    assert [click.unstyle(line) for line in styled] == lines


class Terminal:
    """`toolkit top` on a terminal of its own."""

    def __init__(self, shell: Shell) -> None:
        self.own, theirs = pty.openpty()
        self.before = termios.tcgetattr(theirs)
        environment = {**shell.environment, "TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
        self.child = start(environment, "top", stdin=theirs, stdout=theirs, stderr=subprocess.PIPE)
        self.theirs, self.text = theirs, ""

    def until(self, words: str) -> None:
        ends = time.monotonic() + 60
        while words not in self.text:
            assert time.monotonic() < ends, self.text
            if select.select([self.own], [], [], 0.1)[0]:
                self.text += os.read(self.own, 65536).decode()

    def end(self) -> tuple[int, str]:
        _, err = self.child.communicate(timeout=60)
        with suppress(OSError):
            while select.select([self.own], [], [], 0)[0]:
                self.text += os.read(self.own, 65536).decode()
        after = termios.tcgetattr(self.theirs)
        os.close(self.own)
        os.close(self.theirs)
        # The terminal is as before: keys, cursor and screen.
        assert after == self.before
        assert self.text.endswith("\x1b[?25h\x1b[?1049l")
        return self.child.returncode, err


def test_a_terminal_shows_frame_after_frame_until_q(shell: Shell) -> None:
    terminal = Terminal(shell)
    terminal.until("nothing is deployed")
    terminal.text = ""
    terminal.until("nothing is deployed")
    os.write(terminal.own, b"xq")
    assert terminal.end() == (0, "")


def test_ctrl_c_leaves_the_terminal_as_it_was(shell: Shell) -> None:
    terminal = Terminal(shell)
    terminal.until("nothing is deployed")
    terminal.child.send_signal(signal.SIGINT)
    code, err = terminal.end()
    assert (code, "Traceback" in err) == (130, False)
