"""`toolkit plan` as a person types it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import pytest

from tests.cli.shell import Prompt, Said
from tests.cli.small_model import CONFIG, write_model, write_registry
from tests.cli.test_json import Fleet
from toolkit.cli.views.fit import host_lines, start_line
from toolkit.domain.engines.fit import Actual, FitRecord, Prediction
from toolkit.planning.fit.host_fit import HostFit

REGISTRY = """\
policy:
  licences: {{allowed: [mit]}}
models:
  tiny:
    description: a small one
    licence: mit
    openness: fully-open
    source: {{path: ./model}}
    engine: {{name: vllm, version: 0.32.0}}
    resources: {{accelerators: [cpu], memory: 64MiB}}
    serving: {{kv-cache-memory-bytes: 33554432}}
    versions:
      v1: {{revision: {revision}}}
      huge:
        revision: {revision}
        resources: {{accelerators: [cuda], memory: 9000GiB}}
"""
FLEET = """\
all:
  hosts:
    here: {{ansible_connection: local, toolkit_root: {root}, toolkit_address: 127.0.0.1}}
    lost:
      ansible_host: 127.0.0.1
      ansible_port: 9
      ansible_user: nobody
      toolkit_address: 127.0.0.2
"""


@pytest.fixture
def plan(prompt: Prompt) -> Callable[..., Said]:
    """`toolkit plan`, for a model that lies in a directory and a fleet of which one host is out of reach."""
    place = prompt.place
    (place / "fleet.yaml").write_text(FLEET.format(root=place / "root"))
    write_registry(place / "model_registry.yaml", REGISTRY, write_model(place / "model"))
    return partial(prompt, "plan")


def test_what_fits_is_shown_with_its_figures(plan: Callable[..., Said]) -> None:
    code, out, err = plan("tiny@v1")
    assert (code, err) == (0, "")
    verdict, need = out.split("\n\n")
    # 32 MiB of cache, 512 bytes a token
    assert verdict.splitlines() == [
        "yes: tiny@v1 fits on localhost",
        "  localhost  yes on cpu: nothing of this model serves here",
        "      weights 2 kB, cache 33.6 MB for 65,536 tokens",
        "      64.0 requests of 1,024 tokens at once; a single one up to 1,024",
    ]
    assert need.startswith("tiny@v1 is local/tiny@")
    assert "weights   2 kB in its files" in need
    assert "cache     512 B a token; 1,024 tokens a request" in need
    assert "its `resources.memory` gives 64MiB (67.1 MB)" in need
    assert max(map(len, out.splitlines())) <= 100


@pytest.mark.parametrize("damage", ["gone", "no safetensors"])
def test_the_hint_for_weights_that_cannot_be_read_is_about_the_place_where_they_lie(
    plan: Callable[..., Said], prompt: Prompt, damage: str
) -> None:
    def spoil(weights: Path) -> None:
        weights.unlink()
        if damage != "gone":
            weights.write_bytes(b"x" * 2000)

    # `toolkit verify` knows of no directory beside the store
    aside = prompt.place / "aside"
    shutil.copytree(prompt.place / "model", aside)
    spoil(prompt.place / "model" / "model.safetensors")
    code, _, err = plan("tiny@v1")
    assert (code, "verify" in err) == (5, False)
    assert err.endswith("a changed model is a new version: toolkit registry pin tiny\n")
    # in the store, it takes the damaged files out, and the plan reads them where they came from
    shutil.rmtree(prompt.place / "model")
    aside.rename(prompt.place / "model")
    assert prompt("pull", "tiny@v1").code == 0
    (stored,) = (prompt.place / "home").rglob("model.safetensors")
    spoil(stored)
    code, _, err = plan("tiny@v1")
    assert code == 5
    assert "hint: toolkit verify --repair, then the same command again; where" in err
    assert "registry pin tiny REVISION" in err
    prompt("verify", "--repair")
    assert plan("tiny@v1").code == 0


def test_an_encoder_is_shown_without_a_cache(prompt: Prompt) -> None:
    pinned = write_model(prompt.place / "model", {**CONFIG, "architectures": ["BertModel"]})
    write_registry(prompt.place / "model_registry.yaml", REGISTRY, pinned)
    code, out, err = prompt("plan", "tiny@v1")
    assert (code, err) == (0, "")
    verdict, need = out.split("\n\n")
    assert verdict.splitlines()[2:] == [
        "      weights 2 kB, no cache; a request has up to 1,024 tokens"
    ]
    assert "  requests  1,024 tokens each; an encoder keeps no cache\n" in need
    assert "  cache " not in need


def test_what_is_permitted_is_shown(plan: Callable[..., Said], prompt: Prompt) -> None:
    path = prompt.place / "model_registry.yaml"
    permission = "permission: {options: [VLLM_PLUGINS], reason: reviewed}, "
    path.write_text(path.read_text().replace("v1: {", f"v1: {{{permission}"))
    said = plan("tiny@v1")
    assert "  permits   VLLM_PLUGINS: reviewed\n" in said.out, said
    assert json.loads(plan("tiny@v1", "--json").out)["permitted"] == ["VLLM_PLUGINS"]
    assert "permits" not in plan("tiny@huge").out


def test_what_fits_nowhere_is_exit_3_with_its_need(plan: Callable[..., Said]) -> None:
    code, out, _ = plan("tiny@huge")
    assert code == 3
    assert out.startswith("no: tiny@huge does not fit on localhost\n  localhost  no: ")
    assert "it needs 9000GiB (9.66 TB) on 1 CUDA device" in out
    code, out, _ = plan("tiny@huge", "--json")
    found = json.loads(out)
    assert (code, found["fits"], found["weights"]) == (3, False, 2000)
    assert found["need"]["token"] == 512


def test_a_host_out_of_reach_is_named_and_the_others_are_shown(plan: Callable[..., Said]) -> None:
    code, out, _ = plan("tiny@v1", "--fleet", "fleet.yaml", "--json")
    found = json.loads(out)
    assert code == 0
    assert {name: host["fits"] for name, host in found["hosts"].items()} == {"here": True}
    assert list(found["unreachable"]) == ["lost"]


def test_nothing_is_left_on_the_host(plan: Callable[..., Said], short_path: Path) -> None:
    plan("tiny@v1", "--fleet", "fleet.yaml")
    assert not (short_path / "root").exists()


SMALL = "tiny@huge does not fit on {}: it needs 9000GiB; there is 1 GB"


@pytest.mark.parametrize(
    ("fits", "unreachable", "lines"),
    [
        ([("a", "beside what serves", True)], {}, ["  a  yes: beside what serves"]),
        (
            [("a", SMALL.format("a"), False), ("b", "", True), ("c", SMALL.format("c"), False)],
            {},
            [
                "  a, c  no: tiny@huge does not fit on any of them: it needs 9000GiB; there is 1 GB",
                "  b  yes: 1 CPU",
            ],
        ),
        (
            [("a", "no room", False), ("b", "no driver", False)],
            {"d": "no route", "e": "no route"},
            ["  a  no: no room", "  b  no: no driver", "  d, e  not reached: no route"],
        ),
        # The names of many hosts stand above.
        (
            [(f"host{number:02}", "no room for it", False) for number in range(12)],
            {},
            [
                "  host00, host01, host02, host03, host04, host05, host06, host07, host08,",
                "  host09, host10, host11  no: no room for it",
            ],
        ),
        (
            [(f"host{number:02}", "weights and cache alone take 9 GB", False) for number in range(18)],
            {},
            [
                "  host00, host01, host02, host03, host04, host05, host06, host07, host08,",
                "  host09, host10, host11, host12, host13, host14, host15, host16, host17",
                "    no: weights and cache alone take 9 GB",
            ],
        ),
    ],
)  # fmt: skip
def test_what_is_the_same_on_several_hosts_is_said_once(
    fits: Sequence[tuple[str, str, bool]], unreachable: Mapping[str, str], lines: list[str]
) -> None:
    hosts = [HostFit(name, able, why, "1 CPU") for name, why, able in fits]
    assert list(host_lines(hosts, unreachable)) == lines


ONE = Prediction(
    budget=20 * 10**9,
    weights=15_200_000_000,
    reserve=10**9,
    cache=3_800_000_000,
    token=126_000,
    context=4096,
    tokens=30_000,
    concurrency=7.3,
    longest=30_000,
    least=17 * 10**9,
)


@pytest.mark.parametrize(
    ("tokens", "weights", "line"),
    [
        (
            30_000,
            15_200_000_000,
            "room for 30,000 tokens (as predicted), weights 15.2 GB (as predicted)",
        ),
        (
            30_300,
            15_210_000_000,
            "room for 30,300 tokens (30,000 predicted), weights 15.2 GB (as predicted)",
        ),
        (40_000, None, "room for 40,000 tokens (30,000 predicted, 25% more)"),
        (20_000, None, "room for 20,000 tokens (30,000 predicted, 50% less)"),
        (None, None, "not measured"),
    ],
)
def test_a_prediction_beside_what_was_measured_reads_as_no_failure(
    tokens: int | None, weights: int | None, line: str
) -> None:
    record = FitRecord("tiny", 4, "gpu1", ONE, Actual(tokens=tokens, weights=weights), 0.0)
    assert start_line(record) == f"  tiny #4 on gpu1: {line}"


def test_a_router_that_missed_a_change_is_named(
    prompt: Prompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = Fleet(prompt, monkeypatch, 2)
    assert fleet("deploy tiny@v1 --yes").code == 0
    assert "has missed" not in prompt("plan", "tiny@v1").out
    late = fleet.world.hosts["gpu2"].files
    told = json.loads(late["routes.json"])
    late["routes.json"] = json.dumps({**told, "serial": told["serial"] - 1, "routes": []})
    said = prompt("plan", "tiny@v1")
    words = "the router of gpu2 has missed a change; toolkit repair tells it, as an upgrade does\n"
    assert words in said.out, said
    assert fleet("plan tiny@v1").json()["routers_behind"] == ["gpu2"]
