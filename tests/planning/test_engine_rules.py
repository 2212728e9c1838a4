"""What a registry may say to vLLM: every name of every version is judged, every value is checked."""

# One row of a table is one line, however long.
# ruff: noqa: E501

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scripts.engine_table import module_text
from toolkit.planning.engines import vllm_allowed, vllm_permissions
from toolkit.planning.engines.vllm_names import BY_MINOR
from toolkit.planning.engines.vllm_reserved import ENGINE_ENV, RESERVED_FLAGS
from toolkit.planning.engines.vllm_rules import flag_fault, permission_fault, variable_fault
from toolkit.planning.engines.vllm_table import table_of, words_of

VERSIONS = [f"{first}.{second}.0" for first, second in BY_MINOR]
V = "0.32.0"
CODE = "it can name code, files or weights that nothing pins"


@pytest.mark.parametrize("version", VERSIONS)
def test_each_version_has_a_table_of_its_own(version: str) -> None:
    assert f"{table_of(version).minor}.0" == version
    assert table_of("0.99.1").minor == "0.33"
    assert table_of("0.1.0").minor == "0.31"


@pytest.mark.parametrize("row", BY_MINOR)
def test_a_table_states_only_what_differs_from_the_version_before(row: tuple[int, int]) -> None:
    words, before = words_of(row), words_of((row[0], row[1] - 1))
    module = Path(vllm_allowed.__file__).with_name(f"vllm_table_{row[0]}_{row[1]}.py")
    assert module_text(f"{row[0]}.{row[1]}", words, before) == module.read_text()


# name -> the versions that have it
SINCE_AND_UNTIL = {
    "enforce-eager": ["0.31", "0.32", "0.33"],
    "grpc-port": ["0.32", "0.33"],
    "watchdog-config": ["0.33"],
    "VLLM_ENGINE_ITERATION_TIMEOUT_S": ["0.31"],
    "VLLM_USE_RAY_WRAPPED_PP_COMM": ["0.31", "0.32"],
    "VLLM_ROCM_MONO_DECODE": ["0.32"],
    "VLLM_CHAT_TEMPLATE_FUEL": ["0.33"],
    "hermes": ["0.31", "0.32", "0.33"],
    "qwen3_json": ["0.32", "0.33"],
    "step5": ["0.33"],
    "minicpmv": ["0.32", "0.33"],
}


@pytest.mark.parametrize("name", SINCE_AND_UNTIL)
def test_a_version_has_the_names_of_those_before_but_for_the_ones_that_it_lost(name: str) -> None:
    having = [
        table.minor
        for table in map(table_of, VERSIONS)
        if name in {*table.flags, *table.variables, *table.tool_parsers, *table.reasoning_parsers}
    ]
    assert having == SINCE_AND_UNTIL[name]


def test_a_flag_has_the_words_of_the_newest_version_that_changed_it() -> None:
    said = [table_of(version).flags["kv-cache-dtype"] for version in VERSIONS]
    assert set(said[1].choices) - set(said[0].choices) == {"ultraquant_4bit"}
    assert set(said[2].choices) - set(said[1].choices) == {
        "octave_k3v3", "octave_k3v3_compact", "octave_k3v4",
    }  # fmt: skip
    modes = [table_of(version).flags["mamba-cache-mode"].choices for version in VERSIONS]
    assert modes == [("align", "all", "none"), ("align", "none"), ("align", "none")]


def test_no_name_is_free_and_reserved_or_free_and_with_permission() -> None:
    free = vllm_allowed.FLAGS | vllm_allowed.VARIABLES
    never = RESERVED_FLAGS.keys() | ENGINE_ENV.keys()
    asked = vllm_permissions.FLAGS.keys() | vllm_permissions.VARIABLES.keys()
    assert not free & never
    assert not free & asked
    assert not never & asked


