"""Flags and variables that a registry may set without a permission, for every version of vLLM that has them.

Each was judged: it changes speed, memory, limits or the shape of answers, and opens nothing. `RANGES` bounds numbers
more tightly than the engine does.
"""

from __future__ import annotations

_FLAGS = """
    aggregate-engine-logging all2all-backend allow-deprecated-quantization anthropic-disabled-thinking-effort
    api-server-count async-scheduling attention-backend attention-config aux-output-config block-size chat-template
    chat-template-content-format cohere-format cohere-is-reasoning-model compilation-config config-format convert
    cp-kv-cache-interleave-size cpu-distributed-timeout-seconds cpu-offload-gb cpu-offload-params
    cudagraph-capture-sizes cudagraph-metrics custom-histogram-buckets data-parallel-size dbo-decode-token-threshold
    dbo-prefill-token-threshold dcp-comm-backend dcp-kv-cache-interleave-size dcp-q-replicate
    decode-context-parallel-size default-chat-template-kwargs diffusion-config disable-access-log-for-endpoints
    disable-cascade-attn disable-chunked-mm-input disable-custom-all-reduce disable-fastapi-docs
    disable-hybrid-kv-cache-manager disable-nccl-for-dp-synchronization disable-sliding-window
    disable-uvicorn-access-log distributed-executor-backend distributed-timeout-seconds dp-sync-interval dtype
    enable-auto-tool-choice enable-batch-sharded-sampling enable-chunked-prefill enable-cumem-allocator enable-dbo
    enable-ep-weight-filter enable-eplb enable-expert-parallel enable-flash-late-interaction
    enable-flashinfer-autotune enable-force-include-usage enable-hc-sp enable-layerwise-nvtx-tracing
    enable-log-deltas enable-log-requests enable-logging-iteration-details enable-lora
    enable-mamba-cache-stochastic-rounding enable-mamba-shared-prefix-checkpoint enable-mfu-metrics
    enable-mixed-moe-lora-format enable-moe-shared-loras enable-nccl-comm-suspend enable-offline-docs
    enable-per-request-metrics enable-prefix-caching enable-prompt-tokens-details enable-request-id-headers
    enable-return-routed-experts enable-server-load-tracking enable-shm-tensor-arena enable-sleep-mode
    enable-tower-connector-lora enforce-eager engram-config eplb-config exclude-tools-when-tool-choice-none
    expert-placement-strategy fail-on-environ-validation fingerprint-mode fingerprint-value fully-sharded-loras
    gdn-prefill-backend generation-config gpu-memory-utilization h11-max-header-count h11-max-incomplete-event-size
    hf-overrides ignore-patterns interleave-mm-strings ir-op-priority jit-monitor-mode jit-monitor-verbose
    kda-decode-backend kda-prefill-backend kernel-config kv-cache-dtype kv-cache-dtype-skip-layers
    kv-cache-memory-bytes kv-cache-metrics kv-cache-metrics-sample kv-offloading-backend kv-offloading-size
    kv-sharing-fast-prefill language-model-only limit-mm-per-prompt linear-backend load-format log-error-stack
    log-level logprobs-mode long-prefill-token-threshold long-prefill-token-threshold-adaptive lora-dtype
    lora-target-modules mamba-backend mamba-block-size mamba-cache-dtype mamba-cache-mode mamba-cache-philox-rounds
    mamba-ssm-cache-dtype mamba-ssu-algorithm max-cpu-loras max-cudagraph-capture-size max-log-len max-logprobs
    max-lora-cls-labels max-lora-rank max-loras max-model-len max-num-active-seqs max-num-batched-tokens
    max-num-queued-reqs max-num-queued-tokens max-num-scheduled-tokens max-num-seqs max-parallel-loading-workers
    media-io-kwargs mm-device-do-normalize mm-encoder-attn-backend mm-encoder-attn-dtype
    mm-encoder-fp8-scale-save-margin mm-encoder-only mm-encoder-tp-mode mm-hasher-algorithm mm-ipc-gpu-memory-gb
    mm-processor-cache-gb mm-processor-cache-type mm-processor-device mm-processor-kwargs
    mm-shm-cache-max-object-size-mb mm-tensor-ipc model-impl moe-backend monokernel num-gpu-blocks-override numa-bind
    numa-bind-cpus numa-bind-nodes offload-backend offload-group-size offload-num-in-group offload-params
    offload-prefetch-step optimization-level override-generation-config per-request-spec-decode-metrics
    performance-mode pipeline-parallel-size pooler-config prefill-context-parallel-size prefill-schedule-interval
    prefix-cache-retention-interval prefix-caching-hash-algo prefix-match-unit quantization quantization-config
    reasoning-config reasoning-effort-map reasoning-parser renderer-num-workers replayssm-buffer-len response-role
    return-sampling-mask return-tokens-as-token-ids runner safetensors-load-strategy safetensors-prefetch-block-size
    safetensors-prefetch-num-threads scheduler-reserve-full-isl scheduling-policy seed
    show-hidden-metrics-for-version shutdown-timeout skip-mm-profiling skip-tokenizer-init
    sleep-mode-offload-cudagraph sleep-preserve-parameter-names sparse-indexer-topk-backend spec-method spec-tokens
    specialize-active-lora speculative-config sse-keep-alive-interval stream-interval structured-outputs-config
    swa-bounded-replay tensor-parallel-size tokenizer-mode tool-call-parser tool-strict-level ubatch-size
    use-fp64-gumbel use-replayssm use-tqdm-on-load uvicorn-log-level video-pruning-method video-pruning-rate
    watermark
"""
_VARIABLES = """
    VLLM_ALLOW_CHUNKED_LOCAL_ATTN_WITH_HYBRID_KV_CACHE VLLM_ALLOW_LONG_MAX_MODEL_LEN VLLM_ALLREDUCE_USE_FLASHINFER
    VLLM_ALLREDUCE_USE_SYMM_MEM VLLM_AUDIO_FETCH_TIMEOUT VLLM_BATCH_INVARIANT VLLM_BLOCKSCALE_FP8_GEMM_FLASHINFER
    VLLM_CHAT_TEMPLATE_FUEL VLLM_CHAT_TEMPLATE_RENDER_TIMEOUT VLLM_COMPUTE_NANS_IN_LOGITS VLLM_CPU_ATTN_SPLIT_KV
    VLLM_CPU_INT4_W4A8 VLLM_CPU_KVCACHE_SPACE VLLM_CPU_NUM_OF_RESERVED_CPU VLLM_CPU_OMP_THREADS_BIND
    VLLM_DEEP_GEMM_WARMUP VLLM_DISABLED_KERNELS VLLM_DISABLE_COMPILE_CACHE VLLM_DISABLE_LOG_LOGO
    VLLM_DISABLE_PYNCCL VLLM_DISABLE_SHARED_EXPERTS_STREAM VLLM_ENABLE_CUDAGRAPH_GC
    VLLM_ENABLE_INDUCTOR_COORDINATE_DESCENT_TUNING VLLM_ENABLE_INDUCTOR_MAX_AUTOTUNE
    VLLM_ENABLE_V1_MULTIPROCESSING VLLM_ENFORCE_STRICT_TOOL_CALLING VLLM_ENGINE_ITERATION_TIMEOUT_S
    VLLM_ENGINE_READY_TIMEOUT_S VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS VLLM_FLASHINFER_ALLREDUCE_BACKEND
    VLLM_FLASHINFER_WORKSPACE_BUFFER_SIZE VLLM_FLOAT32_MATMUL_PRECISION VLLM_GPT_OSS_HARMONY_SYSTEM_INSTRUCTIONS
    VLLM_HTTP_MAX_REQUEST_BODY_SIZE VLLM_HTTP_TIMEOUT_KEEP_ALIVE VLLM_IMAGE_FETCH_TIMEOUT VLLM_KV_CACHE_LAYOUT
    VLLM_LOGGING_COLOR VLLM_LOGGING_LEVEL VLLM_LOGGING_PREFIX VLLM_LOG_BATCHSIZE_INTERVAL
    VLLM_LOG_MODEL_INSPECTION VLLM_LOG_STATS_INTERVAL VLLM_MARLIN_INPUT_DTYPE VLLM_MARLIN_USE_ATOMIC_ADD
    VLLM_MAX_AUDIO_CLIP_FILESIZE_MB VLLM_MAX_AUDIO_DECODE_BYTES VLLM_MAX_AUDIO_DECODE_DURATION_S
    VLLM_MAX_AUDIO_PREPROCESS_WORKERS VLLM_MAX_BAD_WORDS_TOTAL_TOKENS VLLM_MAX_COMPLETION_PROMPTS
    VLLM_MAX_EMBED_DECODE_BYTES VLLM_MAX_IMAGE_PIXELS VLLM_MAX_MEDIA_DOWNLOAD_SIZE_MB
    VLLM_MAX_MEDIA_REQUEST_DECODE_BYTES VLLM_MAX_MEDIA_REQUEST_DOWNLOAD_SIZE_MB VLLM_MAX_NUM_BAD_WORDS
    VLLM_MAX_N_SEQUENCES VLLM_MAX_STOP_STRINGS VLLM_MAX_TOKENS_PER_EXPERT_FP4_MOE VLLM_MEDIA_LOADING_THREAD_COUNT
    VLLM_MEMORY_PROFILER_ESTIMATE_CUDAGRAPHS VLLM_MLA_DISABLE VLLM_MOE_USE_DEEP_GEMM VLLM_MQ_MAX_CHUNK_BYTES_MB
    VLLM_PP_LAYER_PARTITION VLLM_PROCESS_NAME_PREFIX VLLM_RAISE_ON_LOGIT_NANS VLLM_REGEX_COMPILATION_TIMEOUT_S
    VLLM_RINGBUFFER_WARNING_INTERVAL VLLM_SKIP_P2P_CHECK VLLM_SYSTEM_START_DATE
    VLLM_TOOL_JSON_ERROR_AUTOMATIC_RETRY VLLM_TOOL_PARSE_REGEX_TIMEOUT_SECONDS VLLM_USE_AOT_COMPILE
    VLLM_USE_DEEP_GEMM VLLM_USE_DEEP_GEMM_E8M0 VLLM_USE_FLASHINFER_MOE_INT4 VLLM_USE_FLASHINFER_SAMPLER
    VLLM_USE_NCCL_SYMM_MEM VLLM_USE_STANDALONE_COMPILE VLLM_USE_TRITON_AWQ VLLM_USE_V2_MODEL_RUNNER
    VLLM_V1_OUTPUT_PROC_CHUNK_SIZE VLLM_VIDEO_FETCH_TIMEOUT VLLM_WORKER_MULTIPROC_METHOD
    VLLM_WORKER_SHUTDOWN_TIMEOUT_SECONDS VLLM_XGRAMMAR_CACHE_MB
"""
FLAGS = frozenset(_FLAGS.split())
VARIABLES = frozenset(_VARIABLES.split())
# Variables of the libraries under the engine, by kind.
LIBRARY_VARIABLES = {
    "integer": """
    MALLOC_ARENA_MAX MKL_NUM_THREADS NUMEXPR_NUM_THREADS OMP_NUM_THREADS OPENBLAS_NUM_THREADS RAYON_NUM_THREADS
    CUDA_DEVICE_MAX_CONNECTIONS NCCL_BUFFSIZE NCCL_IB_GID_INDEX NCCL_IB_RETRY_CNT NCCL_IB_TC NCCL_IB_TIMEOUT
    NCCL_MAX_NCHANNELS NCCL_MIN_NCHANNELS NCCL_NTHREADS TORCH_NUM_THREADS
    """,
    "switch": """
    CUDA_LAUNCH_BLOCKING FORCE_COLOR NCCL_CUMEM_ENABLE NCCL_IB_DISABLE NCCL_NVLS_ENABLE NCCL_P2P_DISABLE
    NCCL_SHM_DISABLE NO_COLOR TORCHDYNAMO_DISABLE TORCH_COMPILE_DISABLE
    TORCH_NCCL_AVOID_RECORD_STREAMS
    """,
    "text": """
    CUDA_DEVICE_ORDER CUDA_MODULE_LOADING KMP_AFFINITY KMP_BLOCKTIME LANG LC_ALL NCCL_ALGO NCCL_DEBUG
    NCCL_DEBUG_SUBSYS NCCL_IB_HCA NCCL_NET_GDR_LEVEL NCCL_P2P_LEVEL NCCL_PROTO OMP_PLACES OMP_PROC_BIND
    OMP_SCHEDULE OMP_WAIT_POLICY PYTORCH_ALLOC_CONF PYTORCH_CUDA_ALLOC_CONF TOKENIZERS_PARALLELISM TORCH_LOGS TZ
    """,
}
# key -> the flag whose words it takes. The engine's own type says no more than "a text" of these.
SAME_WORDS = {
    "reasoning-config.reasoning_parser": "reasoning-parser",
    "speculative-config.kv_cache_dtype": "kv-cache-dtype",
    "speculative-config.quantization": "quantization",
    "structured-outputs-config.reasoning_parser": "reasoning-parser",
}
# name -> the lowest and highest number. For a key of a flag's JSON, at any depth, stands FLAG.KEY; for all numbers of a
# JSON that the engine passes on, the flag.
RANGES: dict[str, tuple[float, float]] = {
    "api-server-count": (1, 64),
    "block-size": (1, 4096),
    "data-parallel-size": (1, 64),
    "decode-context-parallel-size": (1, 64),
    "gpu-memory-utilization": (0.01, 1),
    "h11-max-header-count": (16, 4096),
    "h11-max-incomplete-event-size": (2**14, 2**28),
    "max-logprobs": (-1, 2**20),
    "max-model-len": (1, 2**27),
    "max-num-batched-tokens": (1, 2**27),
    "max-num-seqs": (1, 2**16),
    "pipeline-parallel-size": (1, 64),
    "prefill-context-parallel-size": (1, 64),
    "renderer-num-workers": (1, 256),
    "seed": (0, 2**32 - 1),
    "shutdown-timeout": (0, 3600),
    "tensor-parallel-size": (1, 64),
    "compilation-config.compile_ranges_endpoints": (1, 2**27),
    "compilation-config.cudagraph_capture_sizes": (1, 2**20),
    "compilation-config.cudagraph_num_of_warmups": (0, 1024),
    "compilation-config.max_cudagraph_capture_size": (0, 2**20),
    "eplb-config.num_redundant_experts": (0, 2**16),
    "limit-mm-per-prompt": (0, 2**20),
    "override-generation-config.max_new_tokens": (1, 2**27),
    "override-generation-config.min_p": (0, 1),
    "override-generation-config.repetition_penalty": (0.01, 100),
    "override-generation-config.temperature": (0, 100),
    "override-generation-config.top_k": (-1, 2**31 - 1),
    "override-generation-config.top_p": (0.0001, 1),
    "pooler-config.dimensions": (1, 2**24),
    "pooler-config.max_embed_len": (1, 2**27),
    "pooler-config.returned_token_ids": (0, 2**24),
    "speculative-config.draft_tensor_parallel_size": (1, 64),
    "speculative-config.max_model_len": (1, 2**27),
    "speculative-config.num_speculative_tokens": (1, 1024),
    "speculative-config.prompt_lookup_max": (1, 2**16),
    "speculative-config.prompt_lookup_min": (1, 2**16),
    "speculative-config.suffix_decoding_max_cached_requests": (-1, 2**31 - 1),
    "speculative-config.suffix_decoding_max_spec_factor": (0, 1024),
    "speculative-config.suffix_decoding_max_tree_depth": (1, 1024),
    "speculative-config.suffix_decoding_min_token_prob": (0, 1),
    "VLLM_CPU_KVCACHE_SPACE": (0, 2**16),
    "VLLM_ENGINE_READY_TIMEOUT_S": (1, 86400),
}
