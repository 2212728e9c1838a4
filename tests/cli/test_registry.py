"""`toolkit registry` as a person types it: what is printed, and how the process ends."""

# One row of a table is one line, however long.
# ruff: noqa: E501

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.registry_desk import Desk
from toolkit.cli.commands.registry import registry as group
from toolkit.cli.main import COMMANDS

FILES = {"config.json": b"{}", "model.safetensors": b"w" * 10_000}
TEXT = """\
policy:
  licences: {allowed: [apache-2.0]}
models:
  tiny:
    description: a small one
    licence: apache-2.0
    openness: open-weights
    source: {repo: acme/tiny}
    engine: {name: vllm, version: 0.32.0}
    resources: {accelerators: [cuda, cpu], memory: 6GiB}
    versions:
      a: {revision: 1111111111111111111111111111111111111111}
"""


@pytest.fixture
def desk(
    short_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Desk:
    return Desk(short_path, capsys, monkeypatch)


def test_the_help_in_the_list_of_commands_is_the_commands_own() -> None:
    assert COMMANDS["registry"][1] == group.get_short_help_str(100)


def test_no_hint_about_an_empty_registry_leads_back_to_the_same_error(desk: Desk) -> None:
    desk.file.write_text("# soon\n")
    said = desk("list")
    assert said.err.endswith("hint: move it away, then toolkit registry init\n")
    desk.file.rename(desk.place / "away.yaml")
    assert desk("init").code == desk("list").code == 0


def test_a_pin_is_recorded_in_the_home_that_is_named(desk: Desk) -> None:
    desk.file.write_text(TEXT)
    desk.hub.publish("acme/tiny", FILES)
    assert desk("pin", "tiny", "--home", "here").code == 0
    assert "registry pin" in (desk.place / "here" / "audit" / "log.jsonl").read_text()
    assert desk("accept", "tiny@a", "--home", "there").code == 0


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (".x\x1b[2J", ".x\\x1b[2J: hidden file"),
        ("x\u202egnp.md", "x\\u202egnp.md: not needed to serve"),
        ("x.md\nnote: all is well", "x.md\\nnote: all is well: not needed to serve"),
        ("q" * 5000 + ".md", "q" * 400 + "...: not needed to serve"),
    ],
)
def test_a_file_that_is_left_out_has_one_line_whatever_its_name(
    desk: Desk, name: str, shown: str
) -> None:
    desk.file.write_text(TEXT)
    desk.hub.publish("acme/tiny", {**FILES, name: b"x"})
    said = desk("pin", "tiny")
    assert said.code == 0
    assert f"left out {shown}" in said.err.splitlines()


def test_the_shipped_registry_is_listed_shown_and_checked(desk: Desk) -> None:
    desk("init")
    listed = desk("list")
    assert listed.code == 0
    assert listed.out.splitlines()[:3] == [
        "MODEL       VERSIONS      REVISION      LICENCE     OPENNESS      NEEDS              PINNED",
        "qwen-0.5b   2.5           7ae557604adf  apache-2.0  open-weights  cuda or cpu, 6GiB  no files yet",
        "qwen-7b     2.5-awq, 2.5  a09a35458c70  apache-2.0  open-weights  cuda, 20GiB        no files yet",
    ]  # fmt: skip
    shown = desk("show", "qwen-7b@2.5-awq")
    assert "  --quantization   awq_marlin\n" in shown.out
    assert "  revision         b25037543e9394b818fdfca67ab2a00ecc7dd641\n" in shown.out
    assert "qwen-7b@2.5\n" not in shown.out
    checked = desk("check")
    assert checked.code == 0
    assert checked.out.endswith("6 models, 7 versions, 0 with pinned files\n")


