"""What each minor version of an engine is told, and where its state shows."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

import pytest

from tests.planning.facts import GB, gpu, host, release, version
from toolkit.domain.accelerator import Accelerator
from toolkit.domain.engines.engine import ENGINES, EngineLock, engine_spec
from toolkit.domain.registry.model import Permission
from toolkit.domain.registry.release_parts import EngineSpec
from toolkit.errors import InputError
from toolkit.planning.engines import engine_named, engine_of
from toolkit.planning.engines.port import EngineOptions, Seat
from toolkit.planning.engines.vllm_names import BY_MINOR, names

CUDA, CPU = Accelerator.CUDA, Accelerator.CPU
HOME = "/opt/tk/caches/tiny-blue"
VERSIONS = ("0.31.0", "0.32.0", "0.33.0")
GPUS = host(devices=(gpu(0, 24, 24), gpu(1, 24, 24)))
ON_TWO_GPUS = {"memory": 40 * GB, "devices": 2}
WIDE: dict[str, Any] = {**ON_TWO_GPUS, "hosts": 2}

ALWAYS = "--served-model-name tiny --shutdown-timeout 30 --disable-uvicorn-access-log"
ARGUMENTS = [
    ({}, CPU, "--enforce-eager"),
    ({"resources": {"memory": 4 * GB, "hosts": 2}}, CPU,
     "--tensor-parallel-size 2 --distributed-executor-backend mp --enforce-eager"),
    ({"resources": ON_TWO_GPUS}, CUDA,
     "--tensor-parallel-size 2 --gdn-prefill-backend triton --gpu-memory-utilization 0.8044"),
    ({"resources": WIDE}, CUDA,
     "--tensor-parallel-size 2 --pipeline-parallel-size 2 --distributed-executor-backend mp "
     "--gdn-prefill-backend triton --gpu-memory-utilization 0.8044"),
    ({"permission": Permission(trust_remote_code=True, reason="read")}, CPU,
     "--enforce-eager --trust-remote-code"),
]  # fmt: skip
ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "11",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "TORCHDYNAMO_DISABLE": "1",
}
SURROUNDINGS = {
    "VLLM_HOST_IP": "127.0.0.1",
    "GLOO_SOCKET_IFNAME": "lo",
    "NCCL_SOCKET_IFNAME": "=lo",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "PYTHONSAFEPATH": "1",
}
READ = (
    "--max-model-len 16k --max-num-seqs 8 --max-num-batched-tokens 64 --tensor-parallel-size 2 "
    "--pipeline-parallel-size 3 --kv-cache-dtype fp8 --dtype half --block-size 32 --enforce-eager "
    "--gpu-memory-utilization 0.5 --kv-cache-memory-bytes 7"
)


@pytest.mark.parametrize("number", VERSIONS)
class TestVllm:
    """The same for each of its versions; what differs gets a row of its own."""

    engine = engine_named("vllm")

    @pytest.mark.parametrize(("more", "accelerator", "words"), ARGUMENTS)
    def test_every_engine_version_gets_these_arguments(
        self, number: str, more: dict[str, Any], accelerator: Accelerator, words: str
    ) -> None:
        wanted = version(engine=EngineSpec("vllm", number), **more)
        facts = GPUS if accelerator is CUDA else host()
        assert self.engine.arguments(wanted, accelerator, facts) == (*f"{ALWAYS} {words}".split(),)

    def test_every_engine_version_gets_this_environment(self, number: str) -> None:
        wanted = version(engine=EngineSpec("vllm", number))
        assert self.engine.environment(wanted, CPU, GB) == ENVIRONMENT
        assert self.engine.environment(wanted, CUDA, GB) == {
            "VLLM_USE_FLASHINFER_SAMPLER": "0",
            "VLLM_USE_DEEP_GEMM": "0",
        }

    def test_the_process_of_one_host(self, number: str) -> None:
        lock = f"vllm-{number}-cpu-py311-aaaaaaaa"
        made = replace(release(1), engine=lock, snapshot="abc", args=("--a", "b"))
        seat = Seat("/opt/tk", 8100, HOME, compiling="/opt/tk/compiling/here")
        served = (
            f"/opt/tk/engines/{lock}/bin/vllm serve . --middleware toolkit_recorder.Recorder "
            "--host 127.0.0.1 --port 8100 --a b"
        )
        # One server with a core and a worker on the CPU; elsewhere the server alone, which starts the others itself.
        ahead = f"/opt/tk/engines/{lock}/bin/python -m toolkit_starter 1,1 "
        assert " ".join(self.engine.command(made, seat)) == ahead + served
        for other in (replace(made, accelerator="cuda"), replace(made, devices=2)):
            assert " ".join(self.engine.command(other, seat)) == served
        # So the key of compiled graphs has nothing of the snapshot.
        assert self.engine.directory(made, seat) == "/opt/tk/snapshots/abc"
        assert self.engine.surroundings(made, seat) == {
            **SURROUNDINGS,
            "PYTHONPATH": "/opt/tk/slots/tiny-blue/python",
            "TOOLKIT_USE": (
                '{"directory": "/opt/tk/caches/tiny-blue/use", "program": "tiny-blue", '
                f'"model": "tiny", "version": "{made.version}", "release": 1, "engine": "{lock}"}}'
            ),
            "VLLM_CACHE_ROOT": "/opt/tk/compiling/here/vllm",
            # Not in the home of the slot: engines before 0.32 name what they have compiled by these places.
            "VLLM_CONFIG_ROOT": "/opt/tk/compiling/here/vllm/config",
            "VLLM_XLA_CACHE_PATH": "/opt/tk/compiling/here/vllm/xla",
            "TORCHINDUCTOR_CACHE_DIR": "/opt/tk/compiling/here/inductor",
            "TRITON_CACHE_DIR": "/opt/tk/compiling/here/triton",
            "CUDA_CACHE_PATH": "/opt/tk/compiling/here/cuda",
            "FLASHINFER_WORKSPACE_BASE": "/opt/tk/compiling/here/flashinfer",
        }

    @pytest.mark.parametrize(
        ("rank", "more"),
        [
            (0, " --middleware toolkit_recorder.Recorder"),
            # Only the leader serves.
            (1, " --headless"),
        ],
    )
    def test_the_processes_of_several_hosts(self, number: str, rank: int, more: str) -> None:
        made = replace(release(1), engine=f"vllm-{number}-cpu-py311-aaaaaaaa", args=())
        seat = Seat("/opt/tk", 8100, HOME, ("10.0.0.1", "10.0.0.2"), rank, 28001)
        assert " ".join(self.engine.command(made, seat)[3:]) == (
            f"--nnodes 2 --node-rank {rank} --master-addr 10.0.0.1 --master-port 28001{more} "
            "--host 127.0.0.1 --port 8100"
        )
        around = self.engine.surroundings(made, seat)
        assert around["VLLM_HOST_IP"] == f"10.0.0.{rank + 1}"
        assert not {"GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"} & around.keys()
        assert {"PYTHONPATH", "TOOLKIT_USE"} <= around.keys() or rank
        assert not {"PYTHONPATH", "TOOLKIT_USE"} & around.keys() or not rank

    def test_every_engine_version_shows_these_signs(self, number: str) -> None:
        made = replace(release(1), engine=f"vllm-{number}-cpu-py311-aaaaaaaa", args=("--a",))
        assert self.engine.signs(made, 8100).as_json() == {
            "health": "/health",
            "metrics": "/metrics",
            "load": ("vllm:num_requests_running", "vllm:num_requests_waiting"),
            "cache": "vllm:cache_config_info",
            "memory": (
                "KV cache size: ",
                "Available KV cache memory: ",
                "Model loading took ",
                "Graph capturing finished",
                "GiB for KV cache",
            ),
            "server": "serve",
            "ending": ("--host", "127.0.0.1", "--port", "8100", "--a"),
            "progress": (
                "vllm:prompt_tokens",
                "vllm:generation_tokens",
                "vllm:kv_cache_usage_perc",
            ),
            "core": "VLLM::",
            "ranks": r"_(TP|DCP|EP)\d+",
            "preemptions": "vllm:num_preemptions",
            "times": {
                "first": "vllm:time_to_first_token_seconds",
                "between": "vllm:inter_token_latency_seconds",
            },
            "flow": {
                "running": "vllm:num_requests_running",
                "waiting": "vllm:num_requests_waiting",
                "prompt": "vllm:prompt_tokens",
                "generated": "vllm:generation_tokens",
                "cache_use": "vllm:kv_cache_usage_perc",
            },
            "fatal": ("EngineDeadError", "CUDA error", "torch.OutOfMemoryError"),
            "probe": {
                "path": "/v1/completions",
                "body": {"model": "tiny", "prompt": "a", "max_tokens": 1, "temperature": 0},
            },
            "adapters": "",
        }
        takes = replace(made, args=("--enable-lora", "--a"))
        assert self.engine.signs(takes, 8100).adapters == "/v1/models"

    def test_what_options_mean(self, number: str) -> None:
        assert self.engine.read_options(number, READ.split(), {}) == EngineOptions(
            context=16_000,
            sequences=8,
            batch=64,
            tensor_parallel=2,
            pipeline_parallel=3,
            cache_dtype="fp8",
            dtype="half",
            block=32,
            eager=True,
            utilization=0.5,
            cache=7,
        )
        given = self.engine.read_options(number, (), {"VLLM_CPU_KVCACHE_SPACE": "2"})
        assert given == EngineOptions(cache=2 * 2**30)
        assert self.engine.context_flag(number) == "max-model-len"

    @pytest.mark.parametrize(
        ("accelerator", "alias"), [(CPU, {"name": "vllm", "version": "{}+cpu"}), (CUDA, {})]
    )
    def test_how_it_is_proved(
        self, number: str, accelerator: Accelerator, alias: dict[str, str]
    ) -> None:
        lock = EngineLock("vllm", number, accelerator, "3.11", "ab" * 32, "/x.lock", 1)
        assert self.engine.installation(lock) == {
            "engine_proof": ["vllm", "--version"],
            "engine_env": {"VLLM_NO_USAGE_STATS": "1"},
            "engine_alias": {name: text.format(number) for name, text in alias.items()},
        }


def test_every_row_has_its_table() -> None:
    assert [f"{major}.{minor}.0" for major, minor in sorted(BY_MINOR)] == list(VERSIONS)


@pytest.mark.parametrize(
    ("number", "row"),
    [("0.32.0", (0, 32)), ("0.32.5rc1", (0, 32)), ("0.40.0", (0, 33)), ("1.0", (0, 33)), ("0.9.1", (0, 31))],
)  # fmt: skip
def test_a_version_without_a_row_has_the_names_of_the_one_before(
    number: str, row: tuple[int, int]
) -> None:
    assert names(number) is BY_MINOR[row]


def test_engines_are_known_by_name_and_by_the_id_of_a_lock() -> None:
    assert engine_of("vllm-0.32.0-cpu-py311-1a2b3c4d") is engine_named("vllm")
    assert engine_spec("vllm-0.32.0-cpu-py311-1a2b3c4d") == EngineSpec("vllm", "0.32.0")
    assert [engine_named(name).name for name in ENGINES] == list(ENGINES)
    with pytest.raises(InputError, match="no engine 'other'; known: vllm"):
        engine_of("other-1.0-cpu-py311-1a2b3c4d")


SOURCES = {
    "vllm/engine/arg_utils.py": "add('--max-model-len')\nclass EngineArgs:\n    block_size: int = 1\n",
    "vllm/entrypoints/launchers/cli_args.py": "class FrontendArgs(Base):\n    host: str = ''\n    port: int = 1\n",
    "vllm/envs.py": "known = {'VLLM_HOST_IP': lambda: 1}\n",
    "vllm/v1/metrics/loggers.py": "gauge(name='vllm:num_requests_running')\n",
    "vllm/v1/worker/gpu_worker.py": "log(f'Model loading took {x} GiB')\n",
}


def test_what_a_package_lacks_is_read_from_its_sources() -> None:
    missing = engine_named("vllm").missing_names("0.32.0", SOURCES)
    lacking = {each.words for each in missing}
    # These are in the sources above; a field of EngineArgs alone makes no flag.
    assert not {"flag --max-model-len", "flag --host", "flag --port"} & lacking
    assert not {"variable VLLM_HOST_IP", "metric vllm:num_requests_running"} & lacking
    assert {"flag --block-size", "flag --headless", "variable VLLM_CACHE_ROOT"} <= lacking
    assert {"metric vllm:num_requests_waiting", "metric vllm:cache_config_info"} <= lacking
    assert {each.words for each in missing if not each.needed} == {
        # For rules and dashboards alone.
        "metric vllm:e2e_request_latency_seconds",
        "metric vllm:iteration_tokens_total",
        "metric vllm:prompt_tokens_cached",
        "metric vllm:request_queue_time_seconds",
        "log line 'KV cache size: '",
        "log line 'Available KV cache memory: '",
        "log line 'Graph capturing finished'",
        "log line 'GiB for KV cache'",
    }
    # Flags, variables, metrics, log lines.
    assert len(missing) == 35 + 8 + 8 + 4 + 4


def test_all_files_that_are_read_of_a_package_are_asked_for() -> None:
    sources = engine_named("vllm").sources
    assert all(any(fnmatchcase(path, each) for each in sources) for path in SOURCES)
