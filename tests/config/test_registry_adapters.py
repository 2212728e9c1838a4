"""LoRA adapters in the registry: what a version has of them, and every fault with its place."""

# One row of a table is one line, however long.
# ruff: noqa: E501

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.config.registry.reading import load_registry, read_registry
from toolkit.domain.gates.guard import Guard, Speed
from toolkit.domain.registry.model import Adapter, HubSource, LocalSource, Lora, Permission
from toolkit.domain.registry.release_parts import Check
from toolkit.errors import InputError

COMMIT, OTHER = "a09a35458c702b33eeacc393d103063234e8bc28", "b" * 40
GOOD = f"""\
models:
  tiny:
    licence: apache-2.0
    openness: open-weights
    source: {{repo: acme/tiny}}
    engine: {{name: vllm, version: 0.32.0}}
    resources: {{accelerators: [cpu], memory: 6GiB}}
    permission_free: yes
    lora: {{max_active: 2, max_rank: 32}}
    adapters:
      tiny-sql:
        source: {{repo: acme/tiny-sql}}
        revision: {COMMIT}
        checks: [{{prompt: select, contains: from}}]
      tiny-house:
        source: {{path: ./house}}
        revision: {OTHER}
        licence: mit
        base: acme/Tiny-Base
    versions:
      v1:
        revision: {COMMIT}
      v2:
        revision: {OTHER}
        adapters: {{}}
  large:
    licence: apache-2.0
    openness: open-weights
    source: {{repo: acme/large}}
    engine: {{name: vllm, version: 0.32.0}}
    resources: {{accelerators: [cpu], memory: 6GiB}}
    versions: {{v1: {{revision: {COMMIT}}}}}
""".replace("    permission_free: yes\n", "")
SQL = Adapter(
    "tiny-sql", HubSource("acme/tiny-sql"), COMMIT, checks=(Check("select", "from", kind=""),)
)


def written(directory: Path, text: str) -> Path:
    path = directory / "model_registry.yaml"
    path.write_text(text)
    return path


def test_a_version_takes_the_adapters_of_its_model_or_has_its_own(tmp_path: Path) -> None:
    tiny = load_registry(written(tmp_path, GOOD)).model("tiny")
    house = LocalSource(str(tmp_path / "house"), "tiny-house")
    assert tiny.version("v1").adapters == (
        SQL,
        Adapter("tiny-house", house, OTHER, "mit", "acme/Tiny-Base"),
    )
    assert tiny.version("v1").lora == Lora(2, 32)
    assert tiny.version("v2").adapters == ()


def test_an_adapter_is_judged_and_fetched_as_a_version_of_its_own(tmp_path: Path) -> None:
    version = load_registry(written(tmp_path, GOOD)).version("tiny@v1")
    own, sql, house = version.parts
    assert own == version
    assert (sql.title, sql.source.key, sql.licence, sql.adapter_of) == (
        f"tiny-sql@{COMMIT[:12]}",
        "acme/tiny-sql",
        "apache-2.0",
        "tiny",
    )
    assert (house.source.key, house.licence) == ("local/tiny-house", "mit")
    assert sql.permission == Permission() and sql.adapters == () and sql.checks == SQL.checks


def test_the_guard_of_an_adapter_knows_its_line_and_is_not_its_base_s(tmp_path: Path) -> None:
    text = GOOD.replace("        licence: mit\n", "        guard: {answers: {file: sql.yaml}}\n")
    version = load_registry(written(tmp_path, text)).version("tiny@v1")
    sql, house = version.adapters
    assert house.guard.answers is not None
    assert house.guard.answers.path == str(tmp_path / "sql.yaml")
    assert house.guard.answers.place == f"{tmp_path}/model_registry.yaml:17:33"
    assert (sql.guard, version.guard, version.part(house).guard) == (Guard(), Guard(), house.guard)
    asked = "        guard: {speed: {pairs: 30}, benchmarks: {tasks: [sums.yaml]}}\n"
    found = load_registry(written(tmp_path, GOOD.replace("        licence: mit\n", asked)))
    guard = found.version("tiny@v1").adapters[1].guard
    assert guard.speed == Speed(30)
    assert guard.benchmarks is not None
    assert guard.benchmarks.paths == (str(tmp_path / "sums.yaml"),)
    off = GOOD.replace("        licence: mit\n", "        guard: off\n")
    assert load_registry(written(tmp_path, off)).version("tiny@v1").adapters[1].guard.off


