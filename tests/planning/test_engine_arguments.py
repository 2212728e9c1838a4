"""A version's serving options -> vLLM's words, and the release that runs them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.planning.facts import GB, gpu, host, version
from toolkit.domain.accelerator import Accelerator
from toolkit.domain.deployment.release import Release, Span
from toolkit.domain.engines.engine import EngineLock
from toolkit.domain.files.capabilities import Capabilities, ModelFacts
from toolkit.domain.files.snapshot import FileDigest, Snapshot
from toolkit.domain.hosts.facts import Device
from toolkit.domain.quantity import parse_size
from toolkit.domain.registry.model import Adapter, HubSource, Lora, Permission
from toolkit.domain.registry.release_parts import Check
from toolkit.errors import NothingSuitableError
from toolkit.planning.engines import engine_named
from toolkit.planning.release.build import build_release

ALWAYS = ["--served-model-name", "tiny", "--shutdown-timeout", "30", "--disable-uvicorn-access-log"]
# Kernels that need no compiler of CUDA's.
READY = ["--gdn-prefill-backend", "triton"]
ON_GPU = host(devices=(gpu(0, 24, 24), gpu(1, 24, 24)))
CUDA, CPU = Accelerator.CUDA, Accelerator.CPU
VLLM = engine_named("vllm")
SQL = Adapter("sql", HubSource("acme/sql"), "1" * 40)


@pytest.mark.parametrize(
    ("more", "accelerator", "words"),
    [
        # nothing that takes a compiler
        ({}, CPU, ["--enforce-eager"]),
        ({"serving": {"enforce-eager": False}}, CPU, ["--no-enforce-eager"]),
        # a flag without an opposite is left out, and a key of a JSON object takes a value
        (
            {"serving": {"aggregate-engine-logging": False, "reasoning-config.enabled": True}},
            CPU,
            ["--enforce-eager", "--reasoning-config.enabled", "true"],
        ),
        ({"serving": {"aggregate-engine-logging": True}}, CPU, ["--enforce-eager", "--aggregate-engine-logging"]),
        ({}, CUDA, [*READY, "--gpu-memory-utilization", "0.6378"]),
        ({"resources": {"memory": 24 * GB}}, CUDA, [*READY, "--gpu-memory-utilization", "0.9711"]),
        ({"resources": {"memory": GB // 2}}, CUDA, [*READY, "--gpu-memory-utilization", "0.0001"]),
        (
            {"resources": {"memory": 40 * GB, "devices": 2}},
            CUDA,
            ["--tensor-parallel-size", "2", *READY, "--gpu-memory-utilization", "0.8044"],
        ),
        # over several hosts: a stage of a pipeline for each, but on the CPU
        (
            {"resources": {"memory": 40 * GB, "devices": 2, "hosts": 3}},
            CUDA,
            ["--tensor-parallel-size", "2", "--pipeline-parallel-size", "3",
             "--distributed-executor-backend", "mp", *READY, "--gpu-memory-utilization", "0.8044"],
        ),
        (
            {"resources": {"memory": 4 * GB, "hosts": 2}},
            CPU,
            ["--tensor-parallel-size", "2", "--distributed-executor-backend", "mp", "--enforce-eager"],
        ),
        # devices are those of CUDA: a CPU is not split
        ({"resources": {"memory": 20 * GB, "devices": 2}}, CPU, ["--enforce-eager"]),
        (
            {"permission": Permission(trust_remote_code=True, reason="read it")},
            CPU,
            ["--enforce-eager", "--trust-remote-code"],
        ),
        # room for LoRA adapters: some are kept in the host's memory, so that a new one proves itself beside them
        (
            {"lora": Lora(2, 32)},
            CPU,
            ["--enable-lora", "--max-loras", "2", "--max-cpu-loras", "16", "--max-lora-rank", "32", "--enforce-eager"],
        ),
        (
            {"adapters": (SQL,), "lora": Lora(20, 8)},
            CPU,
            ["--enable-lora", "--max-loras", "20", "--max-cpu-loras", "21", "--max-lora-rank", "8", "--enforce-eager"],
        ),
        # the registry's word is last
        (
            {"serving": {"gdn-prefill-backend": "flashinfer"}},
            CUDA,
            ["--gdn-prefill-backend", "flashinfer", "--gpu-memory-utilization", "0.6378"],
        ),
        ({"serving": {"gpu-memory-utilization": 0.5}}, CUDA, [*READY, "--gpu-memory-utilization", "0.5"]),
        (
            {
                "serving": {
                    "max-model-len": 512,
                    "enforce-eager": True,
                    "enable-prefix-caching": False,
                    "middleware": ("a", "b"),
                }
            },
            CPU,
            ["--enforce-eager", "--max-model-len", "512", "--no-enable-prefix-caching",
             "--middleware", "a", "b"],
        ),
    ],
)  # fmt: skip
def test_a_version_leads_to_exactly_these_arguments(
    more: dict[str, Any], accelerator: Accelerator, words: list[str]
) -> None:
    facts = ON_GPU if accelerator is CUDA else host()
    assert list(VLLM.arguments(version(**more), accelerator, facts)) == ALWAYS + words


def test_the_share_is_of_a_device_that_can_hold_it() -> None:
    facts = host(devices=(gpu(0, 8, 8), gpu(1, 80, 80)))
    words = VLLM.arguments(version(), CUDA, facts)
    assert words[-2:] == ("--gpu-memory-utilization", "0.1863")


# On an H100 (81,559 MiB, 480 of them reserved): context 532 MiB, and 512 bytes of logits a request of 1,024.
@pytest.mark.parametrize(
    ("wanted", "serving", "share"),
    [
        # (20,480 - 532 - 512) / 81,079 = 0.23971...
        ("20GiB", {}, "0.2397"),
        # (20,480 - 532 - 8) / 81,079 = 0.24593...
        ("20GiB", {"max-num-seqs": 16}, "0.2459"),
        ("20GiB", {"max-num-seqs": "16"}, "0.2459"),
        # (20,480 - 532 - 500) / 81,079 = 0.23986...
        ("20GiB", {"max-num-seqs": "1k"}, "0.2398"),
        # never more than CUDA sees: (81,079 - 532 - 512) / 81,079 = 0.98712...
        ("79GiB", {}, "0.9848"),
        ("81079MiB", {}, "0.9871"),
    ],
)
def test_a_replica_takes_what_its_version_states_and_no_more(
    wanted: str, serving: dict[str, Any], share: str
) -> None:
    h100 = Device(0, "NVIDIA H100 80GB HBM3", 81_079 * 2**20, 81_079 * 2**20)
    asked = version(resources={"memory": parse_size(wanted)}, serving=serving)
    words = VLLM.arguments(asked, CUDA, host(devices=(h100,)))
    assert words[words.index("--gpu-memory-utilization") + 1] == share


@pytest.mark.parametrize(
    ("vocabulary", "share"),
    [
        (None, "0.2397"),
        # (20,480 - 532 - 1,024.25) / 81,079 = 0.23339...
        (262_208, "0.2333"),
        # (20,480 - 532 - 1.5) / 81,079 = 0.24601...
        (384, "0.246"),
    ],
)
def test_a_larger_vocabulary_leaves_vllm_a_smaller_share(
    vocabulary: int | None, share: str
) -> None:
    h100 = Device(0, "NVIDIA H100 80GB HBM3", 81_079 * 2**20, 81_079 * 2**20)
    asked = version(resources={"memory": parse_size("20GiB")})
    words = VLLM.arguments(asked, CUDA, host(devices=(h100,)), vocabulary)
    assert words[words.index("--gpu-memory-utilization") + 1] == share


@pytest.mark.parametrize("accelerator", [CPU, CUDA])
def test_adapters_can_be_loaded_at_run_time_where_a_version_takes_them(
    accelerator: Accelerator,
) -> None:
    name = "VLLM_ALLOW_RUNTIME_LORA_UPDATING"
    assert VLLM.environment(version(adapters=(SQL,)), accelerator, 0)[name] == "1"
    assert VLLM.environment(version(lora=Lora()), accelerator, 0)[name] == "1"
    assert name not in VLLM.environment(version(), accelerator, 0)


@pytest.mark.parametrize(
    ("memory", "weights", "cache"),
    [(16, 1, "12"), (6, 1, "2"), (4, 3, "1"), (1, 0, "1"), (1, 9, "1")],
)
def test_the_cache_on_a_cpu_takes_what_is_left_and_one_gibibyte_at_least(
    memory: int, weights: int, cache: str
) -> None:
    gib = 2**30
    found = version(resources={"memory": memory * gib})
    said = VLLM.environment(found, CPU, weights * gib + 1)
    assert said["VLLM_CPU_KVCACHE_SPACE"] == cache
    assert said["VLLM_CPU_OMP_THREADS_BIND"] == "nobind"


def test_the_registrys_environment_is_last() -> None:
    found = version(env={"VLLM_CPU_KVCACHE_SPACE": "7", "A": "b"})
    assert VLLM.environment(found, CPU, GB) == {
        "VLLM_CPU_KVCACHE_SPACE": "7",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "TORCHDYNAMO_DISABLE": "1",
        "A": "b",
    }
    on_cuda = VLLM.environment(found, CUDA, GB)
    assert (on_cuda["VLLM_CPU_KVCACHE_SPACE"], on_cuda["A"]) == ("7", "b")


def test_an_eager_engine_on_the_cpu_compiles_nothing_at_all() -> None:
    assert VLLM.environment(version(), CPU, GB)["TORCHDYNAMO_DISABLE"] == "1"
    on_cuda = VLLM.environment(version(serving={"enforce-eager": True}), CUDA, GB)
    assert "TORCHDYNAMO_DISABLE" not in on_cuda
    compiled = version(serving={"enforce-eager": False})
    assert "TORCHDYNAMO_DISABLE" not in VLLM.environment(compiled, CPU, GB)


def test_an_engine_that_compiles_on_the_cpu_saves_no_trace_that_it_could_not_load() -> None:
    compiled = version(serving={"enforce-eager": False})
    assert VLLM.environment(compiled, CPU, GB)["VLLM_USE_AOT_COMPILE"] == "0"
    for found, accelerator in ((version(), CPU), (compiled, CUDA)):
        assert "VLLM_USE_AOT_COMPILE" not in VLLM.environment(found, accelerator, GB)
    wished = version(serving={"enforce-eager": False}, env={"VLLM_USE_AOT_COMPILE": "1"})
    assert VLLM.environment(wished, CPU, GB)["VLLM_USE_AOT_COMPILE"] == "1"


def test_over_several_hosts_each_holds_its_part_of_the_weights() -> None:
    found = version(resources={"memory": 10 * 2**30, "hosts": 2})
    assert VLLM.environment(found, CPU, 4 * 2**30)["VLLM_CPU_KVCACHE_SPACE"] == "6"


LOCK = EngineLock("vllm", "0.32.0", CPU, "3.11", "ab" * 32, "/locks/x.lock", 147)
FILES = Snapshot("demo/tiny", "1" * 40, (FileDigest("w.safetensors", GB, "c" * 64),))


def test_an_engine_on_the_cpu_is_refused_the_sleep_that_it_lacks() -> None:
    asks = version(serving={"enable-sleep-mode": True})
    assert "--enable-sleep-mode" in VLLM.arguments(asks, CUDA, ON_GPU)
    with pytest.raises(NothingSuitableError) as refused:
        VLLM.arguments(asks, CPU, host())
    assert refused.value.message == (
        "tiny@v1 has enable-sleep-mode in its serving options, and on cpu engines cannot sleep"
    )
    off = version(serving={"enable-sleep-mode": False})
    assert "--no-enable-sleep-mode" in VLLM.arguments(off, CPU, host())


def test_a_release_is_exactly_what_runs() -> None:
    made = build_release(version(), FILES, LOCK, host(), number=3)
    assert made.title == "tiny #3 (v1)"
    assert (made.source, made.revision, made.snapshot) == ("demo/tiny", "1" * 40, FILES.digest)
    assert (made.engine, made.accelerator) == ("vllm-0.32.0-cpu-py311-abababab", "cpu")
    assert (made.memory, made.devices) == (16 * GB, 1)
    assert list(made.args) == [*ALWAYS, "--enforce-eager"]
    assert made.env["VLLM_CPU_KVCACHE_SPACE"] == "11"
    # without checks of its own it must still answer something
    (check,) = made.checks
    assert (check.prompt, check.contains, check.max_tokens) == ("Say hello.", "", 8)


def test_a_versions_own_checks_replace_the_default_one() -> None:
    own = Check(prompt="2+2?", contains="4")
    assert build_release(version(checks=(own,)), FILES, LOCK, host(), number=1).checks == (own,)


def test_the_patience_of_requests_goes_with_a_release_and_starts_none_anew() -> None:
    made = build_release(version(hold=300.0), FILES, LOCK, host(), number=3)
    assert (made.hold, made.as_json()["hold"]) == (300.0, 300.0)
    assert Release.from_json(made.as_json()).hold == 300.0
    usual = build_release(version(), FILES, LOCK, host(), number=3)
    assert "hold" not in usual.as_json()
    assert Release.from_json(usual.as_json()).hold == 120.0
    assert usual.same_as(made) and usual == made


def test_a_release_survives_its_json() -> None:
    made = build_release(
        version(checks=(Check("a"),), env={"A": "b"}), FILES, LOCK, host(), number=1
    )
    assert type(made).from_json(made.as_json()) == made
    assert made.as_json()["checks"] == [
        {"prompt": "a", "contains": "", "max_tokens": 32, "timeout": 60.0}
    ]
    wide = replace(made, span=Span(2, ("10.0.0.1", "10.0.0.2"), 28000))
    assert type(made).from_json(json.loads(json.dumps(wide.as_json()))) == wide
    again = build_release(
        version(checks=(Check("a"),), env={"A": "b"}), FILES, LOCK, host(), number=9
    )
    assert again.same_as(made)
    assert not build_release(version(), FILES, LOCK, host(), number=1).same_as(made)


def test_knowing_more_of_a_model_starts_nothing_anew_unless_it_adds_an_option() -> None:
    former = build_release(version(), FILES, LOCK, host(), number=1)
    assert "does" not in former.as_json()
    plain = ModelFacts(("LlamaForCausalLM",), template=True, context=4096)
    learned = build_release(version(), replace(FILES, facts=plain), LOCK, host(), number=1)
    assert learned.does == Capabilities(context=4096)
    assert learned.same_as(former)
    assert type(learned).from_json(json.loads(json.dumps(learned.as_json()))) == learned

    tools = replace(plain, tools=True, marks=("<tool_call>",))
    able = build_release(version(), replace(FILES, facts=tools), LOCK, host(), number=1)
    added = [word for word in able.args if word not in former.args]
    assert added == ["--enable-auto-tool-choice", "--tool-call-parser", "hermes"]
    assert not able.same_as(former)
