"""`toolkit plan` as a person types it."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.cli.shell import Prompt, Said
from tests.cli.small_model import write_model, write_registry

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
    head, *rows = out.split("\n\n")
    assert head.startswith("tiny@v1  local/tiny@")
    assert "weights   2 kB in its files" in head
    assert "cache     512 B a token; 1,024 tokens a request" in head
    columns, row = rows[0].splitlines()
    assert columns.split()[:5] == ["HOST", "FITS", "ON", "WEIGHTS", "CACHE"]
    # 32 MiB of cache, 512 bytes a token
    assert row.split()[:7] == ["localhost", "yes", "cpu", "2", "kB", "33.6", "MB"]
    assert "65,536" in row
    assert "64.0 x 1,024" in row
    assert row.endswith("nothing of this model serves here")


def test_what_is_permitted_is_shown(plan: Callable[..., Said], prompt: Prompt) -> None:
    path = prompt.place / "model_registry.yaml"
    permission = "permission: {options: [VLLM_PLUGINS], reason: reviewed}, "
    path.write_text(path.read_text().replace("v1: {", f"v1: {{{permission}"))
    assert "  permits   VLLM_PLUGINS: reviewed\n" in plan("tiny@v1").out
    assert json.loads(plan("tiny@v1", "--json").out)["permitted"] == ["VLLM_PLUGINS"]
    assert "permits" not in plan("tiny@huge").out


def test_what_fits_nowhere_is_exit_3_with_its_need(plan: Callable[..., Said]) -> None:
    code, out, _ = plan("tiny@huge")
    assert code == 3
    assert "localhost  no" in out
    assert "it needs 9.66 TB on 1 CUDA device" in out
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