def test_json_is_one_document_for_every_command(desk: Desk) -> None:
    desk.file.write_text(TEXT.replace("    versions:\n", "").replace("      a: {", "    #"))
    revision = desk.hub.publish("acme/tiny", FILES)
    pinned = json.loads(desk("pin", "tiny", "--json").out)
    entry = {
        "model": "tiny",
        "version": revision[:8],
        "source": "acme/tiny",
        "revision": revision,
        "licence": "apache-2.0",
        "files": 2,
        "size": 10_002,
        "left_out": {},
        "notes": [],
        "registry_changed": True,
        "lock_changed": True,
    }
    assert pinned == {"pinned": [entry], "dry_run": False}
    (listed,) = json.loads(desk("list", "--json").out)["models"]
    shown = json.loads(desk("show", "tiny", "--json").out)
    assert shown["versions"] == [listed]
    assert listed["pinned"] == {"files": 2, "size": 10_002}
    assert listed["licence_allowed"] is True
    checked = json.loads(desk("check", "--json").out)
    assert checked == {"path": "model_registry.yaml", "models": 1, "findings": []}


def test_a_pin_names_the_first_of_many_files_that_are_left_out(desk: Desk) -> None:
    """A hostile repository would fill the terminal: it may list a hundred thousand."""
    desk.file.write_text(TEXT)
    desk.hub.publish("acme/tiny", {**FILES, **{f"x/{n}.bin": b"x" for n in range(100)}})
    said = desk("pin", "tiny", "--dry-run")
    assert said.code == 0
    assert said.err.count("left out x/") == 40
    assert "left out 60 more; --json names all" in said.err


def test_pin_says_what_it_wrote_and_the_second_time_that_there_is_nothing_to_do(
    desk: Desk,
) -> None:
    desk.file.write_text(TEXT)
    revision = desk.hub.publish("acme/tiny", {**FILES, "modeling.py": b""})
    what = f"acme/tiny {revision} (apache-2.0, 2 files, 10 kB)"

    dry = desk("pin", "tiny", "--as", "b", "--dry-run")
    assert (dry.code, dry.out) == (0, f"would pin tiny@b: {what}; nothing was written\n")
    assert desk.file.read_text() == TEXT

    first = desk("pin", "tiny", "--as", "b")
    assert (first.code, first.out) == (0, f"pinned tiny@b: {what}\n")
    assert "left out modeling.py: code is not permitted" in first.err
    assert desk.file.read_text() == TEXT + f"      b:\n        revision: {revision}\n"

    again = desk("pin", "tiny")
    assert again.out == f"tiny@b is pinned already: {what}; nothing was changed\n"


FAULTS = [
    (("show", "tyni"), "error: no model 'tyni' in model_registry.yaml\nhint: did you mean tiny?\n"),
    (("show", "tiny@b"), "error: no version 'b' of tiny\nhint: known: a\n"),
    (("pin", "tiny", "v1", "--lock-only"), "error: --lock-only writes digests of versions that stand in the registry; it takes no REF\nhint: toolkit registry pin tiny --lock-only\n"),
    (("pin", "tiny", "--as", "a"), "error: tiny@a exists\nhint: give another name with --as\n"),
    (("list", "--registry", "none.yaml"), "error: none.yaml does not exist\nhint: toolkit registry init --registry none.yaml\n"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "message"), FAULTS)
def test_what_is_wrong_ends_with_2_a_message_and_a_hint(
    desk: Desk, words: tuple[str, ...], message: str
) -> None:
    desk.file.write_text(TEXT)
    desk.hub.publish("acme/tiny", FILES)
    said = desk(*words)
    assert (said.code, said.out) == (2, "")
    assert said.err.endswith(message)
    assert desk.file.read_text() == TEXT


