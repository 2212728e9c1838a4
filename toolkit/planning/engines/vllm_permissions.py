"""Flags, variables and values of vLLM that need a permission of their version, each with the reason.

A version names them under `permission.options`. A name that stands neither here nor in `vllm_allowed.py` needs one
too: nobody has judged it.
"""

from __future__ import annotations

UNJUDGED = "this toolkit has not judged what it does"
_CODE = "it loads code by its name"
_PICKLE = "it unpickles data, and a pickle can run code"
_CLIENT = "clients choose what the engine loads or computes with"
_PORTS = "it opens ports or connections beside the router"
_LOG = "prompts and answers go into the log"
_FILES = "it reads or writes files of the host that nothing pins"
_ENDPOINT = "it opens endpoints of the engine"
_WEIGHTS = "it loads weights that nothing pins"

FLAGS = {
    "logits-processors": _CODE,
    "io-processor-plugin": _CODE,
    "model-class-overrides": _CODE,
    "logging-config": _CODE,
    "log-config-file": _CODE,
    "ec-manager-config": _CODE,
    "additional-config": _CODE,
    "ray-workers-use-nsight": _CODE,
    "enable-prompt-embeds": _CLIENT,
    "enable-mm-embeds": _CLIENT,
    "trust-request-chat-template": _CLIENT,
    "trust-request-mm-kwargs": _CLIENT,
    "enable-trace-replay": _CLIENT,
    "tool-server": _PORTS,
    "kv-transfer-config": _PORTS,
    "kv-events-config": _PORTS,
    "ec-transfer-config": _PORTS,
    "weight-transfer-config": _PORTS,
    "otlp-traces-endpoint": _PORTS,
    "collect-detailed-traces": _PORTS,
    "data-parallel-address": _PORTS,
    "data-parallel-backend": _PORTS,
    "data-parallel-external-lb": _PORTS,
    "data-parallel-hybrid-lb": _PORTS,
    "data-parallel-multi-port-external-lb": _PORTS,
    "data-parallel-rank": _PORTS,
    "data-parallel-rpc-port": _PORTS,
    "data-parallel-size-local": _PORTS,
    "data-parallel-start-rank": _PORTS,
    "data-parallel-supervisor-port": _PORTS,
    "enable-elastic-ep": _PORTS,
    "enable-fault-tolerance": _PORTS,
    "fault-tolerance-config": _PORTS,
    "enable-log-outputs": _LOG,
    "profiler-config": _FILES,
    "mm-encoder-fp8-scale-path": _FILES,
    "mm-encoder-fp8-scale-save-path": _FILES,
    "model-loader-extra-config": _WEIGHTS,
    "spec-model": _WEIGHTS,
    "pt-load-map-location": _PICKLE,
    "tokens-only": _ENDPOINT,
    "enable-scale-out": _ENDPOINT,
    "enable-tokenizer-info-endpoint": _ENDPOINT,
}
VARIABLES = {
    "VLLM_ALLOW_INSECURE_SERIALIZATION": _PICKLE,
    "VLLM_PLUGINS": _CODE,
    "VLLM_MEDIA_CONNECTOR": _CODE,
    "VLLM_LOGGING_CONFIG_PATH": _CODE,
    "VLLM_LOGGING_STREAM": _CODE,
    "VLLM_CONFIGURE_LOGGING": _CODE,
    "VLLM_NCCL_SO_PATH": _CODE,
    "VLLM_CUDART_SO_PATH": _CODE,
    "VLLM_NCCL_INCLUDE_PATH": _CODE,
    "VLLM_CUDA_COMPATIBILITY_PATH": _CODE,
    "VLLM_ENABLE_CUDA_COMPATIBILITY": _CODE,
    "VLLM_RUST_FRONTEND_PATH": _CODE,
    "VLLM_USE_RUST_FRONTEND": _CODE,
    "VLLM_FORCE_AOT_LOAD": _CODE,
    "CUDA_HOME": _CODE,
    "VLLM_LORA_RESOLVER_CACHE_DIR": _WEIGHTS,
    "VLLM_LORA_RESOLVER_HF_REPO_LIST": _WEIGHTS,
    "VLLM_MEDIA_URL_ALLOW_REDIRECTS": _CLIENT,
    "VLLM_SKIP_MODEL_NAME_VALIDATION": _CLIENT,
    "VLLM_ENABLE_RESPONSES_API_STORE": "every answer stays in the engine's memory",
    "VLLM_ENABLE_COHERE_API": _ENDPOINT,
    "VLLM_DEBUG_LOG_API_SERVER_RESPONSE": _LOG,
    "VLLM_REQUEST_BODY_LOG_LEVEL": _LOG,
    "VLLM_TRACE_FUNCTION": _LOG,
    "VLLM_DEBUG_DUMP_PATH": _FILES,
    "VLLM_CONFIG_ROOT": _FILES,
    "VLLM_ASSETS_CACHE": _FILES,
    "VLLM_MEDIA_CACHE": _FILES,
    "VLLM_XLA_CACHE_PATH": _FILES,
    "VLLM_TUNED_CONFIG_FOLDER": _FILES,
    "VLLM_FLASHINFER_AUTOTUNE_CACHE_DIR": _FILES,
    "VLLM_RPC_BASE_PATH": _FILES,
    "VLLM_DP_MASTER_IP": _PORTS,
    "VLLM_DP_MASTER_PORT": _PORTS,
    "VLLM_EC_SIDE_CHANNEL_HOST": _PORTS,
    "VLLM_EC_SIDE_CHANNEL_PORT": _PORTS,
    "VLLM_NIXL_SIDE_CHANNEL_HOST": _PORTS,
    "VLLM_NIXL_SIDE_CHANNEL_PORT": _PORTS,
    "VLLM_P2P_SIDE_CHANNEL_HOST": _PORTS,
    "VLLM_P2P_SIDE_CHANNEL_PORT": _PORTS,
    "VLLM_MOONCAKE_BOOTSTRAP_PORT": _PORTS,
    "S3_ENDPOINT_URL": _PORTS,
    "GLOO_SOCKET_IFNAME": _PORTS,
    "NCCL_SOCKET_IFNAME": _PORTS,
}
# From DEBUG on the engine writes requests and answers as they are.
_LEVELS = ("CRITICAL", "ERROR", "WARNING", "INFO")
# flag -> its harmless values. Any other value needs a permission, for `VALUE_REASONS` or else `VALUE_REASON`.
VALUES = {
    "config-format": ("auto", "hf", "mistral"),
    "distributed-executor-backend": ("mp", "uni"),
    "generation-config": ("auto", "vllm"),
    "kv-offloading-backend": ("native",),
    "load-format": ("auto", "safetensors", "fastsafetensors", "mistral"),
    "log-level": _LEVELS,
    "model-impl": ("auto", "vllm", "transformers"),
}
# The same of variables, in capitals or small letters.
VARIABLE_VALUES = {"VLLM_LOGGING_LEVEL": _LEVELS}
VALUE_REASON = "other values load code, files or weights that nothing pins"
VALUE_REASONS = {"log-level": f"with others {_LOG}", "VLLM_LOGGING_LEVEL": f"with others {_LOG}"}
# flag -> the keys of its JSON that need no permission.
KEYS = {
    "attention-config": "backend backend_per_kind flash_attn_version flash_attn_max_num_splits_for_cuda_graph "
    "use_trtllm_attention disable_flashinfer_q_quantization mla_prefill_backend use_prefill_query_quantization "
    "indexer_kv_dtype use_non_causal",
    "aux-output-config": "enable_return_routed_experts",
    "compilation-config": "mode level custom_ops splitting_ops compile_mm_encoder cudagraph_mm_encoder compile_sizes "
    "compile_ranges_endpoints cudagraph_mode cudagraph_num_of_warmups cudagraph_capture_sizes cudagraph_copy_inputs "
    "cudagraph_specialize_lora max_cudagraph_capture_size use_inductor_graph_partition pass_config "
    "dynamic_shapes_config fast_moe_cold_start",
    "diffusion-config": "canvas_length max_denoising_steps",
    "engram-config": "cpu_offload embedding_across_dp dp_shared_memory use_thp",
    "eplb-config": "window_size step_interval num_redundant_experts log_balancedness log_balancedness_interval "
    "use_async policy",
    "kernel-config": "ir_op_priority enable_flashinfer_autotune enable_cutedsl_warmup enable_jit_warmup moe_backend "
    "linear_backend sparse_indexer_topk_backend",
    "pooler-config": "task pooling_type seq_pooling_type tok_pooling_type use_activation dimensions "
    "enable_flash_late_interaction enable_chunked_processing max_embed_len logit_mean logit_sigma step_tag_id "
    "returned_token_ids",
    "quantization-config": "linear moe ignore targets",
    "reasoning-config": "reasoning_parser reasoning_start_str reasoning_end_str",
    "speculative-config": "method num_speculative_tokens prompt_lookup_max prompt_lookup_min enforce_eager "
    "max_model_len attention_backend moe_backend kv_cache_dtype quantization draft_tensor_parallel_size "
    "disable_padded_drafter_batch suffix_decoding_max_tree_depth suffix_decoding_max_cached_requests "
    "suffix_decoding_max_spec_factor suffix_decoding_min_token_prob rejection_sample_method parallel_drafting",
    "structured-outputs-config": "backend disable_any_whitespace disable_additional_properties reasoning_parser "
    "enable_in_reasoning",
}
# Keys that name code, weights or files wherever they stand in the JSON of any flag; the end of a word counts too.
SUSPECT_KEYS = (
    "auto_map",
    "code_revision",
    "custom_pipeline",
    "trust_remote_code",
)
SUSPECT_ENDS = ("_cls", "_class", "_plugin", "module_path", "_file", "_dir", "_url", "_uri")
KEY_REASON = "it can name code, files or weights that nothing pins"
# Words that name a class instead of one of the engine's own methods.
SUSPECT_WORDS = ("custom_class",)
TEMPLATE_REASON = (
    "a template is pinned with the model, or written here in one line; a path is neither"
)
