"""A whole unattended night on hosts in memory: from a directory with new files to the release that serves.

The upgrade that the run starts is the command itself, in this process.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.cli.shell import Prompt, Said
from tests.cli.test_json import Fleet
from tests.workflows.world import Killed, die_in_bake
from toolkit.adapters.fakes.behaviour import Behaviour
from toolkit.cli import main as command_line
from toolkit.cli.opening.schedule_desk import CommandDesk
from toolkit.config.registry.lock_file import read_lock
from toolkit.config.registry.reading import load_registry
from toolkit.domain.deployment.release import Outcome
from toolkit.domain.gates.verdict import Verdict
from toolkit.domain.hosts.facts import HostFacts
from toolkit.errors import HostError
from toolkit.workflows.schedule.desk import Ended

# They opened an hour ago, so that at no time of the day too little of them is left for an upgrade.
DAILY = time.strftime(
    "{days: [mon, tue, wed, thu, fri, sat, sun], from: %H:%M, for: 24h}",
    time.gmtime(time.time() - 3600),
)
SCHEDULE = f"""\
time_zone: UTC
windows:
  first: {DAILY}
  second: {DAILY}
models:
  tiny: {{policy: auto, windows: [first]}}
"""


class Unattended:
    """A fleet that serves tiny@v2, a model's directory with new files, and a run of the schedule."""

    def __init__(self, prompt: Prompt, patch: pytest.MonkeyPatch, count: int) -> None:
        self.prompt, self.patch = prompt, patch
        self.fleet = Fleet(prompt, patch, count)
        self.hosts = self.fleet.world.hosts
        patch.setattr(CommandDesk, "upgrade", self.upgrade)
        self.typed: list[list[str]] = []
        prompt.set("TOOLKIT_REGISTRY", prompt.place / "model_registry.yaml")
        (prompt.place / "schedule.yaml").write_text(SCHEDULE)
        assert self.fleet("deploy tiny --yes").code == 0
        config = prompt.place / "model" / "config.json"
        data = json.loads(config.read_text())
        config.write_text(json.dumps({**data, "max_position_embeddings": 2048}))
        self.new = self.fleet("update tiny --dry-run").json()["pinned"]["version"]

    def upgrade(self, model: str, version: str, reason: str, until: float, rollout: str) -> Ended:
        assert until > time.time()
        words = ["toolkit", "upgrade", model, "--to", version, "--yes", "--reason", reason]
        words += ["--unattended", "--rollout", rollout]
        self.typed.append(words)
        typed, sys.argv = sys.argv, words
        try:
            with pytest.raises(SystemExit) as ended:
                command_line.main()
        finally:
            sys.argv = typed
        return Ended(int(str(ended.value.code)), "as its output says")

    def run(self) -> Said:
        return self.prompt("schedule", "run")

    def serving(self) -> set[str]:
        found = self.fleet("status").json()["slots"]
        return {each["release"]["version"] for each in found if each["weight"]}

    def registry(self) -> str:
        return (self.prompt.place / "model_registry.yaml").read_text()


@pytest.fixture(params=[1, 3], ids=["one host", "three hosts"])
def night(
    request: pytest.FixtureRequest, prompt: Prompt, monkeypatch: pytest.MonkeyPatch
) -> Unattended:
    return Unattended(prompt, monkeypatch, request.param)


def test_new_files_serve_in_the_morning_and_are_the_newest_version(night: Unattended) -> None:
    said = night.run()
    assert said.code == 0, said.out + said.err
    assert night.serving() == {night.new}
    assert "candidate" not in night.registry()
    assert night.new in night.registry()
    # Whoever types the plain command later stays with it.
    assert "nothing to do" in night.prompt("deploy", "tiny", "--yes").out
    assert night.prompt("outdated", "--no-engines").code == 0
    assert "had its run at" in night.run().out
    assert len(night.typed) == 1


@pytest.fixture
def webhook(prompt: Prompt) -> Iterator[list[dict[str, Any]]]:
    """The events that a webhook got, to which the settings of the ops machine lead."""
    got: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/hook"
        (prompt.place / "notify.yaml").write_text(f"channels: [{{name: ops, webhook: '{url}'}}]\n")
        prompt.set("TOOLKIT_NOTIFY", prompt.place / "notify.yaml")
        yield got
        server.shutdown()


def leave_in_bake(night: Unattended) -> None:
    """Upgrade to a candidate, and kill the command in the bake."""
    assert night.prompt("update", "tiny").code == 0
    die_in_bake(night.hosts.values())
    with pytest.raises(Killed):
        night.prompt("upgrade", "tiny", "--to", night.new, "--serial", "3", "--keep", "0", "--yes")


