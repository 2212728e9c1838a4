"""What a registry file says, as the domain has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.config.registry.reading import load_registry
from toolkit.config.shipped import REGISTRY, shipped_text
from toolkit.domain.accelerator import Accelerator
from toolkit.domain.registry.model import (
    HubSource,
    LocalSource,
    Openness,
    Permission,
    Policy,
    Resources,
    Version,
)
from toolkit.domain.registry.release_parts import Check, EngineSpec
from toolkit.errors import InputError
from toolkit.planning.release.licence_policy import licence_verdict

FULL = """\
policy:
  licences:
    allowed: [apache-2.0]
    approved: {llama3.1: [tiny]}
models:
  tiny:
    description: a small one
    licence: apache-2.0
    openness: open-weights
    source: {repo: acme/tiny}
    engine: {name: vllm, version: 0.32.0}
    resources: {accelerators: [cuda], memory: 6GiB}
    serving: {max_model_len: 512, enforce-eager: true, ignore_patterns: [1, b]}
    env: {VLLM_LOGGING_LEVEL: WARNING}
    checks: [{prompt: hello, contains: world, timeout: 2min}]
    versions:
      1.0:
        revision: 1111111111111111111111111111111111111111
      next:
        revision: 12345678901234567890123456789012345678e1
        licence: llama3.1
        openness: fully-open
        source: {path: ./house}
        engine: {name: vllm, version: "0.33.0"}
        resources: {accelerators: [cuda, cpu], memory: 1.5GB, devices: 2}
        serving: {max-model-len: 1024, dtype: bfloat16}
        env: {VLLM_CPU_KVCACHE_SPACE: "1"}
        checks: []
        permission: {trust_remote_code: true, formats: [bin], reason: reviewed}
"""


def test_every_field_arrives_and_a_version_overrides_its_model(tmp_path: Path) -> None:
    path = tmp_path / "model_registry.yaml"
    path.write_text(FULL)

    registry = load_registry(path)

    first = Version(
        model="tiny",
        name="1.0",
        source=HubSource("acme/tiny"),
        revision="1" * 40,
        licence="apache-2.0",
        openness=Openness.OPEN_WEIGHTS,
        engine=EngineSpec("vllm", "0.32.0"),
        resources=Resources((Accelerator.CUDA,), 6 * 2**30, 1),
        serving={"max-model-len": 512, "enforce-eager": True, "ignore-patterns": ("1", "b")},
        env={"VLLM_LOGGING_LEVEL": "WARNING"},
        checks=(Check("hello", "world", 32, 120.0, kind=""),),
        permission=Permission(),
    )
    second = Version(
        model="tiny",
        name="next",
        source=LocalSource(str(tmp_path / "house"), "tiny"),
        revision="12345678901234567890123456789012345678e1",
        licence="llama3.1",
        openness=Openness.FULLY_OPEN,
        engine=EngineSpec("vllm", "0.33.0"),
        resources=Resources((Accelerator.CUDA, Accelerator.CPU), 1_500_000_000, 2),
        serving={
            "max-model-len": 1024,
            "enforce-eager": True,
            "ignore-patterns": ("1", "b"),
            "dtype": "bfloat16",
        },
        env={"VLLM_LOGGING_LEVEL": "WARNING", "VLLM_CPU_KVCACHE_SPACE": "1"},
        checks=(),
        permission=Permission(True, ("bin",), "reviewed"),
    )
    assert registry.models["tiny"].versions == (first, second)
    assert registry.models["tiny"].newest == second
    assert registry.policy == Policy(("apache-2.0",), (), {"llama3.1": ("tiny",)})
    assert registry.path == str(path)


def test_a_directory_is_relative_to_the_registry_and_not_to_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "r.yaml").write_text(FULL)
    monkeypatch.chdir(tmp_path)
    source = load_registry(Path("sub/r.yaml")).version("tiny").source
    assert source == LocalSource(str(tmp_path / "sub" / "house"), "tiny")


def test_an_unknown_model_is_answered_with_near_misses(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(shipped_text(REGISTRY))
    registry = load_registry(path)
    with pytest.raises(InputError) as caught:
        registry.version("qwen-7")
    assert caught.value.hint.startswith("did you mean qwen-7b")
    with pytest.raises(InputError, match=r"no version '2\.6' of qwen-7b"):
        registry.version("qwen-7b@2.6")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("QWEN-7B", "qwen-7b or qwen3-8b or qwen3-32b"),
        ("Qwen/Qwen2.5-7B-Instruct", "qwen-7b"),
        ("qwen/qwen2.5-7b-instruct-awq@main", "qwen-7b"),
        ("Qwen/Qwen3-32B", "qwen3-32b"),
        ("mine", "mistral-7b"),
    ],
)
def test_a_name_in_other_letters_an_alias_and_a_repository_lead_to_their_model(
    tmp_path: Path, name: str, meant: str
) -> None:
    path = tmp_path / "r.yaml"
    text = shipped_text(REGISTRY)
    path.write_text(text.replace("  mistral-7b:\n", "  mistral-7b:\n    aliases: [mine]\n"))
    with pytest.raises(InputError) as caught:
        load_registry(path).version(name)
    assert caught.value.hint == f"did you mean {meant}?"


def test_the_shipped_registry_holds_real_pins_that_policy_allows(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(shipped_text(REGISTRY))
    registry = load_registry(path)
    pins = {v.title: v.revision for m in registry.models.values() for v in m.versions}
    assert pins == {
        "qwen-0.5b@2.5": "7ae557604adf67be50417f59c2c2f167def9a775",
        "qwen-7b@2.5-awq": "b25037543e9394b818fdfca67ab2a00ecc7dd641",
        "qwen-7b@2.5": "a09a35458c702b33eeacc393d103063234e8bc28",
        "qwen3-8b@3": "b968826d9c46dd6066d109eabc6255188de91218",
        "qwen3-32b@3": "9216db5781bf21249d130ec9da846c4624c16137",
        "llama-8b@3.1": "0e9e39f249a16976918f6564b8830bc894c89659",
        "mistral-7b@0.3": "c170c708c41dac9275d15a8fff4eca08d52bab71",
    }
    refused = [
        version.title
        for model in registry.models.values()
        for version in model.versions
        if not licence_verdict(version, registry.policy).allowed
    ]
    assert refused == []
