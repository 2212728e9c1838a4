"""Flags, variables and parsers of vLLM 0.33: written by scripts/engine_table.py from the engine itself.

A line is a flag, its short spellings in brackets, its kind and what bounds it. Variables stand by their kind.
"""

# ruff: noqa: E501

FLAGS = """
additional-config: json
aggregate-engine-logging: mark
all2all-backend: one of allgather_reducescatter deepep_high_throughput deepep_low_latency deepep_v2 flashinfer_all2allv flashinfer_nvlink_one_sided flashinfer_nvlink_two_sided moonep mori_high_throughput mori_low_latency naive nixl_ep pplx
allow-credentials: switch
allow-deprecated-quantization: switch
allowed-headers: json
allowed-local-media-path: text
allowed-media-domains: list text
allowed-methods: json
allowed-origins: json
anthropic-disabled-thinking-effort: one of auto high low max medium none xhigh
api-key: list text
api-server-count (asc): integer
async-scheduling: switch
attention-backend: text
attention-config (ac): json
aux-output-config: json
block-size: integer >0
chat-template-content-format: one of auto openai string
chat-template: text
code-revision: text
cohere-format: text
cohere-is-reasoning-model: switch
collect-detailed-traces: list one of all model worker
compilation-config (cc): json
config-format: text
config: text
convert: one of auto classify embed none
cp-kv-cache-interleave-size: integer
cpu-distributed-timeout-seconds: integer
cpu-offload-gb: number
cpu-offload-params: list text
cudagraph-capture-sizes: list integer
cudagraph-metrics: switch
custom-histogram-buckets: json
data-parallel-address (dpa): text
data-parallel-backend (dpb): text
data-parallel-external-lb (dpe): switch
data-parallel-hybrid-lb (dph): switch
data-parallel-multi-port-external-lb (dpm): mark
data-parallel-rank (dpn): integer >=0
data-parallel-rpc-port (dpp): integer >=1 <=65535
data-parallel-size (dp): integer >=1
data-parallel-size-local (dpl): integer >=0
data-parallel-start-rank (dpr): integer
data-parallel-supervisor-port: integer
dbo-decode-token-threshold: integer >=0
dbo-prefill-token-threshold: integer >=0
dcp-comm-backend: one of a2a ag_rs
dcp-kv-cache-interleave-size: integer
dcp-q-replicate: switch
decode-context-parallel-size (dcp): integer >=1
default-chat-template-kwargs: json
default-mm-loras: json
device-ids: text
diffusion-config (dc): json
disable-access-log-for-endpoints: text
disable-cascade-attn: switch
disable-chunked-mm-input: switch
disable-custom-all-reduce: switch
disable-fastapi-docs: switch
disable-hybrid-kv-cache-manager: switch
disable-log-stats: mark
disable-nccl-for-dp-synchronization: switch
disable-sliding-window: switch
disable-uvicorn-access-log: switch
distributed-executor-backend: text
distributed-timeout-seconds: integer
download-dir: text
dp-supervisor-probe-failure-threshold: integer
dp-supervisor-probe-interval-s: number
dp-supervisor-probe-timeout-s: number
dp-sync-interval: integer >=1
dtype: one of auto bfloat16 float float16 float32 half
ec-manager-config: json
ec-transfer-config: json
elastic-ep-max-dp-size: integer >=1
enable-auto-tool-choice: switch
enable-batch-sharded-sampling: switch
enable-chunked-prefill: switch
enable-cumem-allocator: switch
enable-dbo: switch
enable-elastic-ep: switch
enable-ep-weight-filter: switch
enable-eplb: switch
enable-expert-parallel (ep): switch
enable-fault-tolerance: switch
enable-flash-late-interaction: switch
enable-flashinfer-autotune: switch
enable-force-include-usage: switch
enable-hc-sp: switch
enable-layerwise-nvtx-tracing: switch
enable-log-deltas: switch
enable-log-outputs: switch
enable-log-requests: switch
enable-logging-iteration-details: switch
enable-lora: switch
enable-mamba-cache-stochastic-rounding: switch
enable-mamba-shared-prefix-checkpoint: switch
enable-mfu-metrics: switch
enable-mixed-moe-lora-format: switch
enable-mm-embeds: switch
enable-moe-shared-loras: switch
enable-nccl-comm-suspend: switch
enable-offline-docs: switch
enable-per-request-metrics: switch
enable-prefix-caching: switch
enable-prompt-embeds: switch
enable-prompt-tokens-details: switch
enable-request-id-headers: switch
enable-return-routed-experts: switch
enable-scale-out: switch
enable-server-load-tracking: switch
enable-shm-tensor-arena: switch
enable-sleep-mode: switch
enable-ssl-refresh: switch
enable-tokenizer-info-endpoint: switch
enable-tower-connector-lora: switch
enable-trace-replay: switch
enforce-eager: switch
engram-config: json
eplb-config: json
exclude-tools-when-tool-choice-none: switch
expert-placement-strategy: one of linear round_robin
fail-on-environ-validation: switch
fault-tolerance-config: json
fingerprint-mode: one of custom full hash none
fingerprint-value: text
fully-sharded-loras: switch
gdn-prefill-backend: one of flashinfer triton cutedsl aiter_flydsl sycl
generation-config: text
gpu-memory-utilization (device-memory-utilization): number >0 <=1
grpc-port: integer
grpc: mark
h11-max-header-count: integer
h11-max-incomplete-event-size: integer
headless: mark
hf-config-path: text
hf-overrides: json
hf-token: text
host: text
ignore-patterns: list text
interleave-mm-strings: switch
io-processor-plugin: text
ir-op-priority: json
jit-monitor-mode: one of error warn
jit-monitor-verbose: switch
kda-decode-backend: one of auto native flashinfer triton
kda-prefill-backend: one of auto triton flashkda flashinfer fused
kernel-config: json
kv-cache-dtype-skip-layers: list text
kv-cache-dtype: text
kv-cache-memory-bytes: count
kv-cache-metrics-sample: number >0 <=1
kv-cache-metrics: switch
kv-events-config: json
kv-offloading-backend: one of lmcache native
kv-offloading-size: number
kv-sharing-fast-prefill: switch
kv-transfer-config: json
language-model-only: switch
limit-mm-per-prompt: json
linear-backend: one of aiter auto b12x conch cutlass deep_gemm emulation exllama fbgemm flashinfer_b12x flashinfer_cudnn flashinfer_cutedsl flashinfer_cutlass flashinfer_trtllm humming machete marlin torch triton xpu xpu_woq
load-format: text
log-config-file: text
log-error-stack: switch
log-level: one of CRITICAL ERROR WARNING INFO DEBUG NOTSET
logging-config: json
logits-processors: list text
logprobs-mode: one of processed_logits processed_logprobs raw_logits raw_logprobs
long-prefill-token-threshold-adaptive: switch
long-prefill-token-threshold: integer >=0
lora-dtype: one of auto bfloat16 float16
lora-modules: list text
lora-target-modules: list text
mamba-backend: text
mamba-block-size: integer >0
mamba-cache-dtype: one of auto bfloat16 float16 float32
mamba-cache-mode: one of align none
mamba-cache-philox-rounds: integer
mamba-ssm-cache-dtype: one of auto bfloat16 float16 float32
mamba-ssu-algorithm: one of auto horizontal simple vertical
master-addr: text
master-port: integer
max-cpu-loras: integer
max-cudagraph-capture-size: integer
max-log-len: integer
max-logprobs: integer >=-1
max-lora-cls-labels: integer >=1
max-lora-rank: one of 1 8 16 32 64 128 256 320 512
max-loras: integer >=1
max-model-len: count or auto >=-1
max-num-active-seqs: integer >=1
max-num-batched-tokens: count >=1
max-num-queued-reqs: integer >=0
max-num-queued-tokens: count >=0
max-num-scheduled-tokens: count >=1
max-num-seqs: integer >=1
max-parallel-loading-workers: integer >=1
media-io-kwargs: json
middleware: list text
mm-device-do-normalize: switch
mm-encoder-attn-backend: text
mm-encoder-attn-dtype: one of fp8
mm-encoder-fp8-scale-path: text
mm-encoder-fp8-scale-save-margin: number >0.0
mm-encoder-fp8-scale-save-path: text
mm-encoder-only: switch
mm-encoder-tp-mode: one of data weights
mm-hasher-algorithm: one of blake3 sha256 sha512
mm-ipc-gpu-memory-gb: number >=0
mm-processor-cache-gb: number >=0
mm-processor-cache-type: one of lru shm
mm-processor-device: one of auto cpu
mm-processor-kwargs: json
mm-shm-cache-max-object-size-mb: integer >=0
mm-tensor-ipc: one of direct_rpc torch_shm
model-class-overrides: json
model-impl: text
model-loader-extra-config: json
model: text
moe-backend: one of aiter aiter_mega_moe aiter_triton_mxfp4_bf16 aiter_triton_mxfp4_mxfp4 auto b12x batched_triton cutlass deep_gemm deep_gemm_mega_moe emulation flashinfer_b12x flashinfer_cutedsl flashinfer_cutlass flashinfer_moe_ep_cutedsl flashinfer_moe_ep_mega_deep_gemm flashinfer_trtllm flydsl hpc humming marlin rdna3 triton triton_unfused
monokernel: switch
nnodes (n): integer >=1
node-rank (r): integer >=0
num-gpu-blocks-override: integer
numa-bind-cpus: list text
numa-bind-nodes: list integer
numa-bind: switch
offload-backend: one of auto prefetch uva
offload-group-size: integer
offload-num-in-group: integer
offload-params: list text
offload-prefetch-step: integer
optimization-level: text
otlp-traces-endpoint: text
override-generation-config: json
per-request-spec-decode-metrics: one of detailed none summary
performance-mode: one of balanced interactivity throughput
pipeline-parallel-size (pp): integer >=1
pooler-config: json
port: integer
prefill-context-parallel-size (pcp): integer >=1
prefill-schedule-interval: integer >=1
prefix-cache-retention-interval: integer >=0
prefix-caching-hash-algo: one of sha256 sha256_cbor xxhash xxhash_cbor
prefix-match-unit: integer >0
profiler-config: json
pt-load-map-location: json
quantization (q): text
quantization-config: json
ray-workers-use-nsight: switch
reasoning-config: json
reasoning-effort-map: json
reasoning-parser-plugin: text
reasoning-parser: text
renderer-num-workers: integer
replayssm-buffer-len: integer >0
response-role: text
return-sampling-mask: switch
return-tokens-as-token-ids: switch
revision: text
root-path: text
runner: one of auto draft generate pooling
safetensors-load-strategy: one of eager lazy prefetch torchao
safetensors-prefetch-block-size: count >=1
safetensors-prefetch-num-threads: integer >=1
scheduler-cls: text
scheduler-reserve-full-isl: switch
scheduling-policy: one of fcfs priority
seed: integer
served-model-name: list text
show-hidden-metrics-for-version: text
shutdown-timeout: integer
skip-mm-profiling: switch
skip-tokenizer-init: switch
sleep-mode-backend: text
sleep-mode-offload-cudagraph: switch
sleep-preserve-parameter-names: list text
sparse-indexer-topk-backend: one of aiter auto cooperative deep_select flashinfer per_row persistent torch
spec-method: one of bailing_hybrid_mtp bailing_hybrid_v3_mtp custom_class deepseek_mtp dflash dots3_note_mtp draft_model dspark eagle eagle3 ernie_mtp exaone4_5_mtp exaone_moe_mtp extract_hidden_states gemma4_mtp glm4_moe_lite_mtp glm4_moe_mtp glm5_next_mtp glm_ocr_mtp hy_v3_mtp hy_v4_mtp inkling_mtp kimi_k3_mtp longcat_flash_mtp mimo_mtp mimo_v2_mtp minimax_m3_mtp mtp nemotron_h_mtp ngram ngram_gpu pangu_ultra_moe_mtp qwen3_5_mtp qwen3_next_mtp qwen4_exp_mtp step3p5_mtp step5_mtp suffix
spec-model: text
spec-tokens: integer
specialize-active-lora: switch
speculative-config (sc): json
sse-keep-alive-interval: integer
ssl-ca-certs: text
ssl-cert-reqs: integer
ssl-certfile: text
ssl-ciphers: text
ssl-keyfile: text
stream-interval: integer >=1
structured-outputs-config: json
swa-bounded-replay: switch
tensor-parallel-size (tp): integer >=1
tokenizer-mode: text
tokenizer-revision: text
tokenizer: text
tokens-only: switch
tool-call-parser: text
tool-parser-plugin: text
tool-server: text
tool-strict-level: one of auto function parameter
trust-remote-code: switch
trust-request-chat-template: switch
trust-request-mm-kwargs: switch
ubatch-size: integer >=0
uds: text
use-fp64-gumbel: switch
use-replayssm: switch
use-tqdm-on-load: switch
uvicorn-log-level: one of critical debug error info trace warning
video-pruning-method: one of evs vidcom2
video-pruning-rate: number >=0.0 <1.0
watchdog-config: json
watermark-config: json
watermark: number >=0.0 <1.0
weight-transfer-config: json
worker-cls: text
worker-extension-cls: text
"""