def test_every_name_in_the_lists_is_one_of_some_version() -> None:
    known = {name for version in VERSIONS for name in table_of(version).flags}
    known |= {name for version in VERSIONS for name in table_of(version).variables}
    known |= {key for version in VERSIONS for key in table_of(version).keys}
    # Variables of the libraries under the engine, which its table does not have.
    known |= {"DO_NOT_TRACK", "TRANSFORMERS_OFFLINE", "TORCHINDUCTOR_CACHE_DIR"}
    known |= {"TRITON_CACHE_DIR", "CUDA_CACHE_PATH", "FLASHINFER_WORKSPACE_BASE"}
    known |= {"GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"}
    listed = [
        vllm_allowed.FLAGS, vllm_allowed.VARIABLES, vllm_allowed.RANGES, RESERVED_FLAGS, ENGINE_ENV,
        vllm_permissions.FLAGS, vllm_permissions.VARIABLES, vllm_permissions.VALUES, vllm_permissions.KEYS,
        vllm_permissions.VARIABLE_VALUES,
    ]  # fmt: skip
    passed_on = {
        name for name in vllm_allowed.RANGES if name.startswith("override-generation-config.")
    }
    assert not {name for names in listed for name in names} - known - passed_on


@pytest.mark.parametrize("version", VERSIONS)
def test_a_flag_with_free_words_has_them_in_each_version(version: str) -> None:
    for name, free in vllm_permissions.VALUES.items():
        option = table_of(version).flags[name]
        assert set(free) <= set(option.choices or free), name


@pytest.mark.parametrize("version", VERSIONS)
def test_a_flag_that_nobody_has_judged_needs_a_permission(version: str) -> None:
    judged = vllm_allowed.FLAGS | RESERVED_FLAGS.keys() | vllm_permissions.FLAGS.keys()
    for name in table_of(version).flags.keys() - judged:
        fault = flag_fault(version, name, _fitting(version, name))
        assert fault is not None
        assert vllm_permissions.UNJUDGED in fault.message, name
        assert flag_fault(version, name, _fitting(version, name), {name}) is None


def _fitting(version: str, name: str) -> Any:
    """Return a value that the flag takes."""
    option = table_of(version).flags[name]
    samples = {"switch": True, "mark": True, "json": "{}", "text": "x", "one of": ""}
    return samples.get(option.kind, option.low)


