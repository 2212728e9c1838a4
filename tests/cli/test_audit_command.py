"""What changing commands leave in the audit log, and what hosts know of it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from scripts.write_reference import contexts
from tests.cli.shell import Prompt
from tests.cli.test_json import Fleet
from toolkit.adapters.audit.log import AuditLog
from toolkit.adapters.fakes.behaviour import Behaviour
from toolkit.domain.trail.channel import RECORDED_COMMANDS
from toolkit.errors import HostError, ToolkitError


@pytest.fixture
def fleet(prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    return Fleet(prompt, monkeypatch, 2)


def log_of(fleet: Fleet) -> Path:
    return fleet.prompt.place / "home" / "audit" / "log.jsonl"


def records(fleet: Fleet) -> list[dict[str, Any]]:
    return [json.loads(line)["record"] for line in log_of(fleet).read_text().splitlines()]


def done(fleet: Fleet, line: str) -> dict[str, Any]:
    """Run a command; return its entry in the log."""
    assert fleet(line).code == 0, line
    found = fleet("audit list --limit 1").json()["entries"]
    assert found, line
    return dict(found[0])


def test_the_id_that_is_typed_for_more_is_whole_in_a_terminal_of_80_columns(fleet: Fleet) -> None:
    reason = " ".join(["a reason that is much longer than the terminal has columns"] * 5)
    assert fleet.prompt("deploy", "tiny@v1", "--yes", "--reason", reason).code == 0
    [entry] = fleet("audit list").json()["entries"]
    fleet.prompt.set("COLUMNS", 80)
    shown = fleet.prompt("audit", "list").out
    assert entry["id"] in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_a_deployment_leaves_who_what_why_which_plan_and_how_it_ended(fleet: Fleet) -> None:
    fleet.prompt.set("SSH_CONNECTION", "10.0.0.9 50000 10.0.0.1 22")
    entry = done(fleet, "deploy tiny@v1 --yes --reason ticket-4711")
    assert entry["reason"] == "ticket-4711"
    assert entry["who"]["client"] == "10.0.0.9"
    assert entry["words"][:2] == ["deploy", "tiny@v1"]
    assert {"plan", "registry", "lock"} <= set(entry["digests"])
    assert (entry["releases"], entry["outcome"]) == (["tiny@v1 #1"], "done")
    assert {name: each["outcome"] for name, each in entry["hosts"].items()} == {
        "gpu1": "live", "gpu2": "live",
    }  # fmt: skip
    assert len(entry["sequences"]) == 2
    said = fleet.prompt("audit", "show", entry["id"])
    assert "ticket-4711" in said.out
    # The gates of an upgrade, with what they found.
    entry = done(fleet, "upgrade tiny --yes")
    assert {each["host"] for each in entry["gates"]} == {"gpu1", "gpu2"}
    assert "shape" in {each["gate"] for each in entry["gates"]}
    assert fleet.prompt("audit", "show", entry["id"]).out.count("gate  ") == len(entry["gates"])


def test_hosts_get_the_intent_and_the_outcome(fleet: Fleet) -> None:
    done(fleet, "deploy tiny@v1 --yes")
    for host in fleet.world.hosts.values():
        assert [each.sequence for each in host.heads] == [1, 2]
    said = fleet("audit verify")
    assert (said.code, said.json()["confirmed"]) == (0, {"gpu1": 2, "gpu2": 2})


def test_a_release_that_fails_is_recorded_with_its_error(fleet: Fleet) -> None:
    done(fleet, "deploy tiny@v1 --yes")
    fleet.world.behave("v2", Behaviour.DIES_AT_START)
    assert fleet("upgrade tiny --yes").code == 8
    (entry,) = fleet("audit list --limit 1").json()["entries"]
    assert (entry["outcome"], entry["error"]["exit_code"]) == ("release-failed", 8)
    assert entry["hosts"]["gpu1"]["outcome"] == "failed"


def test_what_changes_nothing_is_not_recorded(fleet: Fleet) -> None:
    for line in (
        "deploy tiny@v1 --dry-run",
        "status",
        "plan tiny",
        "keys list",
        "provision --dry-run",
    ):
        fleet(line)
    assert not log_of(fleet).exists()
    done(fleet, "deploy tiny@v1 --yes")
    before = len(records(fleet))
    assert fleet("deploy tiny@v1 --yes").json()["changed"] is False
    assert len(records(fleet)) == before


def test_a_refusal_is_one_line(fleet: Fleet) -> None:
    fleet.world.see(memory=2**20, memory_available=2**20)
    assert fleet("deploy tiny@v1 --yes").code == 3
    assert [each["event"] for each in records(fleet)] == ["genesis", "refused"]
    (entry,) = fleet("audit").json()["entries"]
    assert (entry["outcome"], entry["error"]["kind"]) == ("refused", "does-not-fit")


ONE_AFTER_THE_OTHER = (
    "provision --yes --force", "keys add ann", "keys revoke ann", "keys open", "keys sync",
    "engine install 0.32.0 --yes", "registry pin tiny --as v3",
    "deploy tiny@v1 --yes", "upgrade tiny --to v2 --yes", "rollback tiny --yes",
    "repair --yes", "prune --yes", "hosts drain gpu1 --yes", "stop tiny --yes",
)  # fmt: skip


def test_every_changing_command_is_recorded(fleet: Fleet) -> None:
    for line in ONE_AFTER_THE_OTHER:
        if "repair" in line:
            fleet.world.see("gpu1", damaged=("router/keys.json",))
        if "prune" in line:
            facts = fleet.world.host.facts
            fleet.world.see("gpu1", snapshots=(*facts.snapshots, "f" * 64))
        before = len(records(fleet)) if log_of(fleet).exists() else 1
        said = fleet(f"{line} --reason why")
        assert said.code == 0, (line, said.err)
        added = records(fleet)[before:]
        assert [each["event"] for each in added] == ["begin", "end"], line
        begin, end = added
        assert line.startswith(begin["command"])
        assert (begin["event"], begin["reason"]) == ("begin", "why")
        assert (end["event"], end["outcome"], end["id"]) == ("end", "done", begin["id"])


# They write to the ops machine's store alone, or to a directory that a person names.
UNRECORDED = {"toolkit pull", "toolkit bundle create"}


def test_what_can_be_agreed_to_or_tried_dry_takes_a_reason() -> None:
    options = {each.command_path: {one.name for one in each.command.params} for each in contexts()}
    changing = {path for path, names in options.items() if names & {"yes", "dry_run"}}
    assert {path for path in changing if "reason" not in options[path]} == UNRECORDED


def test_the_page_on_the_audit_log_names_every_command_that_is_recorded() -> None:
    page = (Path(__file__).parents[2] / "docs" / "audit.md").read_text()
    named = page.partition("These commands are recorded")[2].partition(" A dry run is")[0]
    quoted = {" ".join(each.split()) for each in named.split("`")[1::2]} - {"--reason"}
    recorded = {
        each.command_path.partition(" ")[2]
        for each in contexts()
        if "reason" in {one.name for one in each.command.params}
    }
    assert quoted == (recorded - {"verify"}) | {"verify --repair"}
    assert recorded == RECORDED_COMMANDS


def test_no_secret_reaches_the_log(fleet: Fleet) -> None:
    key, token = "tk-" + "A" * 43, "hf_" + "b" * 34
    fleet("deploy tiny@v1 --yes --reason " + token)
    fleet(f"keys revoke {key}")
    said = fleet("keys add ann")
    text = log_of(fleet).read_text()
    for secret in (key, token, said.json()["key"]):
        assert secret not in text
    assert '"words":["keys","revoke","***"' in text


def test_an_interruption_is_an_outcome_and_a_kill_is_none(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def press(event: str) -> None:
        if event.startswith("wait"):
            raise KeyboardInterrupt

    fleet.world.before(press)
    assert fleet("deploy tiny@v1 --yes").code == 130
    fleet.world.go_on()
    (entry,) = fleet("audit").json()["entries"]
    assert entry["outcome"] == "interrupted"

    # SIGKILL: nothing of the command runs any more.
    monkeypatch.setattr("toolkit.workflows.trail.trail.CommandTrail.finish", lambda *_: None)
    assert fleet("deploy tiny@v1 --yes").code == 0
    monkeypatch.undo()
    fleet.prompt.set("TOOLKIT_HOME", fleet.prompt.place / "home")
    assert fleet("audit list --limit 1").json()["entries"][0]["outcome"] == "no outcome"


def test_a_tampered_log_is_named_with_the_line(fleet: Fleet) -> None:
    done(fleet, "deploy tiny@v1 --yes --reason honest")
    done(fleet, "upgrade tiny --yes")
    path = log_of(fleet)
    text = path.read_text()
    path.write_text(text.replace("honest", "forged"))
    said = fleet("audit verify")
    assert (said.code, [each["line"] for each in said.json()["faults"]]) == (6, [2])
    assert "toolkit audit verify" in fleet("audit").err

    path.write_text("".join(text.splitlines(keepends=True)[:3]))
    said = fleet.prompt("audit", "verify")
    assert said.code == 6
    assert "lines were cut off after sequence 2: they were seen by gpu1 up to 4" in said.err

    path.unlink()
    done(fleet, "upgrade tiny --to v1 --yes")
    said = fleet("audit verify")
    assert (said.code, len(said.json()["removed"])) == (6, 1)


def test_what_cannot_be_read_beside_the_log_is_named_and_the_rest_is_verified(
    fleet: Fleet,
) -> None:
    done(fleet, "deploy tiny@v1 --yes")
    log = log_of(fleet)
    whole = log.with_name("log.jsonl.z-whole")
    whole.write_bytes(log.read_bytes())
    assert fleet("audit verify").code == 0
    log.with_name("log.jsonl.linked").symlink_to(whole)
    said = fleet.prompt("audit", "verify")
    assert (said.code, said.err.count("put aside: ")) == (0, 2)
    log.with_name("log.jsonl.a").mkdir()
    os.mkfifo(log.with_name("log.jsonl.b"))
    log.with_name("log.jsonl.c").symlink_to(log.with_name("log.jsonl.c"))
    log.with_name("log.jsonl.d").symlink_to("nowhere")
    said = fleet.prompt("audit", "verify")
    assert said.code == 1
    assert "lines, and each follows the one before" in said.out
    assert f"put aside: {whole}, 3 lines, 0 faults" in said.err
    assert "gpu1 confirms it up to 2" in said.err
    for name, why in (
        ("a", "Is a directory"),
        ("b", "is no regular file"),
        ("c", "Too many levels of symbolic links"),
        ("d", "is a link to nothing"),
    ):
        assert f"\n  {log}.{name}: {why}" in said.err
    assert (
        f"move each away, or let the user of the commands read it: mv {log}.a ELSEWHERE" in said.err
    )
    found = fleet("audit verify")
    assert (found.code, found.json()["faults"]) == (1, [])
    assert [*found.json()["unread"]] == [f"{log}.{name}" for name in "abcd"]
    # A fault is said beside them, and counts for more.
    log.write_text(log.read_text().replace("tiny", "tidy"))
    said = fleet.prompt("audit", "verify")
    assert said.code == 6
    assert f"\n  {log}.b: is no regular file" in said.err


def test_verify_names_hosts_that_do_not_answer(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    done(fleet, "deploy tiny@v1 --yes --reason honest")

    def unreachable() -> Any:
        raise HostError("gpu2: it does not answer", hint="ping gpu2")

    monkeypatch.setattr(fleet.world.hosts["gpu2"], "audit_heads", unreachable)
    said = fleet("audit verify")
    assert (said.code, list(said.json()["unreachable"])) == (7, ["gpu2"])
    assert said.json()["confirmed"] == {"gpu1": 2}
    # So it does where the log has faults, too.
    path = log_of(fleet)
    path.write_text(path.read_text().replace("honest", "forged"))
    error = fleet("audit verify").json()["error"]
    assert (error["kind"], set(error["hosts"])) == ("integrity", {"gpu2"})
    assert error["message"].endswith("\nthese hosts were not checked:\n  gpu2: it does not answer")


def test_what_cannot_be_recorded_is_refused_before_it_changes_anything(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    done(fleet, "deploy tiny@v1 --yes")
    before = fleet.world.table()

    def full(_: AuditLog, record: Any) -> Any:
        raise ToolkitError("log.jsonl: No space left on device", hint="free space there")

    with monkeypatch.context() as patched:
        patched.setattr(AuditLog, "append", full)
        for line in ("upgrade tiny --yes", "keys add bob", "provision --force --yes"):
            said = fleet(line)
            assert (said.code, said.json()["error"]["hint"]) == (3, "free space there"), line
            assert "so nothing was changed" in said.json()["error"]["message"]
        assert fleet.world.table() == before
        assert fleet("keys list").json()["keys"] == []

        # A way to safety goes on, and says so.
        said = fleet("stop tiny --yes")
        assert said.code == 0
        assert "this command goes on; the next one that can write the log records it" in said.err
    fleet("keys sync")
    late = [each for each in records(fleet) if each.get("late")]
    assert [(each["event"], each["command"]) for each in late] == [
        ("begin", "stop"),
        ("end", "stop"),
    ]
    assert fleet("audit verify").code == 0


@pytest.mark.parametrize(
    ("words", "hint"),
    [(["list", "--since", "yesterday"], "--since 7d"), (["show", "nonsense"], "toolkit audit")],
)
def test_a_wrong_question_is_bad_input(prompt: Prompt, words: list[str], hint: str) -> None:
    said = prompt("audit", *words)
    assert said.code == 2
    assert hint in said.err


def test_without_a_log_there_is_nothing_to_show(prompt: Prompt) -> None:
    assert prompt("audit").out == "nothing is recorded\n"


def settings(fleet: Fleet, text: str) -> None:
    place = fleet.prompt.place / "home"
    place.mkdir(exist_ok=True)
    (place / "notify.yaml").write_text(text)


def test_a_notification_that_fails_fails_nothing_and_is_recorded(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolkit.workflows.trail.desk.PAUSES", ())
    settings(fleet, "channels: [{name: ops, webhook: 'http://127.0.0.1:1/s3cret'}]\n")
    entry = done(fleet, "deploy tiny@v1 --yes")
    (told,) = entry["told"]
    assert (told["where"], told["outcome"]) == ("ops", "kept")
    assert "s3cret" not in log_of(fleet).read_text()
    # The next command tries again, and a channel that is gone is given up.
    settings(fleet, "channels: []\n")
    entry = done(fleet, "keys add ann")
    assert [(each["outcome"], each["of"]) for each in entry["told"]] == [("given up", told["of"])]


def test_a_hook_refuses_a_deployment_and_no_rollback(fleet: Fleet) -> None:
    done(fleet, "deploy tiny@v1 --yes")
    done(fleet, "upgrade tiny --to v2 --yes")
    settings(fleet, "hooks: {before: {run: [/bin/false]}}\n")
    before = fleet.world.table()
    said = fleet("upgrade tiny --to v1 --yes")
    assert (said.code, said.json()["error"]["kind"]) == (3, "refused")
    assert "the hook /bin/false refused it" in said.json()["error"]["message"]
    assert fleet.world.table() == before
    assert done(fleet, "rollback tiny --yes")["outcome"] == "done"


def test_wrong_settings_stop_a_deployment_and_no_rollback(fleet: Fleet) -> None:
    done(fleet, "deploy tiny@v1 --yes")
    done(fleet, "upgrade tiny --to v2 --yes")
    settings(fleet, "channels:\n  - name: ops\n")
    said = fleet("upgrade tiny --to v1 --yes")
    assert said.code == 2
    assert "notify.yaml:2:5: channels needs exactly one of" in said.json()["error"]["message"]
    assert "warning: nobody is told" in fleet("rollback tiny --yes").err
