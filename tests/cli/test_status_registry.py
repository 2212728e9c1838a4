"""`toolkit status` and `toolkit doctor` name what serves and has left the registry."""

from __future__ import annotations

import json

import pytest

from tests.cli.shell import Prompt, Said
from tests.workflows.world import World, release
from toolkit.domain.hosts.fleet import Host

REGISTRY = """\
policy:
  licences: {allowed: [mit]}
models:
  other:
    licence: mit
    openness: fully-open
    source: {repo: acme/other}
    engine: {name: vllm, version: 0.32.0}
    resources: {accelerators: [cpu], memory: 1GiB}
    versions:
      v1: {revision: 1111111111111111111111111111111111111111}
"""
FLEET = "all:\n  hosts:\n    gpu1: {ansible_host: 10.0.0.1}\n"
LEFT = "tiny #1 (v1) serves on gpu1, and the model tiny has left the registry"


class Desk:
    def __init__(self, prompt: Prompt, patch: pytest.MonkeyPatch) -> None:
        self.prompt, self.world = prompt, World(prompt.place)
        self.registry = prompt.place / "model_registry.yaml"
        self.registry.write_text(REGISTRY)
        (prompt.place / "fleet.yaml").write_text(FLEET)
        prompt.set("TOOLKIT_FLEET", prompt.place / "fleet.yaml")
        patch.setattr("toolkit.cli.opening.context.open_port", self._host)
        self.world.deploy(release(1))

    def _host(self, host: Host, clients: object) -> object:
        return self.world.hosts[host.name]

    def __call__(self, *words: str) -> Said:
        return self.prompt(*words)


@pytest.fixture
def desk(prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(prompt, monkeypatch)


def test_status_and_doctor_name_what_has_left_the_registry(desk: Desk) -> None:
    said = desk("status")
    assert said.code == 0
    assert f"registry: {LEFT}\n" in said.err
    assert json.loads(desk("status", "--json").out)["left_registry"] == [LEFT]
    found = json.loads(desk("doctor", "--json").out)["findings"]
    (finding,) = [each for each in found if each["words"] == LEFT]
    assert (finding["level"], finding["subject"]) == ("warn", "registry")


def test_status_works_without_a_registry_and_with_a_broken_one(desk: Desk) -> None:
    desk.registry.write_text("models: [")
    said = desk("status")
    assert said.code == 0
    assert "registry: not known what has left it: " in said.err
    assert "tiny" in said.out
    desk.registry.unlink()
    said = desk("status")
    assert (said.code, "registry:" in said.err) == (0, False)
    found = json.loads(desk("status", "--json").out)
    assert (found["left_registry"], found["registry_fault"]) == (
        [],
        "model_registry.yaml does not exist",
    )
