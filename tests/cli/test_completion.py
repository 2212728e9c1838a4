"""What the shell offers while a command is typed."""

from __future__ import annotations

import subprocess
from contextlib import closing
from pathlib import Path

import click
import pytest

from tests.cli.shell import Shell, start
from tests.workflows.world import release
from toolkit.adapters.history.glance import releases_in
from toolkit.cli.main import cli
from toolkit.cli.names import ARGUMENTS, FLAGS
from toolkit.config.glance import models_in

_CONTEXT = click.Context(cli)


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_completion_is_a_script(shell: Shell, name: str, tmp_path: Path) -> None:
    said = shell("completion", name)
    assert said.code == 0
    assert "_TOOLKIT_COMPLETE" in said.out
    if name == "bash":
        done = subprocess.run(["bash", "-n"], input=said.out, text=True, capture_output=True)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("toolkit de", ["deploy"]),
        ("toolkit re", ["releases", "repair", "registry"]),
        ("toolkit registry p", ["pin"]),
        ("toolkit deploy tiny --dry", ["--dry-run"]),
        ("toolkit logs tiny --slot g", ["green"]),
    ],
)
def test_completion_offers_what_there_is(shell: Shell, typed: str, offered: list[str]) -> None:
    words = {"_TOOLKIT_COMPLETE": "bash_complete", "COMP_WORDS": typed}
    shell.environment.update(words, COMP_CWORD=str(len(typed.split()) - 1))
    child = start(shell.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = child.communicate(timeout=30)
    assert err == ""
    assert [line.partition(",")[2] for line in out.splitlines()] == offered


def offers(shell: Shell, kind: str, typed: str) -> list[str]:
    """Return what `kind` of shell is told when `typed` stands before the cursor."""
    words = typed.split(" ")
    shell.environment.update(_TOOLKIT_COMPLETE=f"{kind}_complete", COMP_WORDS=typed.strip())
    last = words[-1] if kind == "fish" else str(len(words) - 1)
    shell.environment["COMP_CWORD"] = last
    child = start(shell.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = child.communicate(timeout=30)
    assert err == ""
    return out.splitlines()


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("toolkit deploy t", ["plain,tiny"]),
        ("toolkit deploy tiny @ h", ["plain,huge"]),
        ("toolkit deploy tiny @", ["plain,v1", "plain,bare", "plain,huge"]),
        ("toolkit upgrade tiny --to v", ["plain,v1"]),
        ("toolkit upgrade --yes --serial 2 t", ["plain,tiny"]),
        ("toolkit upgrade tiny --host l", ["plain,localhost"]),
        ("toolkit rollback tiny --to ", ["plain,2", "plain,1", "plain,v1"]),
        ("toolkit rollback other --to ", []),
        ("toolkit hosts drain l", ["plain,localhost"]),
        ("toolkit registry show ti", ["plain,tiny"]),
        ("toolkit status --registry mo", ["file,mo"]),
        ("toolkit outdated tiny t", ["plain,tiny"]),
        ("toolkit deploy x", []),
    ],
)
def test_names_are_offered(shell: Shell, typed: str, offered: list[str]) -> None:
    with closing(shell.history) as history:
        for number in (1, 2):
            history.add_release(release(number, "v1"))
    assert offers(shell, "bash", typed) == offered


def test_zsh_and_fish_are_offered_the_whole_word(shell: Shell) -> None:
    assert offers(shell, "zsh", "toolkit deploy tiny@h")[:2] == ["plain", "tiny@huge"]
    assert [line.partition("\t")[0] for line in offers(shell, "fish", "toolkit deploy tiny@h")][
        :2
    ] in (["plain,tiny@huge"], ["plain", "tiny@huge"])


def test_the_table_of_names_is_that_of_the_commands() -> None:
    flags: set[str] = set()
    first: dict[str, str | None] = {}

    def walk(command: click.Command, path: str) -> None:
        if isinstance(command, click.Group):
            for name in command.list_commands(_CONTEXT):
                below = command.get_command(_CONTEXT, name)
                assert below is not None
                walk(below, f"{path} {name}".strip())
        for each in command.params:
            if isinstance(each, click.Option) and each.is_flag:
                flags.update(each.opts, each.secondary_opts)
            elif isinstance(each, click.Argument):
                first.setdefault(path, each.name)

    walk(cli, "")
    # `--version` of `ask` takes a word; that of `toolkit` itself stands before every command.
    assert flags - {"--version"} == FLAGS - {"--help", "-h"}
    named = {path for path, name in first.items() if name in ("model", "models", "host", "hosts")}
    assert named | {"registry accept", "bundle load", "bundle show", "metrics setup"} == set(
        ARGUMENTS
    )


def test_completion_loads_no_library(shell: Shell) -> None:
    words = {
        "_TOOLKIT_COMPLETE": "bash_complete",
        "COMP_WORDS": "toolkit deploy t",
        "COMP_CWORD": "2",
    }
    shell.environment.update(words, PYTHONPROFILEIMPORTTIME="1")
    child = start(shell.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    _, err = child.communicate(timeout=30)
    loaded = {line.rpartition("|")[2].strip() for line in err.splitlines()}
    assert "toolkit.cli.names" in loaded
    assert not {"ruamel", "pydantic", "sqlite3", "toolkit.cli.deploy", "yaml"} & loaded


@pytest.mark.parametrize(
    ("text", "models"),
    [
        ("models:\n  a:\n    versions:\n      v1: {revision: x}\n  'b c':\n", {"a": ["v1"], "b c": []}),
        ("models: {a: {}}\n", {}),
        ("# models:\n#  a:\nother:\n  a:\n", {}),
        ("models:\n  a:\n    versions:\n      v1:\n        checks:\n          - x: 1\n", {"a": ["v1"]}),
        ("models:\n  a:\n    resources: {accelerators: [cpu]}\n    env:\n      versions: 1\n", {"a": []}),
        ("\x00\xff:::\n", {}),
    ],
)  # fmt: skip
def test_a_glance_at_a_registry(tmp_path: Path, text: str, models: dict[str, list[str]]) -> None:
    (tmp_path / "r.yaml").write_text(text)
    assert models_in(tmp_path / "r.yaml") == models
    assert models_in(tmp_path / "none.yaml") == {}


def test_a_glance_at_a_history_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "history.db").write_text("no history")
    assert releases_in(tmp_path / "history.db", "tiny") == []
    assert releases_in(tmp_path / "none.db", "tiny") == []
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("delpoy", "'deploy'"), ("stats", "'status'"), ("roolback", "'rollback'"), ("registry lsit", "'list'"),
        ("deploy --dry-rum", "--dry-run"),
    ],
)  # fmt: skip
def test_a_slip_of_the_keyboard_is_named(shell: Shell, words: str, meant: str) -> None:
    said = shell(*words.split())
    assert said.code == 2
    assert "Did you mean" in said.err
    assert meant in said.err
