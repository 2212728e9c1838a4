"""The names that vLLM gives to flags, variables and metrics: one row for each minor version.

A release of vLLM that renames one gets a row here, which says what differs from the row before it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields

from toolkit.planning.engines.figures import Figures


@dataclass(frozen=True, slots=True)
class Flags:
    """Flags of `vllm serve`, without dashes: those that the toolkit gives, and those that it reads."""

    served_name: str = "served-model-name"
    shutdown_timeout: str = "shutdown-timeout"
    no_access_log: str = "disable-uvicorn-access-log"
    middleware: str = "middleware"
    host: str = "host"
    port: str = "port"
    eager: str = "enforce-eager"
    remote_code: str = "trust-remote-code"
    utilization: str = "gpu-memory-utilization"
    tensor_parallel: str = "tensor-parallel-size"
    pipeline_parallel: str = "pipeline-parallel-size"
    executor: str = "distributed-executor-backend"
    nodes: str = "nnodes"
    node: str = "node-rank"
    leader_address: str = "master-addr"
    leader_port: str = "master-port"
    follower: str = "headless"
    context: str = "max-model-len"
    sequences: str = "max-num-seqs"
    batch: str = "max-num-batched-tokens"
    dtype: str = "dtype"
    block: str = "block-size"
    cache_dtype: str = "kv-cache-dtype"
    cache_size: str = "kv-cache-memory-bytes"
    prefixes: str = "enable-prefix-caching"
    state_dtype: str = "mamba-ssm-cache-dtype"
    convolution_dtype: str = "mamba-cache-dtype"
    drafts: str = "speculative-config"
    state_window: str = "use-replayssm"
    lora: str = "enable-lora"
    active_loras: str = "max-loras"
    kept_loras: str = "max-cpu-loras"
    lora_rank: str = "max-lora-rank"
    lora_modules: str = "lora-modules"
    sleep: str = "enable-sleep-mode"
    servers: str = "api-server-count"
    data_parallel: str = "data-parallel-size"
    delta_rule: str = "gdn-prefill-backend"


@dataclass(frozen=True, slots=True)
class Variables:
    """Environment variables that vLLM itself defines."""

    cpu_cache: str = "VLLM_CPU_KVCACHE_SPACE"
    cpu_binding: str = "VLLM_CPU_OMP_THREADS_BIND"
    address: str = "VLLM_HOST_IP"
    no_usage_statistics: str = "VLLM_NO_USAGE_STATS"
    cache_root: str = "VLLM_CACHE_ROOT"
    flashinfer_sampler: str = "VLLM_USE_FLASHINFER_SAMPLER"
    deep_gemm: str = "VLLM_USE_DEEP_GEMM"
    flashinfer_sums: str = "VLLM_ALLREDUCE_USE_FLASHINFER"
    lora_at_run_time: str = "VLLM_ALLOW_RUNTIME_LORA_UPDATING"


@dataclass(frozen=True, slots=True)
class Metrics:
    """Metrics of `/metrics`: gauges of requests, what the cache holds, and what moves with each step of the engine.

    Counters of tokens move with the first token of an answer, the use of the cache with each part of a long prompt.
    `until_first` and `between` are histograms of seconds: until the first token, and between tokens.
    """

    running: str = "vllm:num_requests_running"
    waiting: str = "vllm:num_requests_waiting"
    cache: str = "vllm:cache_config_info"
    prompt: str = "vllm:prompt_tokens"
    generated: str = "vllm:generation_tokens"
    cache_use: str = "vllm:kv_cache_usage_perc"
    preemptions: str = "vllm:num_preemptions"
    until_first: str = "vllm:time_to_first_token_seconds"
    between: str = "vllm:inter_token_latency_seconds"


@dataclass(frozen=True, slots=True)
class Names:
    """The names in one minor version of vLLM."""

    flags: Flags = Flags()
    variables: Variables = Variables()
    metrics: Metrics = Metrics()

    @property
    def figures(self) -> Figures:
        """The metrics for rules and dashboards."""
        return Figures(
            first=self.metrics.until_first,
            between=self.metrics.between,
            queue="vllm:request_queue_time_seconds",
            whole="vllm:e2e_request_latency_seconds",
            running=self.metrics.running,
            waiting=self.metrics.waiting,
            cache=self.metrics.cache_use,
            prompt=self.metrics.prompt,
            cached="vllm:prompt_tokens_cached",
            generated=self.metrics.generated,
            preempted=self.metrics.preemptions,
            steps="vllm:iteration_tokens_total",
        )


# The sources in the wheel of each of these have all of its names, see `vllm_check.missing_names`.
BY_MINOR: Mapping[tuple[int, int], Names] = {
    (0, 31): Names(),
    (0, 32): Names(),
    (0, 33): Names(),
}


def names(version: str) -> Names:
    """Return the names in `version` (`0.32.0`): those of its row, or of the newest row before it."""
    return BY_MINOR[row_of(minor(version), BY_MINOR)]


def row_of(wanted: tuple[int, int], known: Collection[tuple[int, int]]) -> tuple[int, int]:
    """Return the version of `known` that stands for `wanted`: the newest up to it, or else the oldest."""
    return max((each for each in known if each <= wanted), default=min(known))


def minor(version: str) -> tuple[int, int]:
    """Return `(0, 32)` for `0.32.0`."""
    first, second = version.split(".")[:2]
    return int(first), int(second)


def all_of(group: Flags | Variables | Metrics | Figures) -> tuple[str, ...]:
    """Return the names of a group, in the order of its fields."""
    return tuple(getattr(group, field.name) for field in fields(group))