# flag, value -> the message; None where it is free
VALUES: list[tuple[str, Any, str | None]] = [
    ("max-model-len", 8192, None),
    ("max-model-len", "16k", None),
    ("max-model-len", "16.5k", None),
    ("max-model-len", "16.5K", "max-model-len: expected a whole number, or one such as 16k, not '16.5K'"),
    ("max-model-len", "auto", None),
    ("max-model-len", -1, "max-model-len: expected 1 to 134,217,728, not -1"),
    ("max-model-len", 0, "max-model-len: expected 1 to 134,217,728, not 0"),
    ("max-model-len", "9" * 18 + "T", "max-model-len: expected 1 to 134,217,728, not '999999999999999999T'"),
    ("max-model-len", 1e3, "max-model-len: expected a whole number, or one such as 16k, not 1000.0"),
    ("max-num-seqs", "16", "max-num-seqs: expected a whole number, not '16'"),
    ("max-num-seqs", 10**30, "max-num-seqs: expected 1 to 65,536, not 1000000000000000000000000000000"),
    ("max-logprobs", -1, None),
    ("max-logprobs", -2, "max-logprobs: expected -1 to 1,048,576, not -2"),
    ("gpu-memory-utilization", 0.9, None),
    ("gpu-memory-utilization", 1.5, "gpu-memory-utilization: expected 0.01 to 1, not 1.5"),
    ("gpu-memory-utilization", "٠.٩", "gpu-memory-utilization: expected a number, not '٠.٩'"),
    ("gpu-memory-utilization", float("nan"), "gpu-memory-utilization: expected a number, not nan"),
    ("gpu-memory-utilization", True, "gpu-memory-utilization: expected a number, not true"),
    ("enforce-eager", False, None),
    ("enforce-eager", "true", "enforce-eager: expected true or false, not 'true'"),
    ("disable-log-stats", True, "serving option 'disable-log-stats' is reserved"),
    ("cudagraph-capture-sizes", (1, 2, 4), None),
    ("cudagraph-capture-sizes", 4, None),
    ("cudagraph-capture-sizes", [], "cudagraph-capture-sizes: expected 1 to 256 values, not an empty list"),
    ("cudagraph-capture-sizes", [1] * 257, "cudagraph-capture-sizes: expected 1 to 256 values, not a list"),
    ("max-num-seqs", [1], "max-num-seqs: expected one value, not a list"),
    ("dtype", "bfloat16", None),
    ("max-lora-rank", 16, None),
    ("max-lora-rank", 17, "max-lora-rank: expected one of the engine's words, not 17"),
    ("quantization", "awq_marlin", None),
    ("quantization", "/tmp/x.py", "quantization: expected one of the engine's words, not '/tmp/x.py'"),
    ("tool-call-parser", "x" * 20_000, f"tool-call-parser: expected at most 16384 characters, not '{'x' * 57}...'"),
    ("response-role", " ", "response-role: expected text, not ' '"),
    ("chat-template", "{{ messages }}", None),
    ("chat-template", "/etc/passwd", f"serving option 'chat-template' needs a permission: {vllm_permissions.TEMPLATE_REASON}"),
    ("load-format", "safetensors", None),
    ("load-format", "pt", f"serving option 'load-format' needs a permission: 'pt' is none of auto, safetensors, fastsafetensors, mistral; {vllm_permissions.VALUE_REASON}"),
    ("distributed-executor-backend", "my.module.Executor", f"serving option 'distributed-executor-backend' needs a permission: 'my.module.Executor' is none of mp, uni; {vllm_permissions.VALUE_REASON}"),
    ("log-level", "WARNING", None),
    ("log-level", "DEBUG", "serving option 'log-level' needs a permission: 'DEBUG' is none of CRITICAL, ERROR, WARNING, INFO; with others prompts and answers go into the log"),
    ("log-level", "NOTSET", "serving option 'log-level' needs a permission: 'NOTSET' is none of CRITICAL, ERROR, WARNING, INFO; with others prompts and answers go into the log"),
    ("generation-config", "/tmp", f"serving option 'generation-config' needs a permission: '/tmp' is none of auto, vllm; {vllm_permissions.VALUE_REASON}"),
    ("hf-overrides", '{"rope_scaling": {"factor": 2}}', None),
    ("hf-overrides", '{"text_config": {"auto_map": {}}}', f"serving option 'hf-overrides' needs a permission: key 'auto_map': {CODE}"),
    ("hf-overrides", "[1]", "hf-overrides: expected a JSON object, not '[1]'"),
    ("hf-overrides", '{"a": NaN}', "hf-overrides: expected a JSON object, not '{\"a\": NaN}'"),
    ("hf-overrides", '{"a": 1, "a": 2}', "hf-overrides: expected a JSON object, not '{\"a\": 1, \"a\": 2}'"),
    ("hf-overrides", "[" * 10_000, f"hf-overrides: expected a JSON object, not '{'[' * 57}...'"),
    ("override-generation-config", '{"temperature": 0.5}', None),
    ("speculative-config", '{"method": "ngram", "num_speculative_tokens": 3}', None),
    ("speculative-config", '{"model": "acme/draft"}', f"serving option 'speculative-config' needs a permission: key 'model': {CODE}"),
    ("speculative-config", '{"method": "custom_class"}', f"serving option 'speculative-config' needs a permission: 'custom_class': {CODE}"),
    ("spec-method", "custom_class", f"serving option 'spec-method' needs a permission: 'custom_class': {CODE}"),
    ("compilation-config", '{"cudagraph_capture_size": [1]}', f"serving option 'compilation-config' needs a permission: key 'cudagraph_capture_size': {CODE}; did you mean 'cudagraph_capture_sizes'?"),
    ("compilation-config", '{"inductor_passes": {"a": "os.system"}}', f"serving option 'compilation-config' needs a permission: key 'inductor_passes': {CODE}"),
    # names of the engine's own methods
    ("tool-call-parser", "hermes", None),
    ("tool-call-parser", "hermez", "tool-call-parser: expected one of the engine's words, not 'hermez'"),
    ("reasoning-parser", "../x", "reasoning-parser: expected one of the engine's words, not '../x'"),
    ("quantization", "AWQ", None),
    ("quantization", "awq_marlyn", "quantization: expected one of the engine's words, not 'awq_marlyn'"),
    ("kv-cache-dtype", "fp9", "kv-cache-dtype: expected one of the engine's words, not 'fp9'"),
    ("load-format", "Safetensors", None),
    ("load-format", "safetensorz", "load-format: expected one of the engine's words, not 'safetensorz'"),
    ("attention-backend", "flash_attn", None),
    ("attention-backend", "FLASH_ATTNN", "attention-backend: expected one of the engine's words, not 'FLASH_ATTNN'"),
    ("mm-encoder-attn-backend", "x", "mm-encoder-attn-backend: expected one of the engine's words, not 'x'"),
    ("mamba-backend", "x", "mamba-backend: expected one of the engine's words, not 'x'"),
    ("tokenizer-mode", "slow", "tokenizer-mode: expected one of the engine's words, not 'slow'"),
    ("structured-outputs-config", '{"backend": "foo"}', "structured-outputs-config.backend: expected one of the engine's words, not 'foo'"),
    ("structured-outputs-config.reasoning_parser", "x", "structured-outputs-config.reasoning_parser: expected one of the engine's words, not 'x'"),
    ("speculative-config.quantization", "x", "speculative-config.quantization: expected one of the engine's words, not 'x'"),
    ("attention-config", '{"backend": "flashinfer", "flash_attn_version": 3}', None),
    ("attention-config", '{"flash_attn_version": 7}', "attention-config.flash_attn_version: expected one of the engine's words, not 7"),
    # values inside JSON
    ("speculative-config", '{"num_speculative_tokens": 1000000000000}', "speculative-config.num_speculative_tokens: expected 1 to 1,024, not 1000000000000"),
    ("speculative-config", '{"num-speculative-tokens": -1}', "speculative-config.num_speculative_tokens: expected 1 to 1,024, not -1"),
    ("speculative-config", '{"num_speculative_tokens": "3"}', "speculative-config.num_speculative_tokens: expected a whole number, not '3'"),
    ("speculative-config", '{"num_speculative_tokens": true}', "speculative-config.num_speculative_tokens: expected a whole number, not true"),
    ("speculative-config", '{"num_speculative_tokens": [3]}', "speculative-config.num_speculative_tokens: expected one value, not a list"),
    ("speculative-config", '{"num_speculative_tokens": null}', None),
    ("limit-mm-per-prompt", '{"image": 4, "video": {"count": 1, "num_frames": 32}}', None),
    ("limit-mm-per-prompt", '{"image": -1}', "limit-mm-per-prompt.image: expected 0 to 1,048,576, not -1"),
    ("limit-mm-per-prompt", '{"video": {"count": "1"}}', "limit-mm-per-prompt.video.count: expected a number, not '1'"),
    ("hf-overrides", '{"rope_scaling": {"factor": 1e300}}', "hf-overrides.rope_scaling.factor: expected -9,007,199,254,740,992 to 9,007,199,254,740,992, not 1e+300"),
    ("hf-overrides", '{"a": [[{"b": 1e200}]]}', "hf-overrides.a.b: expected -9,007,199,254,740,992 to 9,007,199,254,740,992, not 1e+200"),
    ("hf-overrides", '{"\\u001b[31m": 1e200}', "hf-overrides.\\x1b[31m: expected -9,007,199,254,740,992 to 9,007,199,254,740,992, not 1e+200"),
    ("hf-overrides", '{"a": true, "b": null, "c": "x", "d": []}', None),
    ("override-generation-config", '{"temperature": "hot", "top_p": 5}', "override-generation-config.temperature: expected a number, not 'hot'; override-generation-config.top_p: expected 0.0001 to 1, not 5"),
    ("compilation-config", '{"cudagraph_capture_sizes": 8}', "compilation-config.cudagraph_capture_sizes: expected a JSON list, not 8"),
    ("compilation-config", '{"cudagraph_capture_sizes": "8"}', "compilation-config.cudagraph_capture_sizes: expected a JSON list, not '8'"),
    ("compilation-config.cudagraph_capture_sizes", 8, "compilation-config.cudagraph_capture_sizes: expected a JSON list, not 8"),
    ("compilation-config", '{"cudagraph_capture_sizes": {"1": 2}}', "compilation-config.cudagraph_capture_sizes: expected a JSON list, not {'1': 2}"),
    ("compilation-config", '{"cudagraph_capture_sizes": [[1]]}', "compilation-config.cudagraph_capture_sizes: expected one value, not a list"),
    ("compilation-config", '{"cudagraph_capture_sizes": [1, 2, -4]}', "compilation-config.cudagraph_capture_sizes: expected 1 to 1,048,576, not -4"),
    ("compilation-config", '{"mode": 3, "pass_config": {"fuse_norm_quant": 1}}', "compilation-config.pass_config.fuse_norm_quant: expected true or false, not 1"),
    ("compilation-config.pass_config.fuse_norm_quant", True, None),
    # keys after a dot
    ("speculative-config.num_speculative_tokens", 10**12, "speculative-config.num_speculative_tokens: expected 1 to 1,024, not 1000000000000"),
    ("speculative-config.num_speculative_tokens", "3", None),
    ("limit_mm_per_prompt.image", -1, "limit-mm-per-prompt.image: expected 0 to 1,048,576, not -1"),
    ("speculative-config.method", "ngram", None),
    ("speculative-config.model", "acme/draft", f"serving option 'speculative-config.model' needs a permission: key 'model': {CODE}"),
    ("hf_overrides.text-config", '{"auto_map": {}}', f"serving option 'hf_overrides.text-config' needs a permission: key 'auto_map': {CODE}"),
    ("kv_transfer_config.kv_connector", "X", "serving option 'kv_transfer_config.kv_connector' needs a permission: it opens ports or connections beside the router"),
    ("max-num-seqs.x", 1, "'max-num-seqs' takes no keys"),
    # names
    ("max-model", 1, "vLLM 0.32 has no flag 'max-model'"),
    ("middleware", "a.b", "serving option 'middleware' is reserved"),
    ("logits-processors", ["a:b"], "serving option 'logits-processors' needs a permission: it loads code by its name"),
    ("io-processor-plugin", "x", "serving option 'io-processor-plugin' needs a permission: it loads code by its name"),
    ("enable-prompt-embeds", True, "serving option 'enable-prompt-embeds' needs a permission: clients choose what the engine loads or computes with"),
    ("logging-config.pylogging_config_file", "/x", "serving option 'logging-config.pylogging_config_file' needs a permission: it loads code by its name"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "message"), VALUES, ids=range(len(VALUES)))