VARIABLES = {
    "integer": """
LOCAL_RANK VLLM_ADAPTIVE_VERIFICATION_PROFILE_CONTEXT_LEN VLLM_AUDIO_FETCH_TIMEOUT VLLM_CHAT_TEMPLATE_FUEL
VLLM_COHERE2_ATTN_MOE_DUAL_STREAM_TOKEN_THRESHOLD VLLM_CPU_KVCACHE_SPACE VLLM_CPU_NUM_OF_RESERVED_CPU
VLLM_DBO_COMM_SMS VLLM_DEEPEP_BUFFER_SIZE_MB VLLM_DP_MASTER_PORT VLLM_DP_RANK VLLM_DP_RANK_LOCAL VLLM_DP_SIZE
VLLM_EC_SIDE_CHANNEL_PORT VLLM_ENGINE_READY_TIMEOUT_S VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS
VLLM_FASTSAFETENSORS_QUEUE_SIZE VLLM_FLASHINFER_WORKSPACE_BUFFER_SIZE VLLM_HTTP_MAX_REQUEST_BODY_SIZE
VLLM_HTTP_TIMEOUT_KEEP_ALIVE VLLM_IMAGE_FETCH_TIMEOUT VLLM_KV_OFFLOAD_MAX_BATCH_DESCRIPTORS
VLLM_MAX_AUDIO_CLIP_FILESIZE_MB VLLM_MAX_AUDIO_DECODE_BYTES VLLM_MAX_AUDIO_DECODE_DURATION_S
VLLM_MAX_AUDIO_PREPROCESS_WORKERS VLLM_MAX_BAD_WORDS_TOTAL_TOKENS VLLM_MAX_COMPLETION_PROMPTS
VLLM_MAX_EMBED_DECODE_BYTES VLLM_MAX_IMAGE_PIXELS VLLM_MAX_MEDIA_DOWNLOAD_SIZE_MB
VLLM_MAX_MEDIA_REQUEST_DECODE_BYTES VLLM_MAX_MEDIA_REQUEST_DOWNLOAD_SIZE_MB VLLM_MAX_NUM_BAD_WORDS
VLLM_MAX_N_SEQUENCES VLLM_MAX_STOP_STRINGS VLLM_MAX_TOKENS_PER_EXPERT_FP4_MOE VLLM_MEDIA_CACHE_MAX_SIZE_MB
VLLM_MEDIA_FETCH_MAX_RETRIES VLLM_MEDIA_LOADING_THREAD_COUNT VLLM_MOONCAKE_ABORT_REQUEST_TIMEOUT
VLLM_MOONCAKE_BOOTSTRAP_PORT VLLM_MOONCAKE_LOAD_RECV_THREADS VLLM_MQ_MAX_CHUNK_BYTES_MB
VLLM_MSGPACK_ZERO_COPY_THRESHOLD VLLM_MULTI_STREAM_GEMM_TOKEN_THRESHOLD VLLM_NIXL_SIDE_CHANNEL_PORT
VLLM_P2P_HANDSHAKE_TIMEOUT_S VLLM_P2P_IDLE_TIMEOUT_S VLLM_P2P_MAX_PEERS VLLM_P2P_SIDE_CHANNEL_PORT VLLM_PORT
VLLM_REGEX_COMPILATION_TIMEOUT_S VLLM_RINGBUFFER_WARNING_INTERVAL VLLM_ROCM_AITER_MOE_DISPATCH_POLICY
VLLM_ROCM_QUICK_REDUCE_MAX_SIZE_BYTES_MB VLLM_ROCM_QUICK_REDUCE_MIN_SIZE_BYTES_MB
VLLM_ROCM_QUICK_REDUCE_QUANTIZATION_MIN_SIZE_KB VLLM_ROCM_SLEEP_MEM_CHUNK_SIZE
VLLM_SHARED_EXPERTS_STREAM_TOKEN_THRESHOLD VLLM_SPARSE_INDEXER_MAX_LOGITS_MB
VLLM_TOOL_PARSE_REGEX_TIMEOUT_SECONDS VLLM_TRACE_FUNCTION VLLM_TRITON_JIT_WARMUP_NUM_THREADS
VLLM_V1_OUTPUT_PROC_CHUNK_SIZE VLLM_VIDEO_FETCH_TIMEOUT VLLM_WORKER_SHUTDOWN_TIMEOUT_SECONDS
VLLM_XGRAMMAR_CACHE_MB
""",
    "number": """
VLLM_CHAT_TEMPLATE_RENDER_TIMEOUT VLLM_LOG_BATCHSIZE_INTERVAL VLLM_LOG_STATS_INTERVAL
VLLM_MEDIA_CACHE_TTL_HOURS VLLM_MOONCAKE_CONNECTOR_TIMEOUT VLLM_MOONCAKE_DISK_STAGING_USABLE_RATIO
VLLM_RAY_PER_WORKER_GPUS
""",
    "switch": """
FORCE_COLOR NO_COLOR VERBOSE VLLM_ALLOW_CHUNKED_LOCAL_ATTN_WITH_HYBRID_KV_CACHE
VLLM_ALLOW_INSECURE_SERIALIZATION VLLM_ALLOW_LONG_MAX_MODEL_LEN VLLM_ALLOW_RUNTIME_LORA_UPDATING
VLLM_ALLREDUCE_USE_FLASHINFER VLLM_ALLREDUCE_USE_FLASHINFER_PCIE_IPC VLLM_ALLREDUCE_USE_SYMM_MEM
VLLM_ASSETS_CACHE_MODEL_CLEAN VLLM_B12X_MOE_FP4_FORCE_A16 VLLM_BATCH_INVARIANT
VLLM_BEAM_ALWAYS_CONSTRAIN_OUTPUT VLLM_BLOCKSCALE_FP8_GEMM_FLASHINFER VLLM_COMPUTE_NANS_IN_LOGITS
VLLM_CONFIGURE_LOGGING VLLM_CPU_ATTN_SPLIT_KV VLLM_CPU_CI_ENV VLLM_CPU_INT4_W4A8
VLLM_CUSTOM_SCOPES_FOR_PROFILING VLLM_DCP_Q_REPLICATE VLLM_DEBUG_LOG_API_SERVER_RESPONSE
VLLM_DEBUG_MFU_METRICS VLLM_DEBUG_WORKSPACE VLLM_DEEPEPLL_NVFP4_DISPATCH
VLLM_DEEPEP_HIGH_THROUGHPUT_FORCE_INTRA_NODE VLLM_DEEPEP_LOW_LATENCY_USE_MNNVL
VLLM_DEEPEP_V2_ALLOW_HYBRID_MODE VLLM_DEEPEP_V2_ALLOW_MULTIPLE_REDUCTION VLLM_DEEPEP_V2_PREFER_OVERLAP
VLLM_DISABLE_COMPILE_CACHE VLLM_DISABLE_DSV4_MEGAMOE_SHARED_EXPERT_FUSION VLLM_DISABLE_LOG_LOGO
VLLM_DISABLE_PYNCCL VLLM_DISABLE_REQUEST_ID_RANDOMIZATION VLLM_DISABLE_SHARED_EXPERTS_STREAM
VLLM_DISTRIBUTED_USE_SPLIT_GROUP VLLM_DOCKER_BUILD_CONTEXT VLLM_DO_NOT_TRACK VLLM_ELASTIC_EP_DRAIN_REQUESTS
VLLM_ELASTIC_EP_SCALE_UP_LAUNCH VLLM_ENABLE_COHERE_API VLLM_ENABLE_CUDAGRAPH_GC VLLM_ENABLE_CUDA_COMPATIBILITY
VLLM_ENABLE_FLA_PACKED_RECURRENT_DECODE VLLM_ENABLE_GEMM_RS VLLM_ENABLE_HPC_OPS
VLLM_ENABLE_INDUCTOR_COORDINATE_DESCENT_TUNING VLLM_ENABLE_INDUCTOR_MAX_AUTOTUNE VLLM_ENABLE_PREGRAD_PASSES
VLLM_ENABLE_RESPONSES_API_STORE VLLM_ENABLE_STARTUP_PLAN VLLM_ENABLE_V1_MULTIPROCESSING
VLLM_ENFORCE_STRICT_TOOL_CALLING VLLM_FLASHINFER_MOE_A2A_LOW_PRECISION_COMBINE VLLM_FORCE_AOT_LOAD
VLLM_GPT_OSS_HARMONY_SYSTEM_INSTRUCTIONS VLLM_HAS_FLASHINFER_CUBIN VLLM_HUMMING_USE_F16_ACCUM
VLLM_KEEP_ALIVE_ON_ENGINE_DEATH VLLM_KIMI_K3_AUX_ATTN_RES_STREAM VLLM_KIMI_K3_GEMM_AR
VLLM_KIMI_K3_SHARD_SP_SHARED_EXPERT VLLM_KV_EVENTS_USE_INT_BLOCK_HASHES VLLM_LOG_MODEL_INSPECTION
VLLM_LORA_DISABLE_PDL VLLM_LORA_ENABLE_DUAL_STREAM VLLM_MARLIN_USE_ATOMIC_ADD VLLM_MEDIA_URL_ALLOW_REDIRECTS
VLLM_MEMORY_PROFILER_ESTIMATE_CUDAGRAPHS VLLM_MLA_DISABLE VLLM_MOE_SKIP_PADDING VLLM_MOE_USE_DEEP_GEMM
VLLM_MOONCAKE_STORE_TIER_LOG VLLM_MXFP4_EMULATION_DEQUANT_AT_LOAD VLLM_MXFP8_EMULATION_DEQUANT_AT_LOAD
VLLM_NO_USAGE_STATS VLLM_NVTX_SCOPES_FOR_PROFILING VLLM_RAISE_ON_LOGIT_NANS VLLM_RANDOMIZE_DP_DUMMY_INPUTS
VLLM_REPLICATE_EMBED VLLM_ROCM_FP8_MFMA_PAGE_ATTN VLLM_ROCM_FP8_PADDING VLLM_ROCM_MOE_PADDING
VLLM_ROCM_QUICK_REDUCE_CAST_BF16_TO_FP16 VLLM_ROCM_SHUFFLE_KV_CACHE_LAYOUT VLLM_ROCM_USE_AITER
VLLM_ROCM_USE_AITER_CUSTOM_AR VLLM_ROCM_USE_AITER_FP4BMM VLLM_ROCM_USE_AITER_FP8BMM
VLLM_ROCM_USE_AITER_FUSION_SHARED_EXPERTS VLLM_ROCM_USE_AITER_LINEAR VLLM_ROCM_USE_AITER_LINEAR_HIPBMM
VLLM_ROCM_USE_AITER_MHA VLLM_ROCM_USE_AITER_MLA VLLM_ROCM_USE_AITER_MOE VLLM_ROCM_USE_AITER_MOE_A4W4_DSV4
VLLM_ROCM_USE_AITER_RMSNORM VLLM_ROCM_USE_AITER_TRITON_GEMM VLLM_ROCM_USE_AITER_TRITON_ROPE
VLLM_ROCM_USE_AITER_TRITON_SPARSE_MLA VLLM_ROCM_USE_AITER_UNIFIED_ATTENTION VLLM_ROCM_USE_SKINNY_GEMM
VLLM_SERVER_DEV_MODE VLLM_SKIP_MODEL_NAME_VALIDATION VLLM_SKIP_P2P_CHECK VLLM_SKIP_PRECOMPILED_VERSION_SUFFIX
VLLM_STEP5_SHARD_SP_SHARED_EXPERT VLLM_TOOL_JSON_ERROR_AUTOMATIC_RETRY VLLM_TPU_USING_PATHWAYS
VLLM_TRITON_FORCE_FIRST_CONFIG VLLM_TRITON_USE_TD VLLM_USE_AOT_COMPILE VLLM_USE_BREAKABLE_CUDAGRAPH
VLLM_USE_BYTECODE_HOOK VLLM_USE_DEEP_GEMM VLLM_USE_DEEP_GEMM_E8M0 VLLM_USE_DEEP_GEMM_TMA_ALIGNED_SCALES
VLLM_USE_DIRECT_DCP_A2A VLLM_USE_DIRECT_DCP_KV_GATHER VLLM_USE_DIRECT_DCP_Q_GATHER
VLLM_USE_EXPERIMENTAL_PARSER_CONTEXT VLLM_USE_FASTOKENS VLLM_USE_FLASHINFER_MOE_INT4
VLLM_USE_FLASHINFER_SAMPLER VLLM_USE_FUSED_MOE_GROUPED_TOPK VLLM_USE_HW_AGNOSTIC VLLM_USE_LAYERNAME
VLLM_USE_MEGA_AOT_ARTIFACT VLLM_USE_MODELSCOPE VLLM_USE_NCCL_SYMM_MEM VLLM_USE_OINK_OPS VLLM_USE_PRECOMPILED
VLLM_USE_PRECOMPILED_RUST VLLM_USE_RUST_BENCH VLLM_USE_RUST_FRONTEND VLLM_USE_STANDALONE_COMPILE
VLLM_USE_TRITON_AWQ VLLM_USE_V2_MODEL_RUNNER VLLM_V1_USE_OUTLINES_CACHE
VLLM_WEIGHT_OFFLOADING_DISABLE_PIN_MEMORY VLLM_WEIGHT_OFFLOADING_DISABLE_UVA VLLM_WSL2_ENABLE_PIN_MEMORY
VLLM_XLA_CHECK_RECOMPILATION VLLM_XLA_USE_SPMD VLLM_XPU_FORCE_N_CONTIG_WEIGHT VLLM_XPU_PP_MICROBATCH
VLLM_XPU_USE_SAMPLER_KERNEL VLLM_ZENTORCH_WEIGHT_PREPACK
""",
    "text": """
CMAKE_BUILD_TYPE CUDA_HOME CUDA_VISIBLE_DEVICES LD_LIBRARY_PATH MAX_JOBS MOONCAKE_PREFERRED_SEGMENT
MOONCAKE_REQUESTER_LOCAL_HOSTNAME NVCC_THREADS S3_ACCESS_KEY_ID S3_ENDPOINT_URL S3_SECRET_ACCESS_KEY
VLLM_API_KEY VLLM_ASSETS_CACHE VLLM_BUILD_COMMIT VLLM_BUILD_PIPELINE VLLM_BUILD_URL VLLM_CACHE_ROOT
VLLM_COMPILE_CACHE_SAVE_FORMAT VLLM_CONFIG_ROOT VLLM_CPU_OMP_THREADS_BIND VLLM_CUDART_SO_PATH
VLLM_CUDA_COMPATIBILITY_PATH VLLM_DEBUG_DUMP_PATH VLLM_DEEP_GEMM_WARMUP VLLM_DISABLED_KERNELS
VLLM_DP_MASTER_IP VLLM_EC_SIDE_CHANNEL_HOST VLLM_FLASHINFER_ALLREDUCE_BACKEND
VLLM_FLASHINFER_AUTOTUNE_CACHE_DIR VLLM_FLASHINFER_AUTOTUNE_SKIP_OPS VLLM_FLOAT32_MATMUL_PRECISION
VLLM_GC_DEBUG VLLM_GDN_DECODE_KERNEL VLLM_GPT_OSS_SYSTEM_TOOL_MCP_LABELS VLLM_GPU_NIC_PCIE_MAPPING
VLLM_GPU_SYNC_CHECK VLLM_HOST_IP VLLM_HUMMING_INPUT_QUANT_CONFIG VLLM_HUMMING_MOE_GEMM_TYPE
VLLM_HUMMING_ONLINE_QUANT_CONFIG VLLM_IMAGE_TAG VLLM_KV_CACHE_LAYOUT VLLM_LOGGING_COLOR
VLLM_LOGGING_CONFIG_PATH VLLM_LOGGING_LEVEL VLLM_LOGGING_PREFIX VLLM_LOGGING_STREAM VLLM_LOOPBACK_IP
VLLM_LORA_RESOLVER_CACHE_DIR VLLM_LORA_RESOLVER_HF_REPO_LIST VLLM_MAIN_CUDA_VERSION VLLM_MARLIN_INPUT_DTYPE
VLLM_MEDIA_CACHE VLLM_MEDIA_CONNECTOR VLLM_MODEL_REDIRECT_PATH VLLM_MOE_ROUTING_SIMULATION_STRATEGY
VLLM_NCCL_INCLUDE_PATH VLLM_NCCL_SO_PATH VLLM_NIC_SELECTION_VARS VLLM_NIXL_SIDE_CHANNEL_HOST
VLLM_OBJECT_STORAGE_SHM_BUFFER_NAME VLLM_P2P_SIDE_CHANNEL_HOST VLLM_PATTERN_MATCH_DEBUG VLLM_PLUGINS
VLLM_PP_LAYER_PARTITION VLLM_PROCESS_NAME_PREFIX VLLM_RAY_BUNDLE_INDICES VLLM_RAY_DP_PACK_STRATEGY
VLLM_RAY_DP_PLACEMENT_NODE_IPS VLLM_RAY_EXTRA_ENV_VARS_TO_COPY VLLM_RAY_EXTRA_ENV_VAR_PREFIXES_TO_COPY
VLLM_REQUEST_BODY_LOG_LEVEL VLLM_ROCM_AITER_MLA_ASM_PADDING VLLM_ROCM_MUSE_MOE_ONLINE_QUANT
VLLM_ROCM_MUSE_MOE_REDUCE_DTYPE VLLM_ROCM_QUICK_REDUCE_QUANTIZATION VLLM_ROCM_USE_AITER_MOE_SITUV2
VLLM_RPC_BASE_PATH VLLM_RUST_FRONTEND_PATH VLLM_SKIP_VERSION_SUFFIX VLLM_SSM_CONV_STATE_LAYOUT
VLLM_SYSTEM_START_DATE VLLM_TARGET_DEVICE VLLM_TEST_FORCE_LOAD_FORMAT VLLM_TUNED_CONFIG_FOLDER
VLLM_USAGE_SOURCE VLLM_USAGE_STATS_SERVER VLLM_USE_SIMPLE_KV_OFFLOAD VLLM_USE_SPINLOOP_EXT
VLLM_VIDEO_LOADER_BACKEND VLLM_WORKER_MULTIPROC_METHOD VLLM_XLA_CACHE_PATH VLLM_XPU_INC_WNA16_BACKEND
""",
}

