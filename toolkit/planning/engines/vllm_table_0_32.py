"""The differences of vLLM 0.32 from the version before it: written by scripts/engine_table.py from the engine itself.

Flags stand by their kind and what bounds it, with their short spellings in brackets. Variables stand by their kind.
"""

# ruff: noqa: E501

FLAGS = {
    "count >=1": "max-num-scheduled-tokens",
    "integer": "grpc-port",
    "json": "custom-histogram-buckets",
    "one of aiter aiter_mega_moe aiter_triton_mxfp4_bf16 auto b12x batched_triton cutlass deep_gemm deep_gemm_mega_moe emulation flashinfer_b12x flashinfer_cutedsl flashinfer_cutlass flashinfer_moe_ep_cutedsl flashinfer_moe_ep_mega_deep_gemm flashinfer_trtllm flydsl hpc humming marlin rdna3 triton triton_unfused": "moe-backend",
    "one of aiter auto cooperative deep_select flashinfer per_row persistent torch": "sparse-indexer-topk-backend",
    "one of align none": "mamba-cache-mode",
    "one of auto bfloat16 float16 fp8 fp8_ds_mla fp8_e4m3 fp8_e5m2 fp8_inc fp8_per_token_head int4_per_token_head int8_per_token_head nvfp4 nvfp4_4over6 nvfp4_ds_mla turboquant_3bit_nc turboquant_4bit_nc turboquant_k3v4_nc turboquant_k8v4 ultraquant_4bit": "kv-cache-dtype",
    "one of flashinfer triton cutedsl aiter_flydsl": "gdn-prefill-backend",
    "switch": "enable-hc-sp enable-shm-tensor-arena sleep-mode-offload-cudagraph",
}

VARIABLES = {
    "integer": "VLLM_P2P_HANDSHAKE_TIMEOUT_S VLLM_P2P_IDLE_TIMEOUT_S VLLM_P2P_MAX_PEERS",
    "number": "VLLM_CHAT_TEMPLATE_RENDER_TIMEOUT",
    "switch": """
VLLM_FLASHINFER_MOE_A2A_LOW_PRECISION_COMBINE VLLM_ROCM_AITER_MEGA_MOE_FUSE_SHARED_EXPERTS
VLLM_ROCM_MONO_DECODE VLLM_ROCM_USE_AITER_MOE_A4W4_DSV4 VLLM_ROCM_USE_AITER_TRITON_SPARSE_MLA
""",
}

TOOL_PARSERS = """
hf plamo3 qwen3_json
"""

REASONING_PARSERS = """
hf minicpmv plamo3
"""

GONE = {
    "variables": "VLLM_ENGINE_ITERATION_TIMEOUT_S",
}
