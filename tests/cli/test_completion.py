"""What the shell offers while a command is typed."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from contextlib import closing
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

from tests.cli.shell import Prompt, Shell, start
from tests.cli.test_json import Fleet
from tests.workflows.world import release
from toolkit.adapters.history.glance import releases_in
from toolkit.cli.completion import names
from toolkit.cli.completion.names import ARGUMENTS, items_for
from toolkit.cli.main import cli
from toolkit.config.completion import known_names
from toolkit.config.completion.glance import models_in

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
        ("toolkit re", ["report", "releases", "requests", "repair", "registry"]),
        ("toolkit registry p", ["pin"]),
        ("toolkit deploy tiny --dry", ["--dry-run"]),
        ("toolkit logs tiny --slot g", ["green"]),
        ("toolkit audit verify --js", ["--json"]),
        ("toolkit audit v", ["verify"]),
    ],
)
def test_completion_offers_what_there_is(shell: Shell, typed: str, offered: list[str]) -> None:
    words = {"_TOOLKIT_COMPLETE": "bash_complete", "COMP_WORDS": typed}
    shell.environment.update(words, COMP_CWORD=str(len(typed.split()) - 1))
    child = start(shell.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = child.communicate(timeout=60)
    assert err == ""
    assert [line.partition(",")[2] for line in out.splitlines()] == offered


def offers(shell: Prompt, kind: str, typed: str) -> list[str]:
    """Return what `kind` of shell is told when `typed` stands before the cursor."""
    words = typed.split(" ")
    shell.environment.update(_TOOLKIT_COMPLETE=f"{kind}_complete", COMP_WORDS=typed.strip())
    last = words[-1] if kind == "fish" else str(len(words) - 1)
    shell.environment["COMP_CWORD"] = last
    child = start(shell.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = child.communicate(timeout=60)
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
        ("toolkit usage --model ti", ["plain,tiny"]),
        ("toolkit audit list --model ti", ["plain,tiny"]),
        ("toolkit status --registry mo", ["file,mo"]),
        ("toolkit outdated tiny t", ["plain,tiny"]),
        ("toolkit gate t", ["plain,tiny"]),
        ("toolkit gate r", ["plain,record", "plain,run"]),
        ("toolkit gate tiny @ h", ["plain,huge"]),
        ("toolkit gate tiny --dry", ["plain,--dry-run"]),
        ("toolkit gate tiny --yes --host l", ["plain,localhost"]),
        ("toolkit sleep tiny --not-in-turn-with t", ["plain,tiny"]),
        ("toolkit schedule install --to un", ["dir,un"]),
        # bash makes three words of --host=localhost, unless its user has taken `=` out of COMP_WORDBREAKS
        ("toolkit deploy tiny --host =", ["plain,localhost"]),
        ("toolkit deploy tiny --host = l", ["plain,localhost"]),
        ("toolkit deploy tiny --host=l", ["plain,--host=localhost"]),
        ("toolkit upgrade --host = localhost t", ["plain,tiny"]),
        ("toolkit deploy --host = localhost tiny @ h", ["plain,huge"]),
        ("toolkit deploy --registry = none.yaml t", []),
        ("toolkit status --registry = mo", ["file,mo"]),
        ("toolkit logs tiny --slot = g", ["plain,green"]),
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


@pytest.mark.parametrize("kind", ["zsh", "fish"])
def test_zsh_and_fish_are_offered_an_option_with_its_value(shell: Shell, kind: str) -> None:
    assert spoken(offers(shell, kind, "toolkit deploy tiny --host=l")) == ["--host=localhost"]


# What an option takes, by the word for it in the help.
KINDS = {
    "HOST": names.Name.HOST,
    "FILE": names.Name.FILE,
    "DIR": names.Name.DIRECTORY,
    "MODEL": names.Name.MODEL,
    "OTHER": names.Name.MODEL,
    "KEY": names.Name.KEY,
}


def test_the_table_of_names_is_that_of_the_commands() -> None:
    flags: dict[str, set[str]] = {}
    first: dict[str, str | None] = {}
    valued: list[tuple[str, click.Option]] = []

    def walk(command: click.Command, path: str) -> None:
        if isinstance(command, click.Group):
            for name in command.list_commands(_CONTEXT):
                below = command.get_command(_CONTEXT, name)
                assert below is not None
                walk(below, f"{path} {name}".strip())
        flags[path] = set()
        for each in command.params:
            if isinstance(each, click.Option) and each.is_flag:
                flags[path].update(each.opts, each.secondary_opts)
            elif isinstance(each, click.Option):
                valued.append((path, each))
            elif isinstance(each, click.Argument):
                first.setdefault(path, each.name)

    walk(cli, "")
    # The words that say which option takes the word after it: `--version` of `ask` does, that of `toolkit` does not.
    words = json.loads((Path(names.__file__).parent / "words.json").read_text())
    assert flags == {path: set(said["flags"]) - {"--help", "-h"} for path, said in words.items()}
    for path, option in valued:
        kind = names._OPTIONS.get(f"{path} {option.opts[0]}") or names._OPTIONS.get(option.opts[0])
        if option.metavar in KINDS:
            assert (kind, path) == (KINDS[option.metavar], path), option.opts
    named = {path for path, name in first.items() if name in ("model", "models", "host", "hosts")}
    others = {"bundle load", "bundle show", "metrics setup", "keys revoke"}
    assert named | others == set(ARGUMENTS)


INI = "[gpus]\n" + "".join(f"gpu{each} ansible_host=10.0.0.{each}\n" for each in (1, 2, 3))
SCRIPT = """\
#!/bin/sh
touch "$0.ran"
echo '{"gpus": {"hosts": ["gpu1", "gpu2", "gpu3"]}, "_meta": {"hostvars": {"gpu1": {"ansible_host": "10.0.0.1"},
  "gpu2": {"ansible_host": "10.0.0.2"}, "gpu3": {"ansible_host": "10.0.0.3"}}}}'