def test_check_names_every_fault_and_ends_with_2(desk: Desk) -> None:
    house = "    source: {path: ./house}\n"
    text = TEXT.replace("    source: {repo: acme/tiny}\n", house)
    desk.file.write_text(text.replace("licence: apache-2.0", "licence: gemma"))
    said = desk("check")
    assert said.code == 2
    assert said.out == (
        "FAULT  model_registry.yaml:12:7: tiny@a: the licence gemma of tiny@a is not approved for tiny\n"
        "       read its terms, then write `gemma: [tiny]` under policy.licences.approved\n"
        "note   model_registry.yaml:12:7: tiny@a: its files are not pinned yet\n"
        "       toolkit registry pin tiny@a --lock-only\n"
        f"FAULT  model_registry.yaml:12:7: tiny@a: {desk.place}/house is no directory\n"
        "       correct `source: {path: ...}` in the registry\n"
        "1 model, 1 version, 0 with pinned files\n"
    )
    assert said.err.startswith("error: model_registry.yaml: 2 faults, the first: the licence gemma")


BROKEN = """\
policy:
  licences: {allowed: [apache-2.0], denied: [Apache-2.0]}
models:
  tiny:
    description: a small one
    description: a smaller one
    licence: apache-2.0
    openness: open-weights
    source: &origin {repo: acme/tiny}
    engine: {name: vllm, version: 0.32.0}
    resources: {accelerators: [cuda, tpu], memory: 100000000000TiB}
    serving: {max-model-len: -1, enforce-eager: 1, max_sequences: 3, kv-transfer-config: "{}"}
    env: {VLLM_PLUGINS: x, LD_PRELOAD: /x.so}
    checks: [{prompt: hi, timeout: .nan}]
    versions:
      a: {revision: main}
      b:
        revision: 1111111111111111111111111111111111111111
        engine: {name: vllm, version: 0.33.0}
        permission: {options: [kv-transfer-config, max-num-seqs], reason: reviewed}
        serving: {max-model-len: ٣}
"""
ALL_FAULTS = """\
FAULT  model_registry.yaml:2:46: 'Apache-2.0' is not a licence id
FAULT  model_registry.yaml:6:5: 'description' stands here twice
FAULT  model_registry.yaml:9:13: a YAML anchor &origin
FAULT  model_registry.yaml:11:38: accelerators: 'tpu' is not known
FAULT  model_registry.yaml:11:52: '100000000000TiB' is more than any host has
FAULT  model_registry.yaml:12:30: max-model-len: expected 1 to 134,217,728, not -1
FAULT  model_registry.yaml:12:49: enforce-eager: expected true or false, not 1
FAULT  model_registry.yaml:12:52: vLLM 0.32 has no flag 'max_sequences'
FAULT  model_registry.yaml:12:70: serving option 'kv-transfer-config' needs a permission: it opens ports or connections beside the router
FAULT  model_registry.yaml:13:11: environment variable VLLM_PLUGINS needs a permission: it loads code by its name
FAULT  model_registry.yaml:13:28: environment variable LD_PRELOAD is reserved
FAULT  model_registry.yaml:14:36: '.nan' is not a duration
FAULT  model_registry.yaml:16:21: revision 'main' is no full commit (40 of 0-9 a-f)
FAULT  model_registry.yaml:20:52: 'max-num-seqs' needs no permission
FAULT  model_registry.yaml:21:34: max-model-len: expected a whole number, or one such as 16k, not '٣'
"""


def test_check_shows_all_faults_of_the_text_each_with_its_line(desk: Desk) -> None:
    desk.file.write_text(BROKEN)
    said = desk("check")
    assert said.code == 2
    assert [line for line in said.out.splitlines() if line.startswith("FAULT")] == (
        ALL_FAULTS.splitlines()
    )
    assert said.err.startswith("error: model_registry.yaml: 15 faults, the first: 'Apache-2.0'")
    other = desk("list")
    assert other.code == 2
    assert "and 14 more faults: `toolkit registry check` shows all" in other.err

    found = json.loads(desk("check", "--json").out)
    assert len(found["findings"]) == 15
    assert found["findings"][0] == {
        "version": "",
        "fault": True,
        "message": "'Apache-2.0' is not a licence id",
        "hint": "write the Hub's id in lower case, such as apache-2.0",
        "place": "model_registry.yaml:2:46",
    }


