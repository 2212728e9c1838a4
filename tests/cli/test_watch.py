"""`toolkit watch`, `promote`, `abort`, and what `status` shows and records of a release under a guard."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.cli.shell import Prompt
from tests.cli.test_json import UNDER_GUARD, Fleet
from tests.workflows.guarding import GUARDED, cut_in_bake, each_serves, gates
from tests.workflows.world import GB, Killed, die_in_bake, release
from toolkit.adapters.fakes.behaviour import Behaviour
from toolkit.cli.commands import watch as watch_command
from toolkit.domain.gates.guard import Guard
from toolkit.domain.gates.verdict import Verdict
from toolkit.errors import HostError
from toolkit.planning.change.rollout import Limits


@pytest.fixture(params=[1, 3], ids=["one host", "three hosts"])
def fleet(request: pytest.FixtureRequest, prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    found = Fleet(prompt, monkeypatch, request.param)
    found.world.guard = Guard(bake=600)
    return found


def cut_in_canary(fleet: Fleet) -> None:
    """Deploy release 1, and release 2 up to its first share, where the command is killed."""
    fleet.world.guard = GUARDED
    fleet.world.deploy(release(1))
    fleet.world.raise_at("follow guard tiny", Killed)
    with pytest.raises(Killed):
        fleet.world.deploy(release(2))
    fleet.world.go_on()


def test_status_shows_the_phase_the_share_and_the_verdict(fleet: Fleet) -> None:
    cut_in_canary(fleet)
    name = next(iter(fleet.world.hosts))
    said = fleet.prompt("status")
    share = {1: ("1 %", "1%", 0.01), 3: ("0.33 %", "0.33%", 0.0033)}[fleet.world.count]
    words = f"guard: tiny #2 (v2) on {name} is watched in {share[0]}, for 5.0 s more"
    assert words in said.err
    assert "its guard goes on by itself" in said.out
    rows = [line.split() for line in said.out.splitlines() if "green" in line]
    assert rows[0][-6:-4] == ["canary", share[1]]
    (guard,) = fleet("status").json()["guards"]
    assert (guard["phase"], guard["share"], guard["verdict"]) == ("share", share[2], None)
    fleet.world.leave_alone()
    words = fleet.prompt("status").err
    assert (
        f"guard: tiny #2 (v2) on {name}: canary could not tell; it gave the traffic back" in words
    )
    # It did not fail; the next change empties its slot.
    assert gates(fleet.world) >= {(2, "canary", "could not tell")}
    assert fleet.world.history.failure("tiny", 2) is None


def test_status_records_a_bake_that_ended_without_its_command(fleet: Fleet) -> None:
    fleet.world.limits = Limits(serial=3, keep=0)
    cut_in_bake(fleet.world)
    assert {each["phase"] for each in fleet("status").json()["guards"]} == {"bake"}
    assert fleet.world.unfinished() == {2}
    fleet.world.leave_alone()
    document = fleet("status").json()
    assert (document["unfinished"], document["guards"]) == ([], [])
    assert fleet.world.outcomes()[-1] == ("deploy", 2, "live")
    assert (2, "bake", "passed") in gates(fleet.world)
    assert all(each.opened is None for each in fleet.world.hosts.values())
    # The audit log has it once for each host, however often a person looks.
    assert fleet("status").code == 0
    log = (fleet.prompt.place / "home" / "audit" / "log.jsonl").read_text()
    found = [line for line in log.splitlines() if '"found"' in line]
    assert len(found) == fleet.world.count, log


def test_status_records_a_bake_that_failed_and_leaves_the_rest_to_the_next_change(
    fleet: Fleet,
) -> None:
    cut_in_bake(fleet.world)
    fleet.world.judge(Verdict.FAILED, "it is slow")
    fleet.world.leave_alone()
    said = fleet.prompt("status")
    assert "bake failed; it gave the traffic back: it is slow" in said.err
    record = fleet.world.history.failure("tiny", 2)
    assert record is not None
    assert record.result.reason == "it is slow"
    assert fleet.world.unfinished() == {2}
    fleet.world.deploy(release(1))
    assert fleet.world.outcomes()[-1] == ("deploy", 2, "failed")


def test_a_person_ends_a_bake_either_way(fleet: Fleet) -> None:
    fleet.world.limits = Limits(serial=3, keep=0)
    cut_in_bake(fleet.world)
    name = fleet.world.host.name
    assert fleet("watch tiny --once").json()["guards"][0]["verdict"] is None
    said = fleet("promote tiny")
    assert said.json()["hosts"][name] is True
    assert fleet.prompt("watch", "tiny").code == 0
    assert fleet("status").json()["unfinished"] == []
    cut = fleet.world.history.deployments("tiny")[0]
    assert (cut.release, cut.outcome) == (2, "live")


def test_an_abort_returns_the_release_and_watch_says_so(fleet: Fleet) -> None:
    cut_in_bake(fleet.world)
    assert fleet.prompt("abort", "tiny", "--reason", "it is ugly").out.splitlines()[0] == (
        f"{fleet.world.host.name}: tiny gives its traffic back where another replica can take it"
    )
    said = fleet.prompt("watch", "tiny")
    assert said.code == 8
    assert "tiny #2 (v2) was returned on gpu1: aborted by " in said.err
    assert all(len(line) <= 80 for line in said.out.splitlines())
    lines = fleet("watch tiny")
    assert lines.code == 8
    first = json.loads(lines.out.splitlines()[0])
    assert first["guards"][0]["withdrawn"].startswith("aborted by ")
    assert fleet.world.history.failure("tiny", 2) is None
    fleet("status")
    assert fleet.world.history.failure("tiny", 2) is not None


def test_a_release_that_failed_and_has_nothing_beside_it_is_not_live(
    prompt: Prompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = Fleet(prompt, monkeypatch, 1)
    fleet.world.guard = Guard(bake=600)
    # Two of them do not fit on a host at once.
    fleet.world.deploy(release(1, memory=15 * GB))
    die_in_bake(fleet.world.hosts.values())
    with pytest.raises(Killed):
        fleet.world.deploy(release(2, memory=15 * GB))
    fleet.world.go_on()
    fleet.world.judge(Verdict.FAILED, "it is slow")
    fleet.world.leave_alone()
    (guard,) = fleet.world.host.observe().guards
    assert (guard.must_go, guard.withdrawn, each_serves(fleet.world)) == (True, "", {"v2"})
    said = fleet.prompt("watch", "tiny")
    assert said.code == 8
    words = "tiny #2 (v2) failed on gpu1, and no other replica can take its traffic: it is slow"
    assert words in said.remarks
    # The next change restores what served before.
    fleet.world.deploy(release(1, memory=15 * GB))
    assert each_serves(fleet.world) == {"v1"}
    assert fleet.world.outcomes()[-1] == ("deploy", 2, "failed")


@pytest.mark.parametrize("cut", [cut_in_canary, lambda fleet: cut_in_bake(fleet.world)])
def test_a_watch_whose_reader_is_gone_ends_and_says_nothing_of_the_release(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, cut: Callable[[Fleet], None]
) -> None:
    """As with `| head -1`."""
    cut(fleet)
    monkeypatch.setattr(watch_command, "output_is_lost", lambda: True)
    said = fleet.prompt("watch", "tiny")
    assert (said.code, said.err) == (0, "")


@pytest.mark.parametrize("wanted", ["promote", "abort"])
def test_a_guard_that_has_come_to_its_verdict_hears_nobody(fleet: Fleet, wanted: str) -> None:
    cut_in_bake(fleet.world)
    fleet.world.leave_alone()
    before = gates(fleet.world), each_serves(fleet.world)
    said = fleet(f"{wanted} tiny")
    assert (said.code, said.json()["error"]["kind"]) == (2, "bad-input")
    assert said.json()["error"]["message"] == (
        "no guard watches tiny any more: it has come to its verdict"
    )
    assert "toolkit rollback tiny" in said.json()["error"]["hint"]
    assert (gates(fleet.world), each_serves(fleet.world)) == before


@pytest.mark.parametrize("line", UNDER_GUARD)
def test_where_no_guard_watches_there_is_nothing_to_decide(fleet: Fleet, line: str) -> None:
    fleet.world.deploy(release(1))
    said = fleet(line)
    assert (said.code, said.json()["error"]["kind"]) == (2, "bad-input")
    assert said.json()["error"]["message"] == "no guard watches tiny"


def test_an_unattended_command_leaves_a_failed_release_alone(fleet: Fleet) -> None:
    fleet.world.guard = None
    assert fleet.prompt("deploy", "tiny@v1", "--yes").code == 0
    fleet.world.behave("v2", Behaviour.DIES_AT_START)
    assert fleet.prompt("upgrade", "tiny", "--yes").code == 8
    said = fleet("upgrade tiny --yes --unattended")
    assert (said.code, said.json()["error"]["kind"]) == (3, "refused")
    assert "failed its start on gpu" in said.json()["error"]["message"]
    fleet.world.behave("v2", Behaviour.GOOD)
    again = fleet.prompt("upgrade", "tiny", "--yes")
    assert again.code == 0
    assert "note: tiny #2 (v2) failed its start on gpu" in again.err


def dies(fleet: Fleet, name: str, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    """Let a host answer nothing any more from a moment on: `observe`, or what a guard is asked."""

    def silent(*_: object) -> None:
        raise HostError(f"{name}: it does not answer", hint=f"ping {name}")

    monkeypatch.setattr(fleet.world.hosts[name], moment, silent)


def test_a_host_that_falls_silent_while_it_is_watched_is_not_called_live(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.world.limits = Limits(serial=3, keep=0)
    cut_in_bake(fleet.world)
    name = fleet.world.host.name
    looks: list[float] = []

    def pause(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 1:
            dies(fleet, name, monkeypatch, "observe")
        if len(looks) == 2:
            fleet.world.leave_alone()

    monkeypatch.setattr(watch_command.time, "sleep", pause)
    said = fleet.prompt("watch", "tiny")
    assert said.code == 7
    assert "it does not answer" in said.remarks
    assert "what became of tiny there is not known" in said.remarks
    # The others are watched to their end, and it is said once that the host is silent.
    assert len(looks) == (1 if fleet.world.count == 1 else 2)
    assert said.err.count(f"{name} does not answer") == min(1, fleet.world.count - 1)
    assert said.out.count(f"\n{name}  ") == len(looks) + 1


def test_a_host_that_dies_while_it_is_told_hides_no_other_that_took_it(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.world.limits = Limits(serial=3, keep=0)
    cut_in_bake(fleet.world)
    name = fleet.world.host.name
    dies(fleet, name, monkeypatch, "guard_wish")
    said = fleet.prompt("promote", "tiny")
    assert said.code == 7
    heard = ", ".join(each for each in fleet.world.hosts if each != name) or "no host"
    assert f"{heard} took it" in said.remarks
