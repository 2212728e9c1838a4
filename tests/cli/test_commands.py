"""Every command as a person types it: what is said where, and how the process ends."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Iterator

import click
import pytest

from tests.cli.shell import REGISTRY, REVISION, Said, Shell
from toolkit.adapters.store.store import Store
from toolkit.cli.commands import show
from toolkit.cli.main import COMMANDS, cli
from toolkit.errors import (
    BusyError,
    HostError,
    IntegrityError,
    NothingSuitableError,
    RefusedError,
    ReleaseFailedError,
    SourceError,
    ToolkitError,
)


def all_commands() -> Iterator[tuple[str, ...]]:
    """Yield the words of every command and group."""
    yield ()
    for name in COMMANDS:
        yield (name,)
        command = cli.get_command(click.Context(cli), name)
        if isinstance(command, click.Group):
            yield from ((name, sub) for sub in command.commands)


@pytest.mark.parametrize("words", list(all_commands()), ids=" ".join)
def test_every_command_explains_itself(shell: Shell, words: tuple[str, ...]) -> None:
    long, short = shell(*words, "--help"), shell(*words, "-h")
    assert (long.code, long.err) == (0, "")
    assert long.out == short.out
    assert long.out.startswith(f"Usage: {' '.join(['toolkit', *words])} [OPTIONS]")
    # A sentence on what it does stands under the usage.
    assert re.fullmatch(r"  [A-Z].*[.)]", long.out.split("\n\n")[1], re.DOTALL)


@pytest.mark.parametrize("name", list(COMMANDS))
def test_the_help_in_the_list_is_the_commands_own(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert COMMANDS[name][1] == command.get_short_help_str(200)


@pytest.mark.parametrize(
    ("words", "usage"),
    [
        (["nonsense"], "No such command 'nonsense'."),
        (["--nonsense"], "No such option '--nonsense'"),
        (["deploy"], "Missing argument 'MODEL[@VERSION]'."),
        (["deploy", "tiny", "extra"], "Got unexpected extra argument (extra)"),
        (["deploy", "tiny", "--bake", "soon"], "'soon' is no number"),
        (["deploy", "tiny", "--bake", "-1"], "-1.0 is not in the range x>=0"),
        (["deploy", "tiny", "--wait", "soon"], "'soon' is no time; write it like 90s, 10min or 2h"),
        (["stop", "tiny", "--wait", "10"], "'10' is no time"),
        (["provision", "--wait", "25h"], "'25h' is not more than 0 and at most 24h"),
        (["prune", "--wait", "0s"], "'0s' is not more than 0"),
        (["logs", "tiny", "--slot", "red"], "'red' is not one of 'blue', 'green'"),
        (["completion", "ksh"], "'ksh' is not one of 'bash', 'zsh', 'fish'"),
        (["releases", "tiny", "--limit", "0"], "0 is not in the range x>=1"),
        (["pull"], "name a MODEL[@VERSION], or --all for every version"),
    ],
)
def test_a_wrong_command_line_is_exit_2(shell: Shell, words: list[str], usage: str) -> None:
    said = shell(*words)
    assert (said.code, said.out) == (2, "")
    assert usage in said.err
    as_json = shell(*words, "--json")
    assert (as_json.code, as_json.err) == (2, "")
    assert json.loads(as_json.out)["error"]["kind"] == "bad-input"
    assert shell.untouched()


# words, exit code, kind, message, hint
REFUSALS: list[tuple[list[str], int, str, str, str]] = [
    (["releases", "nope"], 2, "bad-input", "nope has no releases in this history",
     "toolkit registry list"),
    (["releases", "tinny"], 2, "bad-input", "tinny has no releases in this history", "did you mean tiny?"),
    (["releases", "tiny"], 2, "bad-input", "tiny has no releases in this history", "toolkit deploy tiny"),
    (["rollback", "nope"], 2, "bad-input", "nope is not deployed here", "toolkit registry list"),
    (["rollback", "tiny@v1"], 2, "bad-input", "tiny@v1 is not deployed here", "toolkit rollback tiny --to v1"),
    (["rollback", "nope", "--to", "3"], 2, "bad-input", "nope has no release 3",
     "toolkit registry list"),
    (["rollback", "nope", "--to", "0"], 2, "bad-input", "nope has no release 0",
     "toolkit registry list"),
    (["logs", "nope"], 2, "bad-input", "nope has no replica on localhost", "toolkit registry list"),
    (["requests", "tinny"], 2, "bad-input", "no model 'tinny' in the log", "did you mean tiny?"),
    (["stop", "nope", "--yes"], 2, "bad-input", "nope is not deployed on localhost",
     "toolkit registry list"),
    (["stop", "nope", "--dry-run"], 2, "bad-input", "nope is not deployed on localhost",
     "toolkit registry list"),
    (["deploy", "tinny"], 2, "bad-input", "no model 'tinny' in ", "did you mean tiny?"),
    (["deploy", "tiny@v2"], 2, "bad-input", "no version 'v2' of tiny", "did you mean v1?"),
    (["upgrade", "tiny", "--to", "v9"], 2, "bad-input", "no version 'v9' of tiny",
     "did you mean v1?"),
    (["upgrade", "tiny@v1"], 2, "bad-input", "upgrade takes a model, not 'tiny@v1'",
     "toolkit upgrade tiny --to v1"),
    (["upgrade", "tiny", "--to", "v1"], 2, "bad-input",
     "tiny is not deployed, so there is nothing to upgrade", "toolkit deploy tiny@v1"),
    (["deploy", "tiny@bare"], 2, "bad-input", "tiny@bare", "toolkit registry pin tiny"),
    (["deploy", "tiny@huge"], 3, "does-not-fit", "tiny@huge does not fit on localhost: it needs", ""),
    (["deploy", "tiny@v1"], 3, "refused", "not confirmed; nothing was changed",
     "add --yes to go ahead"),
    (["status", "--fleet", "none.yaml"], 2, "bad-input", "none.yaml", "name an inventory with --fleet"),
    (["deploy", "tiny", "--registry", "none.yaml"], 2, "bad-input", "none.yaml", ""),
    (["releases", "tiny", "--home", "model_registry.yaml"], 1, "failed", "history.db cannot be opened", ""),
    (["prune", "--registry", "none.yaml"], 2, "bad-input", "none.yaml", ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "code", "kind", "message", "hint"),
    REFUSALS,
    ids=[" ".join(case[0]) for case in REFUSALS],
)
def test_a_refusal_is_one_error_with_its_hint_and_exit_code(
    shell: Shell, words: list[str], code: int, kind: str, message: str, hint: str
) -> None:
    said = shell(*words)
    assert (said.code, said.out) == (code, "")
    errors = [line for line in said.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert message in said.err
    assert hint in said.err

    as_json = shell(*words, "--json")
    error = json.loads(as_json.out)["error"]
    assert (as_json.code, error["exit_code"], error["kind"]) == (code, code, kind)
    assert message in error["message"]
    assert hint in error["hint"]
    assert shell.untouched()


def test_a_log_that_goes_on_is_not_for_programs(shell: Shell) -> None:
    said = shell("logs", "tiny", "-f", "--json")
    error = json.loads(said.out)["error"]
    assert (said.code, error["hint"]) == (2, "toolkit logs tiny --json")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ToolkitError("x"), 1),
        (RefusedError("x"), 3),
        (NothingSuitableError("x"), 3),
        (BusyError("x"), 4),
        (SourceError("x"), 5),
        (IntegrityError("x"), 6),
        (HostError("x"), 7),
        (ReleaseFailedError("x"), 8),
    ],
)
def test_every_class_of_error_has_its_exit_code(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, error: ToolkitError, code: int
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(show, "open_history", fail)
    error.hint = "toolkit doctor"
    assert shell("releases", "x") == Said(code, "", "error: x\nhint: toolkit doctor\n")


@pytest.mark.parametrize(
    "words",
    [["deploy", "tiny"], ["upgrade", "tiny"], ["pull", "tiny"], ["registry", "list"], ["prune"]],
    ids=" ".join,
)
def test_a_broken_registry_is_one_message_with_its_place(shell: Shell, words: list[str]) -> None:
    shell.registry.write_text(REGISTRY.replace("licence: mit", "licence: [mit"))
    said = shell(*words)
    assert (said.code, said.out) == (2, "")
    assert re.match(rf"error: {shell.registry}:\d+:\d+: ", said.err)
    assert shell.untouched()


def test_a_branch_for_a_revision_is_refused_with_the_command_that_pins_it(shell: Shell) -> None:
    shell.registry.write_text(REGISTRY.replace(REVISION, "main"))
    said = shell("deploy", "tiny")
    assert said.code == 2
    assert f"{shell.registry}:12:" in said.err
    assert "toolkit registry pin tiny main" in said.err


def test_an_empty_host(shell: Shell) -> None:
    assert shell("status") == Said(0, "nothing is deployed\n", "")
    assert shell("status", "tiny") == Said(0, "tiny is not deployed\n", "")
    seen = json.loads(shell("status", "--json").out)
    assert (seen["slots"], seen["unreachable"], seen["unfinished"]) == ([], {}, [])
    host = seen["hosts"]["localhost"]
    assert (host["name"], host["converged"], host["held_by"]) == ("localhost", "", None)
    assert shell("verify") == Said(0, "no snapshots on the host or in the store\n", "")
    assert shell("prune").out == "nothing to remove: everything is in use or recent\n"
    assert shell.untouched()


def test_a_dry_run_shows_the_plan_and_changes_nothing(shell: Shell) -> None:
    said = shell("deploy", "tiny@v1", "--dry-run")
    assert (said.code, said.out) == (0, "dry run: nothing was changed\n")
    lines = said.err.splitlines()
    assert lines[:3] == [
        "Nothing serves tiny there now; #1 (v1) does, once it has passed its checks.",
        "deploy tiny #1 (v1)",
        "  strategy side-by-side, expected downtime 0 s",
    ]
    kinds = [line.split()[1] for line in lines[3:]]
    wanted = [
        "provision",
        "fetch",
        "install-engine",
        "verify",
        "distribute",
        "start",
        "gate",
        "shift",
    ]
    assert kinds == wanted

    as_json = shell("deploy", "tiny@v1", "--dry-run", "--json")
    document = json.loads(as_json.out)
    assert (as_json.code, as_json.err, document["dry_run"]) == (0, "", True)
    assert [step["kind"] for step in document["plan"]["hosts"]["localhost"]["steps"]] == wanted
    assert shell.untouched()


def test_without_a_terminal_nobody_is_asked(shell: Shell) -> None:
    said = shell("deploy", "tiny@v1")
    assert said.code == 3
    assert "not a terminal, so nobody can be asked\n" in said.err
    history = shell.history
    assert history.deployments("tiny") == []
    history.close()


@pytest.mark.parametrize(
    "line",
    [
        "status --fleet",
        "deploy tiny --fleet",
        "keys list --fleet",
        "hosts drain gpu1 --home",
        "usage --key",
        "deploy tiny --host gpu1 --host",
        "report --since",
    ],
)
def test_an_option_with_nothing_is_refused(shell: Shell, line: str) -> None:
    *words, option = line.split()
    for _ in range(2):
        said = shell(*words, option, "")
        assert (said.code, said.out) == (2, "")
        assert f"Invalid value for '{option}': it is empty." in said.err


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("status", "[MODEL]"),
        ("requests", "[MODEL]"),
        ("registry pin tiny", "[REF]"),
        ("bundle create tiny", "MODEL[@VERSION]..."),
        ("outdated", "[MODEL]..."),
        ("ask tiny", "PROMPT"),
    ],
)
def test_an_argument_with_nothing_is_refused(shell: Shell, line: str, name: str) -> None:
    said = shell(*line.split(), "")
    assert (said.code, said.out) == (2, "")
    assert f"Invalid value for '{name}': it is empty." in said.err


@pytest.mark.parametrize("line", ["deploy tiny@ --yes", "pull tiny@", "registry show tiny@"])
def test_a_version_without_a_name_is_not_the_newest(shell: Shell, line: str) -> None:
    said = shell(*line.split())
    assert (said.code, said.out) == (2, "")
    assert "error: 'tiny@' names no version" in said.err
    assert "hint: tiny is the newest; known: v1, bare, huge" in said.err
    assert shell.untouched()


@pytest.mark.parametrize("words", [("prune", "--yes"), ("prune", "--yes", "--json")])
def test_what_the_system_refuses_is_an_error_with_a_hint(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    def refuse(_: Store) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", "/srv/store")

    monkeypatch.setattr(Store, "sweep", refuse)
    said = shell(*words)
    shown = said.out if "--json" in words else said.err
    assert said.code == 1
    assert "the system of this machine refused something at /srv/store: Permission denied" in shown
    assert "toolkit doctor" in shown


ENDLESS = "5" * 5000


@pytest.mark.parametrize("form", ["", "--json"])
@pytest.mark.parametrize(
    "line",
    [
        "plan tiny --keep X", "plan tiny --serial X", "plan X", "deploy tiny --send-limit X",
        "deploy tiny --wait X", "deploy tiny --turn-off X", "diff tiny --host X",
        "audit list --since X", "usage --since X", "bom tiny@v1 --at X", "bom tiny@v1 --engine X",
        "engine lock X --accelerator cpu", "rollback tiny --to X",
        "plan tiny --registry X", "status --fleet X", "config --home X", "meter --readings X", "X",
        "registry X", "status --X",
    ],
)  # fmt: skip
def test_an_endless_value_is_quoted_in_part(shell: Shell, line: str, form: str) -> None:
    said = shell(*line.replace("X", ENDLESS).split(), *form.split())
    assert said.code == 2, said
    assert len(said.err + said.out) < 1000
    assert "5" * 30 in (said.out if form else said.err)


def test_an_endless_size_of_the_registry_is_quoted_in_part(shell: Shell) -> None:
    shell.registry.write_text(shell.registry.read_text().replace("1GiB", ENDLESS))
    for words in (("registry", "check"), ("plan", "tiny"), ("registry", "check", "--json")):
        said = shell(*words)
        assert said.code == 2
        assert len(said.err + said.out) < 1000 and "is not a size" in said.err + said.out


def test_an_empty_variable_counts_as_none(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOOLKIT_FLEET", "")
    assert shell("status").code == 0