TOOL_PARSERS = """
apertus beam cohere_command3 cohere_command4 deepseek_v3 deepseek_v31 deepseek_v32 deepseek_v4 deepseek_v41
dots ernie45 functiongemma gemma4 gigachat3 glm45 glm47 granite granite-20b-fc granite4 hermes hf hunyuan_a13b
hy_v3 hy_v4 inkling internlm jamba k2_horizon kimi_k2 kimi_k3 lfm2 ling3 llama3_json llama4_json
llama4_pythonic longcat mimo minicpm5 minimax_m2 minimax_m3 mistral muse muse_glimmer musespark1x olmo3 openai
phi4_mini_json plamo3 poolside_v1 pythonic qwen3_coder qwen3_json qwen3_xml seed_oss step3 step3p5 step5 xlam
"""

REASONING_PARSERS = """
beam cohere_command3 cohere_command4 deepseek_r1 deepseek_v3 deepseek_v4 deepseek_v41 ernie45 gemma4 glm45
glm47 granite granite_thinking_parser hf holo2 hunyuan_a13b hy_v3 hy_v4 inkling k2_horizon kimi_k2 kimi_k3
ling3 mimo minicpmv minimax_m2 minimax_m2_append_think minimax_m3 mistral muse muse_glimmer musespark1x
nemotron_v3 olmo3 openai_gptoss plamo3 poolside_v1 qwen3 seed_oss step3 step3p5 step5
"""