"""


def spoken(lines: list[str]) -> list[str]:
    """Return the words that a shell offers: bash and fish get one on a line, zsh three lines for each."""
    if lines[:1] == ["plain"]:
        return lines[1::3]
    return [line.partition(",")[2].partition("\t")[0] for line in lines]


@pytest.mark.parametrize("kind", ["bash", "zsh", "fish"])
@pytest.mark.parametrize("text", [INI, SCRIPT], ids=["INI", "a script"])
def test_hosts_that_only_ansible_knows_are_offered_once_a_command_has_read_them(
    shell: Shell, kind: str, text: str
) -> None:
    inventory = shell.place / "inventory"
    inventory.write_text(text)
    inventory.chmod(0o700 if text is SCRIPT else 0o600)
    shell.set("TOOLKIT_FLEET", inventory)
    (shell.place / "home").mkdir()
    typed = "toolkit provision gpu"
    assert spoken(offers(shell, kind, typed)) == []
    assert shell("config").code == 0
    (shell.place / "inventory.ran").unlink(missing_ok=True)
    assert spoken(offers(shell, kind, typed)) == ["gpu1", "gpu2", "gpu3"]
    assert spoken(offers(shell, kind, "toolkit deploy tiny --host gpu3")) == ["gpu3"]
    # Ansible has not run for that
    assert not (shell.place / "inventory.ran").exists()


@pytest.mark.parametrize("kind", ["bash", "zsh", "fish"])
def test_keys_are_offered_once_a_command_has_seen_them(
    prompt: Prompt, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    fleet = Fleet(prompt, monkeypatch, 2)
    for name in ("ann", "bob", "bert"):
        assert fleet(f"keys add {name}").code == 0
    assert spoken(offers(prompt, kind, "toolkit keys revoke b")) == ["bert", "bob"]
    assert spoken(offers(prompt, kind, "toolkit usage --key a")) == ["ann"]
    assert fleet("keys revoke bob").code == 0
    assert spoken(offers(prompt, kind, "toolkit keys revoke b")) == ["bert"]
    # a new name is the person's own
    assert "bert" not in spoken(offers(prompt, kind, "toolkit keys add b"))


def test_a_yaml_inventory_that_was_edited_is_looked_at_itself(shell: Shell) -> None:
    (shell.place / "home").mkdir()
    assert shell("config").code == 0
    inventory = Path(shell.environment["TOOLKIT_FLEET"])
    inventory.write_text(inventory.read_text().replace("localhost:", "elsewhere:"))
    os.utime(inventory, (5, 5))
    assert spoken(offers(shell, "bash", "toolkit provision ")) == ["elsewhere"]


@pytest.mark.parametrize("text", ["{", "[]", '{"": 5}', '{"": {"keys": 5}}', "[" * 9999, "\xff"])
def test_names_that_were_damaged_are_not_offered(tmp_path: Path, text: str) -> None:
    (tmp_path / known_names.FILE).write_text(text, "latin-1")
    assert known_names.known_keys(tmp_path, None) == []
    known_names.remember(tmp_path, None, keys=["ann"])
    assert known_names.known_keys(tmp_path, None) == ["ann"]


def test_a_file_of_names_of_any_size_is_replaced(tmp_path: Path) -> None:
    """Each command that knows a name looks whether the file has it."""
    with (tmp_path / known_names.FILE).open("wb") as file:
        file.truncate(2**41)
    known_names.remember(tmp_path, None, keys=["ann"])
    assert known_names.known_keys(tmp_path, None) == ["ann"]


def test_names_need_a_home_and_keep_the_fleets_that_were_used_last(tmp_path: Path) -> None:
    known_names.remember(tmp_path / "none", None, keys=["ann"])
    assert not (tmp_path / "none").exists()
    for number in range(60):
        known_names.remember(tmp_path, f"/fleet{number}", hosts=[f"gpu{number}"])
        known_names.remember(tmp_path, "/first", keys=["ann"])
    assert known_names.known_hosts(tmp_path, "/fleet59") == ["gpu59"]
    assert known_names.known_hosts(tmp_path, "/fleet1") == []
    assert known_names.known_keys(tmp_path, "/first") == ["ann"]
    file = tmp_path / known_names.FILE
    assert (file.stat().st_mode & 0o777, [each.name for each in tmp_path.iterdir()]) == (
        0o600,
        [file.name],
    )


@pytest.mark.parametrize("typed", ["toolkit dep", "toolkit deploy t", "toolkit deploy tiny --dry"])
def test_completion_loads_no_library_and_no_command(shell: Shell, typed: str) -> None:
    words = {
        "_TOOLKIT_COMPLETE": "bash_complete",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(typed.count(" ")),
    }
    shell.environment.update(words, PYTHONPROFILEIMPORTTIME="1")
    child = start(shell.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = child.communicate(timeout=60)
    assert len(out.splitlines()) == 1
    loaded = {line.rpartition("|")[2].strip() for line in err.splitlines()}
    assert "toolkit.cli.completion.names" in loaded
    heavy = {
        "ruamel",
        "pydantic",
        "sqlite3",
        "yaml",
        "toolkit.cli.commands.deploy",
        "toolkit.domain.deployment.plan",
    }
    assert not heavy & loaded


@pytest.mark.parametrize(
    ("words", "typed"),
    [
        *itertools.product(("", "registry"), ("", "re", "-", "--h")),
        *itertools.product(("deploy", "keys add", "status"), ("-", "--h")),
    ],
)
def test_words_are_offered_as_the_command_itself_offers_them(words: str, typed: str) -> None:
    before = words.split()
    offered = items_for(before, typed)
    assert offered is not None
    own = ShellComplete(cli, {}, "toolkit", "_TOOLKIT_COMPLETE").get_completions(before, typed)
    assert [(each.value, each.help or "") for each in offered] == [
        (each.value, each.help or "") for each in own
    ]


def test_names_come_from_files_below_a_tilde(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # The shell replaces it only once the line is finished.
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "r.yaml").write_text("models:\n  mine:\n    versions: {}\n")
    (tmp_path / "f.yaml").write_text("all:\n  hosts:\n    gpu7:\n")

    def offered(*words: str) -> list[str]:
        return [each.value for each in items_for(words, "") or ()]

    assert offered("deploy", "--registry", "~/r.yaml") == ["mine"]
    assert offered("hosts", "drain", "--fleet", "~/f.yaml") == ["gpu7"]


def test_adapters_are_offered_to_the_commands_that_take_their_names(tmp_path: Path) -> None:
    registry = tmp_path / "r.yaml"
    registry.write_text(
        "models:\n  mine:\n    adapters:\n      sql:\n        revision: main\n"
        "    versions:\n      v1:\n        adapters:\n          law:\n          sql:\n"
    )

    def offered(*words: str) -> list[str]:
        return [each.value for each in items_for([*words, "--registry", str(registry)], "") or ()]

    for command in ("ask", "registry pin", "update"):
        assert offered(*command.split()) == ["mine", "sql", "law"], command
    assert [
        each.value
        for each in items_for(["usage", "--registry", str(registry), "--model"], "l") or ()
    ] == ["law"]
    assert offered("stop") == ["mine"]


def test_an_option_is_offered_again_only_where_it_may_be_repeated() -> None:
    def after(*words: str) -> set[str]:
        return {each.value for each in items_for(words, "--") or ()}

    assert {"--yes", "--host"} <= after("deploy", "tiny")
    assert after("deploy", "--yes", "--host", "a") == after("deploy") - {"--yes"}


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