def test_a_flag_and_its_value(name: str, value: Any, message: str | None) -> None:
    fault = flag_fault(V, name, value)
    assert (fault and fault.message) == message
    if fault and "needs a permission" in fault.message:
        assert flag_fault(V, name, value, {name.partition(".")[0].replace("_", "-")}) is None


LEVELS = "CRITICAL, ERROR, WARNING, INFO; with others prompts and answers go into the log"
# variable, value -> the message; None where it is free
VARIABLES = [
    ("VLLM_LOGGING_LEVEL", "WARNING", None),
    ("VLLM_LOGGING_LEVEL", "info", None),
    ("VLLM_LOGGING_LEVEL", "debug", f"environment variable VLLM_LOGGING_LEVEL needs a permission: 'debug' is none of {LEVELS}"),
    ("VLLM_LOGGING_LEVEL", "10", f"environment variable VLLM_LOGGING_LEVEL needs a permission: '10' is none of {LEVELS}"),
    ("VLLM_CPU_KVCACHE_SPACE", "4", None),
    ("VLLM_CPU_KVCACHE_SPACE", "0.5", "VLLM_CPU_KVCACHE_SPACE: expected a whole number in quotes, not '0.5'"),
    ("VLLM_CPU_KVCACHE_SPACE", "٤", "VLLM_CPU_KVCACHE_SPACE: expected a whole number in quotes, not '٤'"),
    ("VLLM_CPU_KVCACHE_SPACE", "99999999", "VLLM_CPU_KVCACHE_SPACE: expected 0 to 65,536, not '99999999'"),
    ("VLLM_LOG_STATS_INTERVAL", "nan", "VLLM_LOG_STATS_INTERVAL: expected a number in quotes, not 'nan'"),
    ("VLLM_USE_DEEP_GEMM", "yes", "VLLM_USE_DEEP_GEMM: expected \"1\" or \"0\", not 'yes'"),
    ("OMP_NUM_THREADS", "4", None),
    ("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True", None),
    ("VLLM_LOGING_LEVEL", "DEBUG", "vLLM 0.32 has no variable VLLM_LOGING_LEVEL"),
    ("VLLM_SERVER_DEV_MODE", "1", "environment variable VLLM_SERVER_DEV_MODE is reserved"),
    ("VLLM_PLUGINS", "x", "environment variable VLLM_PLUGINS needs a permission: it loads code by its name"),
    ("VLLM_ALLOW_INSECURE_SERIALIZATION", "1", "environment variable VLLM_ALLOW_INSECURE_SERIALIZATION needs a permission: it unpickles data, and a pickle can run code"),
    ("VLLM_LOGGING_STREAM", "ext://os.system", "environment variable VLLM_LOGGING_STREAM needs a permission: it loads code by its name"),
    ("NCCL_NET_PLUGIN", "x", f"environment variable NCCL_NET_PLUGIN needs a permission: {vllm_permissions.UNJUDGED}"),
    ("BASH_ENV", "x", f"environment variable BASH_ENV needs a permission: {vllm_permissions.UNJUDGED}"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "message"), VARIABLES)