@pytest.mark.parametrize("bad", [False, True], ids=["a good one", "a bad one"])
def test_a_night_is_told_to_a_webhook_with_its_verdict(
    prompt: Prompt, monkeypatch: pytest.MonkeyPatch, bad: bool, webhook: list[dict[str, Any]]
) -> None:
    night = Unattended(prompt, monkeypatch, 1)
    del webhook[:]
    if bad:
        night.fleet.world.judge(Verdict.FAILED, "it is slow")
    assert night.run().code == (8 if bad else 0)
    assert night.serving() == ({"v2"} if bad else {night.new})
    upgrade, run = webhook
    assert (upgrade["command"], run["command"]) == ("upgrade", "schedule run")
    assert upgrade["reason"] == "schedule, window first"
    assert upgrade["hosts"] == {"gpu1": "failed" if bad else "live"}
    assert ["gpu1", "bake", "failed" if bad else "passed"] in upgrade["gates"]
    assert run["outcome"] == ("release-failed" if bad else "done")


def test_a_version_that_fails_is_returned_and_no_later_window_tries_it(night: Unattended) -> None:
    night.fleet.world.behave(night.new, Behaviour.ERROR)
    said = night.run()
    assert said.code == 8, said.out + said.err
    assert night.serving() == {"v2"}
    assert "candidate: true" in night.registry()
    later = (night.prompt.place / "schedule.yaml").read_text().replace("[first]", "[second]")
    (night.prompt.place / "schedule.yaml").write_text(later)
    again = night.run()
    assert again.code == 10
    assert f"{night.new} failed before and is not tried again" in again.err
    assert len(night.typed) == 1
    # A person may.
    night.fleet.world.behave(night.new, Behaviour.GOOD)
    assert night.prompt("upgrade", "tiny", "--to", night.new, "--yes").code == 0


def test_a_candidate_that_serves_and_was_never_accepted_is_told(night: Unattended) -> None:
    assert night.prompt("update", "tiny").code == 0
    before = night.registry()
    assert night.prompt("upgrade", "tiny", "--to", night.new, "--yes").code == 0
    # As if the command had been killed just after the release went live.
    (night.prompt.place / "model_registry.yaml").write_text(before)
    said = night.prompt("outdated", "--no-engines")
    assert f"serves as a candidate: toolkit registry accept tiny@{night.new}" in said.out
    # The next command does not go back to the version before it.
    night.prompt("upgrade", "tiny", "--dry-run")
    assert (night.serving(), night.registry()) == ({night.new}, before)
    assert night.prompt("upgrade", "tiny", "--yes").code == 0
    assert night.serving() == {night.new}
    assert "candidate" not in night.registry()


@pytest.mark.parametrize("bad", [False, True], ids=["a good one", "a bad one"])
def test_a_candidate_whose_command_dies_in_its_bake_ends_as_its_guard_says(
    night: Unattended, bad: bool
) -> None:
    leave_in_bake(night)
    world = night.fleet.world
    world.go_on()
    if bad:
        world.judge(Verdict.FAILED, "it is slow")
    assert night.serving() == {night.new}
    # The plain command waits for the verdict; a good candidate serves on, and a bad one is not tried again.
    assert night.prompt("upgrade", "tiny", "--yes").code == 0
    assert night.serving() == ({"v2"} if bad else {night.new})
    assert ("candidate" in night.registry()) == bad


def test_a_trial_of_all_hosts_is_none_and_one_of_some_hosts_stays_a_candidate(
    night: Unattended,
) -> None:
    assert night.prompt("update", "tiny").code == 0
    names = list(night.hosts)
    for name in names:
        assert "candidate: true" in night.registry()
        trial = ("--to", night.new, "--host", name, "--yes")
        assert night.prompt("upgrade", "tiny", *trial).code == 0
    assert "candidate" not in night.registry()


def test_a_host_that_is_held_stops_the_run_before_the_upgrade(night: Unattended) -> None:
    first = next(iter(night.hosts.values()))
    with first.lock(night.fleet.world.command()[0].owner):
        said = night.run()
    assert said.code == 10
    assert "is held by" in said.err
    assert (night.typed, night.serving()) == ([], {"v2"})


def next_window(night: Unattended) -> Said:
    """Return what a run said in the next window."""
    path = night.prompt.place / "schedule.yaml"
    path.write_text(path.read_text().replace("[first]", "[second]"))
    return night.run()


@pytest.mark.parametrize("moment", ["place", "replica started", "complete", "routes", "follow"])
def test_the_next_run_ends_an_upgrade_with_which_the_last_one_was_killed(
    night: Unattended, moment: str
) -> None:
    """As by SIGKILL of its unit, or by a power cut."""
    first = night.hosts["gpu1"]

    def die(event: str) -> None:
        if event.startswith(moment):
            raise Killed

    first.before = die
    with pytest.raises(Killed):
        night.run()
    night.fleet.world.leave_alone()
    said = next_window(night)
    assert said.code == 0, said.out + said.err
    assert night.serving() == {night.new}
    begun_first = "which a run began, was cut short: it is ended first" in said.out
    # The guard of the only host ends its bake.
    assert begun_first or (moment, len(night.hosts)) == ("follow", 1)
    assert not night.fleet.world.unfinished()