@pytest.mark.parametrize("memory", ["6GiB", "1536MiB", "1.5GiB"])
def test_show_says_the_memory_as_it_is_written(desk: Desk, memory: str) -> None:
    desk.file.write_text(TEXT.replace("6GiB", memory))
    assert f"cuda or cpu, {memory}" in desk("show", "tiny").out


def test_check_goes_on_where_the_lock_cannot_be_read(desk: Desk) -> None:
    desk.file.write_text(TEXT.replace("6GiB", "six"))
    desk.file.with_name("model_registry.lock.json").write_text("{")
    said = desk("check")
    assert said.code == 2
    assert "model_registry.yaml:10:52: 'six' is not a size" in said.out
    assert "model_registry.lock.json:1:2: not JSON" in said.out


def test_check_sees_a_lock_that_holds_what_is_not_permitted_and_a_directory_that_changed(
    desk: Desk,
) -> None:
    (desk.place / "house").mkdir()
    for name, content in {**FILES, "modeling.py": b""}.items():
        (desk.place / "house" / name).write_bytes(content)
    part = (
        "    versions:\n      a:\n        revision: main\n"
        "        permission: {trust_remote_code: true, reason: reviewed}\n"
    )
    head = TEXT.split("    versions:")[0].replace("{repo: acme/tiny}", "{path: house}")
    desk.file.write_text(head + part.replace("main", "soon"))
    assert desk("pin", "tiny").code == 0
    assert desk("check").out == "1 model, 1 version, 1 with pinned files\n"

    (desk.place / "house" / "config.json").write_bytes(b"{ }")
    said = desk("check")
    assert said.code == 0
    assert "house has changed since it was pinned, see config.json" in said.out

    desk.file.write_text(desk.file.read_text().replace("trust_remote_code: true", "formats: []"))
    said = desk("check")
    assert said.code == 2
    assert "tiny@a: the lock holds modeling.py: code is not permitted\n" in said.out


ADAPTER = {
    "adapter_config.json": b'{"r": 8, "base_model_name_or_path": "acme/tiny"}',
    "adapter_model.safetensors": b"m" * 1000,
}


def test_an_adapter_is_pinned_and_shown_like_a_model(desk: Desk) -> None:
    entry = "    adapters:\n      sql: {source: {repo: acme/sql}, revision: main}\n    versions:"
    desk.file.write_text(TEXT.replace("    versions:", entry))
    commit = desk.hub.publish("acme/sql", ADAPTER)
    pinned = desk("pin", "sql")
    assert pinned.code == 0
    assert f"pinned sql@{commit[:12]}: acme/sql {commit} (apache-2.0, 2 files" in pinned.out
    shown = desk("show", "tiny")
    assert f"sql@{commit[:12]}  acme/sql  apache-2.0" in shown.out
    (version,) = json.loads(desk("show", "tiny", "--json").out)["versions"]
    (adapter,) = version["adapters"]
    assert (adapter["name"], adapter["revision"], adapter["licence_allowed"]) == (
        "sql",
        commit,
        True,
    )
    assert adapter["pinned"] == {"files": 2, "size": sum(map(len, ADAPTER.values()))}
    assert "adapter_of" not in version


def test_an_adapter_for_another_base_ends_with_its_line(desk: Desk) -> None:
    entry = "    adapters:\n      sql: {source: {repo: acme/sql}, revision: main}\n    versions:"
    desk.file.write_text(TEXT.replace("    versions:", entry))
    desk.hub.publish(
        "acme/sql",
        {**ADAPTER, "adapter_config.json": b'{"r": 8, "base_model_name_or_path": "acme/other"}'},
    )
    said = desk("pin", "sql")
    assert said.code == 2
    assert (
        "model_registry.yaml:12:21: sql: it was made for 'acme/other', and tiny@a is acme/tiny"
        in said.err
    )
    assert "where it fits all the same: `base: acme/other`" in said.err