def test_an_adapter_where_a_model_is_asked_for_is_named_with_its_model(tmp_path: Path) -> None:
    registry = load_registry(written(tmp_path, GOOD))
    for asked in (registry.model, registry.version):
        with pytest.raises(
            InputError, match="tiny-sql is an adapter of tiny, whose replicas"
        ) as caught:
            asked("tiny-sql")
        assert caught.value.hint.startswith("name the model: tiny; toolkit update tiny-sql")


@pytest.mark.parametrize(
    ("lora", "adapters", "reserved"),
    [
        (None, (), None),
        (None, (SQL,), Lora(4, 16)),
        (Lora(1, 64), (), Lora(1, 64)),
        (Lora(1, 64), (SQL,), Lora(1, 64)),
    ],
)
def test_what_replicas_reserve_is_written_or_follows_from_adapters(
    tmp_path: Path, lora: Lora | None, adapters: tuple[Adapter, ...], reserved: Lora | None
) -> None:
    from dataclasses import replace

    version = load_registry(written(tmp_path, GOOD)).version("tiny@v1")
    assert replace(version, lora=lora, adapters=adapters).reserved == reserved


# what stands there -> what somebody wrote instead -> place, message, hint
FAULTS = [
    ("      tiny-sql:", "      tiny:", "10:7", "'tiny' is a model, and an adapter needs a name of its own", "give the adapter another name"),
    ("      tiny-sql:", "      large:", "10:7", "'large' is a model, and an adapter needs a name of its own", "give the adapter another name"),
    ("    versions: {v1: {", f"    adapters: {{tiny-sql: {{source: {{repo: a/b}}, revision: {COMMIT}}}}}\n    versions: {{v1: {{", "31:16", "'tiny-sql' is an adapter of tiny already", "give one of the two another name"),
    ("      tiny-sql:", "      ../sql:", "10:7", "'../sql' is not a name", "up to 63 of a-z 0-9 . _ - with a letter or digit first, in lower case"),
    ("      tiny-sql:", "      tiny-sql@1:", "10:7", "'tiny-sql@1' is not a name", "up to 63 of a-z 0-9 . _ - with a letter or digit first, in lower case"),
    (f"        revision: {COMMIT}\n        checks", "        revision: main\n        checks", "12:19", "revision 'main' is no full commit (40 of 0-9 a-f)", "toolkit registry pin tiny-sql"),
    (f"        revision: {COMMIT}\n        checks", "        checks", "10:7", "'tiny-sql' has no 'revision'", 'add `revision:` with a value such as "0dc3a2bd5cc5e7bd0b0c32b3a3f5d6e2b1b0a9f8"'),
    ("{repo: acme/tiny-sql}", "{repo: acme/../sql}", "11:24", "'acme/../sql' is no repository of the Hub", "write it as owner/name"),
    ("max_rank: 32", "max_rank: 24", "8:37", "max_rank: '24' is not known", "known: 8, 16, 32, 64, 128, 256, 320, 512"),
    ("max_active: 2", "max_active: 0", "8:24", "max_active: input should be greater than or equal to 1", "for example 4"),
    ("    lora:", "    serving: {enable_lora: true}\n    lora:", "8:15", "'enable_lora' stands beside `adapters` or `lora`, which decide it", "write `lora: {max_active: 4, max_rank: 16}` instead"),
    ("memory: 6GiB}\n    lora", "memory: 6GiB, hosts: 2}\n    lora", "7:59", "a replica over several hosts takes no adapters", "remove `adapters` and `lora`, or let one host run a replica"),
    ("        licence: mit", "        guard: {canary: [{share: 1%, duration: 5min}]}", "17:16", "an adapter has no canary, because both of its versions answer in one replica", "write `bake`: a fleet changes host after host, so its first hosts are the canary"),
    ("        licence: mit", "        guard: {canaries: []}", "17:17", "unknown field 'canaries'", "known here: answers, bake, benchmarks, patience, shape, speed, tolerance, unsure"),
    ("        licence: mit", "        guard: {answers: {file: ../sql.yaml}}", "17:33", "'../sql.yaml' is no file beside the registry", "write it like golden/chat.yaml"),
    ("        licence: mit", "        license: mit", "17:9", "unknown field 'license'", "did you mean 'licence'?"),
    ("        base: acme/Tiny-Base", "        permission: {formats: [bin], reason: x}", "18:9", "unknown field 'permission'", "did you mean 'revision'?"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "place", "message", "hint"), FAULTS)
def test_a_fault_is_named_with_its_place(
    tmp_path: Path, old: str, new: str, place: str, message: str, hint: str
) -> None:
    assert old in GOOD
    path = written(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        read_registry(path)
    assert caught.value.message == f"{path}:{place}: {message}"
    assert caught.value.hint == hint