def test_what_a_person_left_unfinished_stops_the_run(night: Unattended) -> None:
    assert night.prompt("update", "tiny").code == 0
    night.fleet.world.raise_at("complete tiny-green", Killed)
    with pytest.raises(Killed):
        night.prompt("upgrade", "tiny", "--to", night.new, "--yes")
    night.fleet.world.go_on()
    said = night.run()
    assert (said.code, night.typed) == (10, [])
    assert "unfinished: deployment" in said.err


def test_a_silent_host_stops_the_run(prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> None:
    night = Unattended(prompt, monkeypatch, 3)

    def silent() -> HostFacts:
        raise HostError("gpu3: it does not answer", hint="ping gpu3")

    monkeypatch.setattr(night.hosts["gpu3"], "observe", silent)
    said = night.run()
    assert said.code == 10
    assert "gpu3 is unreachable: it does not answer" in said.err
    assert night.typed == []


class WithAdapter(Unattended):
    """The same with an adapter of the model, in a directory that has newer weights; the schedule names it alone."""

    def __init__(self, prompt: Prompt, patch: pytest.MonkeyPatch, count: int) -> None:
        super().__init__(prompt, patch, count)
        (prompt.place / "schedule.yaml").write_text(SCHEDULE.replace("  tiny:", "  sql:"))
        registry = prompt.place / "model_registry.yaml"
        lines = "    adapters:\n      sql: {source: {path: ./sql}, revision: main}\n    versions:"
        registry.write_text(registry.read_text().replace("    versions:", lines))
        self.train(b"matrices" * 100)
        assert self.prompt("registry", "pin", "sql").code == 0
        assert self.fleet("deploy tiny --yes").code == 0
        self.train(b"better..." * 100)

    def train(self, weights: bytes) -> None:
        """Write the adapter's files."""
        place = self.prompt.place / "sql"
        place.mkdir(exist_ok=True)
        config = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "base_model_name_or_path": "tiny"}
        (place / "adapter_config.json").write_text(json.dumps(config))
        (place / "adapter_model.safetensors").write_bytes(weights)

    def adapters(self) -> set[str]:
        """Return the revisions of the adapter that serve."""
        found = self.fleet("status").json()["slots"]
        return {
            a["revision"] for each in found if each["weight"] for a in each["release"]["adapters"]
        }


def test_newer_weights_of_an_adapter_serve_in_the_morning(
    prompt: Prompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    night = WithAdapter(prompt, monkeypatch, 1)
    before = night.adapters()
    said = night.run()
    assert said.code == 0, said.out + said.err
    assert len(night.adapters()) == 1
    assert night.adapters() != before
    assert "sql: upgraded to v2-sql-" in said.out
    assert "candidate" not in night.registry()
    # No replica was started anew.
    last = night.fleet.world.history.deployments("tiny", 1)[0]
    assert {"adapt"} <= {step.kind for step in last.steps}
    assert "start" not in {step.kind for step in last.steps}


def test_an_adapter_that_answers_nothing_is_given_up(
    prompt: Prompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    night = WithAdapter(prompt, monkeypatch, 1)
    before = night.adapters()
    assert night.fleet("update sql").code == 0
    registry = prompt.place / "model_registry.yaml"
    (candidate,) = load_registry(registry).model("tiny").candidates
    pinned = read_lock(registry).snapshot_of(candidate.parts[1])
    night.hosts["gpu1"].adapters.mute.add(pinned.digest)
    said = night.run()
    assert said.code == 8, said.out + said.err
    assert night.adapters() == before
    later = (night.prompt.place / "schedule.yaml").read_text().replace("[first]", "[second]")
    (night.prompt.place / "schedule.yaml").write_text(later)
    again = night.run()
    assert again.code == 10
    assert "failed before and is not tried again" in again.err
    assert len(night.typed) == 1


@pytest.mark.parametrize("bad", [False, True], ids=["a good one", "a bad one"])
def test_a_run_records_the_verdict_of_a_bake_whose_command_was_killed(
    night: Unattended, bad: bool
) -> None:
    """Its guard has finished the bake alone: nothing is unfinished, and the next version follows."""
    leave_in_bake(night)
    if bad:
        night.fleet.world.judge(Verdict.FAILED, "it is slow")
    night.fleet.world.leave_alone()
    config = night.prompt.place / "model" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "vocab_size": 4096}))
    next_one = night.fleet("update tiny --dry-run").json()["pinned"]["version"]
    said = night.run()
    # What a guard has returned is for a person.
    assert said.code == (10 if bad else 0), said.out + said.err
    assert night.serving() == ({"v2"} if bad else {next_one})
    history = night.fleet.world.history
    first = [each for each in history.deployments("tiny") if each.release == 2]
    assert {each.outcome for each in first} == ({Outcome.RUNNING} if bad else {Outcome.LIVE})
    assert (history.failure("tiny", 2) is not None) == bad