def test_a_variable_and_its_value(name: str, value: str, message: str | None) -> None:
    fault = variable_fault(V, name, value)
    assert (fault and fault.message) == message
    if fault and "needs a permission" in fault.message:
        assert variable_fault(V, name, value, {name}) is None


# name -> the message; None where a permission for it makes sense
PERMISSIONS = [
    ("kv-transfer-config", None),
    ("load-format", None),
    ("hf-overrides", None),
    ("VLLM_PLUGINS", None),
    ("VLLM_LOGGING_LEVEL", None),
    ("log-level", None),
    ("BASH_ENV", None),
    ("watermark-config", None),
    ("max-num-seqs", "'max-num-seqs' needs no permission"),
    ("OMP_NUM_THREADS", "'OMP_NUM_THREADS' needs no permission"),
    ("middleware", "'middleware' is reserved, and no permission opens it"),
    ("VLLM_SERVER_DEV_MODE", "'VLLM_SERVER_DEV_MODE' is reserved, and no permission opens it"),
    ("kv-transfer", "vLLM 0.32 has no flag 'kv-transfer'"),
    ("VLLM_PLUGIN", "vLLM 0.32 has no variable VLLM_PLUGIN"),
]


@pytest.mark.parametrize(("name", "message"), PERMISSIONS)
def test_a_permission_names_what_needs_one(name: str, message: str | None) -> None:
    fault = permission_fault(V, name)
    assert (fault and fault.message) == message
