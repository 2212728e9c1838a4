"""Flags, keys, variables and parsers of vLLM 0.31: written by scripts/engine_table.py from the engine itself.

Flags, and keys of their JSON after a dot, stand by their kind and what bounds it, with their short spellings in
brackets. Variables stand by their kind.
"""

# ruff: noqa: E501

FLAGS = {
    "count": "kv-cache-memory-bytes",
    "count >=0": "max-num-queued-tokens max-num-scheduled-tokens",
    "count >=1": "max-num-batched-tokens safetensors-prefetch-block-size",
    "count or auto >=-1": "max-model-len",
    "integer": """
api-server-count(asc) cp-kv-cache-interleave-size cpu-distributed-timeout-seconds
data-parallel-start-rank(dpr) data-parallel-supervisor-port dcp-kv-cache-interleave-size
distributed-timeout-seconds dp-supervisor-probe-failure-threshold h11-max-header-count
h11-max-incomplete-event-size mamba-cache-philox-rounds master-port max-cpu-loras max-cudagraph-capture-size
max-log-len num-gpu-blocks-override offload-group-size offload-num-in-group offload-prefetch-step port
renderer-num-workers seed shutdown-timeout spec-tokens sse-keep-alive-interval ssl-cert-reqs
""",
    "integer >0": "block-size mamba-block-size prefix-match-unit replayssm-buffer-len",
    "integer >=-1": "max-logprobs",
    "integer >=0": """
data-parallel-rank(dpn) data-parallel-size-local(dpl) dbo-decode-token-threshold dbo-prefill-token-threshold
long-prefill-token-threshold max-num-queued-reqs mm-shm-cache-max-object-size-mb node-rank(r)
prefix-cache-retention-interval ubatch-size
""",
    "integer >=1": """
data-parallel-size(dp) decode-context-parallel-size(dcp) dp-sync-interval elastic-ep-max-dp-size
max-lora-cls-labels max-loras max-num-active-seqs max-num-seqs max-parallel-loading-workers nnodes(n)
pipeline-parallel-size(pp) prefill-context-parallel-size(pcp) prefill-schedule-interval
safetensors-prefetch-num-threads stream-interval tensor-parallel-size(tp)
""",
    "integer >=1 <=65535": "data-parallel-rpc-port(dpp)",
    "json": """
additional-config allowed-headers allowed-methods allowed-origins attention-config(ac) aux-output-config
compilation-config(cc) default-chat-template-kwargs default-mm-loras diffusion-config(dc) ec-manager-config
ec-transfer-config engram-config eplb-config fault-tolerance-config hf-overrides ir-op-priority kernel-config
kv-events-config kv-transfer-config limit-mm-per-prompt logging-config media-io-kwargs mm-processor-kwargs
model-class-overrides model-loader-extra-config override-generation-config pooler-config profiler-config
pt-load-map-location quantization-config reasoning-config speculative-config(sc) structured-outputs-config
watermark-config weight-transfer-config
""",
    "list integer": "cudagraph-capture-sizes numa-bind-nodes",
    "list one of all model worker": "collect-detailed-traces",
    "list text": """
allowed-media-domains api-key cpu-offload-params ignore-patterns kv-cache-dtype-skip-layers logits-processors
lora-modules lora-target-modules middleware numa-bind-cpus offload-params served-model-name
sleep-preserve-parameter-names
""",
    "mark": "aggregate-engine-logging data-parallel-multi-port-external-lb(dpm) disable-log-stats grpc headless",
    "name of AMX_MLA B12X CPU_ATTN CPU_MLA CUSTOM CUTLASS_MLA CUTLASS_MSA FLASH_ATTN FLASH_ATTN_DIFFKV FLASH_ATTN_MLA FLASH_ATTN_MLA_SPARSE FLASHINFER FLASHINFER_MLA FLASHINFER_MLA_SPARSE FLASHINFER_MLA_SPARSE_DSV4 FLASHINFER_MLA_SPARSE_DSV41 FLASHINFER_MLA_SPARSE_SM120 FLASHINFER_MLA_SPARSE_SM90 FLASHMLA FLASHMLA_MEGA_ATTN_DSV41 FLASHMLA_SPARSE FLASHMLA_SPARSE_DSV4 FLASHMLA_SPARSE_DSV41 FLEX_ATTENTION HPC_ATTN MINIMAX_M3_SPARSE NO_ATTENTION ROCM_AITER_FA ROCM_AITER_MLA ROCM_AITER_MLA_SPARSE ROCM_AITER_TRITON_MLA ROCM_AITER_UNIFIED_ATTN ROCM_ATTN ROCM_FLASHMLA_SPARSE_DSV4 TOKENSPEED_MLA TORCH_SDPA TRITON_ATTN TRITON_ATTN_DIFFKV TRITON_FLASH_ATTN TRITON_FLASHINFER TRITON_MLA TRITON_MSA TURBOQUANT XPU_MLA_SPARSE": "mm-encoder-attn-backend",
    "name of AMX_MLA auto B12X CPU_ATTN CPU_MLA CUSTOM CUTLASS_MLA CUTLASS_MSA FLASH_ATTN FLASH_ATTN_DIFFKV FLASH_ATTN_MLA FLASH_ATTN_MLA_SPARSE FLASHINFER FLASHINFER_MLA FLASHINFER_MLA_SPARSE FLASHINFER_MLA_SPARSE_DSV4 FLASHINFER_MLA_SPARSE_DSV41 FLASHINFER_MLA_SPARSE_SM120 FLASHINFER_MLA_SPARSE_SM90 FLASHMLA FLASHMLA_MEGA_ATTN_DSV41 FLASHMLA_SPARSE FLASHMLA_SPARSE_DSV4 FLASHMLA_SPARSE_DSV41 FLEX_ATTENTION HPC_ATTN MINIMAX_M3_SPARSE NO_ATTENTION ROCM_AITER_FA ROCM_AITER_MLA ROCM_AITER_MLA_SPARSE ROCM_AITER_TRITON_MLA ROCM_AITER_UNIFIED_ATTN ROCM_ATTN ROCM_FLASHMLA_SPARSE_DSV4 TOKENSPEED_MLA TORCH_SDPA TRITON_ATTN TRITON_ATTN_DIFFKV TRITON_FLASH_ATTN TRITON_FLASHINFER TRITON_MLA TRITON_MSA TURBOQUANT XPU_MLA_SPARSE": "attention-backend",
    "name of CPU FLASHINFER TRITON": "mamba-backend",
    "name of auto cohere deepseek_v32 deepseek_v4 deepseek_v41 hf inkling kimi_audio kimi_k3 mistral": "tokenizer-mode",
    "name of auto dummy fastsafetensors hf instanttensor ipc_cache mistral modelexpress npcache pt runai_streamer runai_streamer_sharded safetensors sharded_state tensorizer": "load-format",
    "name of auto_awq auto_gptq awq awq_marlin compressed-tensors deepseek_v4_fp8 experts_int8 fbgemm_fp8 fp8 fp8_per_block fp8_per_channel fp8_per_tensor fp_quant gpt_oss_mxfp4 gptq gptq_marlin humming inc int8_per_channel_weight_only modelopt modelopt_fp4 modelopt_mixed modelopt_mxfp8 moe_wna16 mxfp4 mxfp8 nvfp4_per_token online quark torchao": "quantization(q)",
    "number": "cpu-offload-gb dp-supervisor-probe-interval-s dp-supervisor-probe-timeout-s kv-offloading-size",
    "number >0 <=1": "gpu-memory-utilization(device-memory-utilization) kv-cache-metrics-sample",
    "number >0.0": "mm-encoder-fp8-scale-save-margin",
    "number >=0": "mm-ipc-gpu-memory-gb mm-processor-cache-gb",
    "number >=0.0 <1.0": "video-pruning-rate watermark",
    "one of 1 8 16 32 64 128 256 320 512": "max-lora-rank",
    "one of CRITICAL ERROR WARNING INFO DEBUG NOTSET": "log-level",
    "one of a2a ag_rs": "dcp-comm-backend",
    "one of aiter aiter_triton_mxfp4_bf16 auto b12x batched_triton cutlass deep_gemm deep_gemm_mega_moe emulation flashinfer_b12x flashinfer_cutedsl flashinfer_cutlass flashinfer_moe_ep_mega_cutedsl flashinfer_moe_ep_mega_deep_gemm flashinfer_trtllm flydsl hpc humming marlin rdna3 triton triton_unfused": "moe-backend",
    "one of aiter auto b12x conch cutlass deep_gemm emulation exllama fbgemm flashinfer_b12x flashinfer_cudnn flashinfer_cutedsl flashinfer_cutlass flashinfer_trtllm humming machete marlin torch triton xpu xpu_woq": "linear-backend",
    "one of align all none": "mamba-cache-mode",
    "one of allgather_reducescatter deepep_high_throughput deepep_low_latency deepep_v2 flashinfer_all2allv flashinfer_nvlink_one_sided flashinfer_nvlink_two_sided moonep mori_high_throughput mori_low_latency naive nixl_ep pplx": "all2all-backend",
    "one of auto bfloat16 float float16 float32 half": "dtype",
    "one of auto bfloat16 float16": "lora-dtype",
    "one of auto bfloat16 float16 float32": "mamba-cache-dtype mamba-ssm-cache-dtype",
    "one of auto bfloat16 float16 fp8 fp8_ds_mla fp8_e4m3 fp8_e5m2 fp8_inc fp8_per_token_head int4_per_token_head int8_per_token_head nvfp4 nvfp4_4over6 nvfp4_ds_mla turboquant_3bit_nc turboquant_4bit_nc turboquant_k3v4_nc turboquant_k8v4": "kv-cache-dtype",
    "one of auto classify embed none": "convert",
    "one of auto cooperative deep_select flashinfer per_row persistent torch": "sparse-indexer-topk-backend",
    "one of auto cpu": "mm-processor-device",
    "one of auto draft generate pooling": "runner",
    "one of auto function parameter": "tool-strict-level",
    "one of auto high low max medium none xhigh": "anthropic-disabled-thinking-effort",
    "one of auto horizontal simple vertical": "mamba-ssu-algorithm",
    "one of auto native flashinfer triton": "kda-decode-backend",
    "one of auto openai string": "chat-template-content-format",
    "one of auto prefetch uva": "offload-backend",
    "one of auto triton flashkda flashinfer fused": "kda-prefill-backend",
    "one of bailing_hybrid_mtp bailing_hybrid_v3_mtp custom_class deepseek_mtp dflash dots3_note_mtp draft_model dspark eagle eagle3 ernie_mtp exaone4_5_mtp exaone_moe_mtp extract_hidden_states gemma4_mtp glm4_moe_lite_mtp glm4_moe_mtp glm5_next_mtp glm_ocr_mtp hy_v3_mtp hy_v4_mtp inkling_mtp kimi_k3_mtp longcat_flash_mtp medusa mimo_mtp mimo_v2_mtp minimax_m3_mtp mlp_speculator mtp nemotron_h_mtp ngram ngram_gpu pangu_ultra_moe_mtp qwen3_5_mtp qwen3_next_mtp qwen4_exp_mtp step3p5_mtp suffix": "spec-method",
    "one of balanced interactivity throughput": "performance-mode",
    "one of blake3 sha256 sha512": "mm-hasher-algorithm",
    "one of critical debug error info trace warning": "uvicorn-log-level",
    "one of custom full hash none": "fingerprint-mode",
    "one of data weights": "mm-encoder-tp-mode",
    "one of detailed none summary": "per-request-spec-decode-metrics",
    "one of direct_rpc torch_shm": "mm-tensor-ipc",
    "one of eager lazy prefetch torchao": "safetensors-load-strategy",
    "one of error warn": "jit-monitor-mode",
    "one of evs vidcom2": "video-pruning-method",
    "one of fcfs priority": "scheduling-policy",
    "one of flashinfer triton cutedsl": "gdn-prefill-backend",
    "one of fp8": "mm-encoder-attn-dtype",
    "one of linear round_robin": "expert-placement-strategy",
    "one of lmcache native": "kv-offloading-backend",
    "one of lru shm": "mm-processor-cache-type",
    "one of processed_logits processed_logprobs raw_logits raw_logprobs": "logprobs-mode",
    "one of sha256 sha256_cbor xxhash xxhash_cbor": "prefix-caching-hash-algo",
    "switch": """
allow-credentials allow-deprecated-quantization async-scheduling cohere-is-reasoning-model cudagraph-metrics
data-parallel-external-lb(dpe) data-parallel-hybrid-lb(dph) dcp-q-replicate disable-cascade-attn
disable-chunked-mm-input disable-custom-all-reduce disable-fastapi-docs disable-hybrid-kv-cache-manager
disable-nccl-for-dp-synchronization disable-sliding-window disable-uvicorn-access-log enable-auto-tool-choice
enable-batch-sharded-sampling enable-chunked-prefill enable-cumem-allocator enable-dbo enable-elastic-ep
enable-ep-weight-filter enable-eplb enable-expert-parallel(ep) enable-fault-tolerance
enable-flash-late-interaction enable-flashinfer-autotune enable-force-include-usage
enable-layerwise-nvtx-tracing enable-log-deltas enable-log-outputs enable-log-requests
enable-logging-iteration-details enable-lora enable-mamba-cache-stochastic-rounding
enable-mamba-shared-prefix-checkpoint enable-mfu-metrics enable-mixed-moe-lora-format enable-mm-embeds
enable-moe-shared-loras enable-nccl-comm-suspend enable-offline-docs enable-per-request-metrics
enable-prefix-caching enable-prompt-embeds enable-prompt-tokens-details enable-request-id-headers
enable-return-routed-experts enable-scale-out enable-server-load-tracking enable-sleep-mode enable-ssl-refresh
enable-tokenizer-info-endpoint enable-tower-connector-lora enable-trace-replay enforce-eager
exclude-tools-when-tool-choice-none fail-on-environ-validation fully-sharded-loras interleave-mm-strings
jit-monitor-verbose kv-cache-metrics kv-sharing-fast-prefill language-model-only log-error-stack
long-prefill-token-threshold-adaptive mm-device-do-normalize mm-encoder-only numa-bind ray-workers-use-nsight
return-sampling-mask return-tokens-as-token-ids scheduler-reserve-full-isl skip-mm-profiling
skip-tokenizer-init specialize-active-lora swa-bounded-replay tokens-only trust-remote-code
trust-request-chat-template trust-request-mm-kwargs use-fp64-gumbel use-replayssm use-tqdm-on-load
""",
    "text": """
allowed-local-media-path chat-template code-revision cohere-format config config-format
data-parallel-address(dpa) data-parallel-backend(dpb) device-ids disable-access-log-for-endpoints
distributed-executor-backend download-dir fingerprint-value generation-config hf-config-path hf-token host
io-processor-plugin log-config-file master-addr mm-encoder-fp8-scale-path mm-encoder-fp8-scale-save-path model
model-impl optimization-level otlp-traces-endpoint reasoning-parser reasoning-parser-plugin response-role
revision root-path scheduler-cls show-hidden-metrics-for-version spec-model ssl-ca-certs ssl-certfile
ssl-ciphers ssl-keyfile tokenizer tokenizer-revision tool-call-parser tool-parser-plugin tool-server uds
worker-cls worker-extension-cls
""",
}

KEYS = {
    "integer": """
attention-config.flash_attn_max_num_splits_for_cuda_graph compilation-config.cudagraph_num_of_warmups
compilation-config.max_cudagraph_capture_size compilation-config.pass_config.rope_kvcache_fusion_max_token_num
compilation-config.pass_config.sp_min_token_num diffusion-config.max_denoising_steps pooler-config.dimensions
pooler-config.max_embed_len pooler-config.step_tag_id speculative-config.suffix_decoding_max_cached_requests
speculative-config.suffix_decoding_max_tree_depth
""",
    "integer >0": """
diffusion-config.canvas_length eplb-config.log_balancedness_interval eplb-config.step_interval
eplb-config.window_size speculative-config.num_speculative_tokens
""",
    "integer >=0": "eplb-config.num_redundant_experts",
    "integer >=1": """
speculative-config.draft_tensor_parallel_size speculative-config.max_model_len
speculative-config.prompt_lookup_max speculative-config.prompt_lookup_min
""",
    "list integer": """
compilation-config.compile_ranges_endpoints compilation-config.cudagraph_capture_sizes
pooler-config.returned_token_ids
""",
    "name of AMX_MLA auto B12X CPU_ATTN CPU_MLA CUSTOM CUTLASS_MLA CUTLASS_MSA FLASH_ATTN FLASH_ATTN_DIFFKV FLASH_ATTN_MLA FLASH_ATTN_MLA_SPARSE FLASHINFER FLASHINFER_MLA FLASHINFER_MLA_SPARSE FLASHINFER_MLA_SPARSE_DSV4 FLASHINFER_MLA_SPARSE_DSV41 FLASHINFER_MLA_SPARSE_SM120 FLASHINFER_MLA_SPARSE_SM90 FLASHMLA FLASHMLA_MEGA_ATTN_DSV41 FLASHMLA_SPARSE FLASHMLA_SPARSE_DSV4 FLASHMLA_SPARSE_DSV41 FLEX_ATTENTION HPC_ATTN MINIMAX_M3_SPARSE NO_ATTENTION ROCM_AITER_FA ROCM_AITER_MLA ROCM_AITER_MLA_SPARSE ROCM_AITER_TRITON_MLA ROCM_AITER_UNIFIED_ATTN ROCM_ATTN ROCM_FLASHMLA_SPARSE_DSV4 TOKENSPEED_MLA TORCH_SDPA TRITON_ATTN TRITON_ATTN_DIFFKV TRITON_FLASH_ATTN TRITON_FLASHINFER TRITON_MLA TRITON_MSA TURBOQUANT XPU_MLA_SPARSE": "attention-config.backend speculative-config.attention_backend",
    "name of auto CPU CUSTOM FLASH_ATTN FLASHINFER ROCM_AITER_FA TOKENSPEED_MLA TRTLLM_RAGGED ZEN_CPU": "attention-config.mla_prefill_backend",
    "number": """
compilation-config.pass_config.fi_allreduce_fusion_max_size_mb pooler-config.logit_mean
pooler-config.logit_sigma speculative-config.suffix_decoding_max_spec_factor
speculative-config.suffix_decoding_min_token_prob
""",
    "one of 2 3 4": "attention-config.flash_attn_version",
    "one of ALL STEP": "pooler-config.tok_pooling_type",
    "one of CLS LAST MEAN": "pooler-config.seq_pooling_type",
    "one of aiter aiter_triton_mxfp4_bf16 auto b12x batched_triton cutlass deep_gemm deep_gemm_mega_moe emulation flashinfer_b12x flashinfer_cutedsl flashinfer_cutlass flashinfer_moe_ep_mega_cutedsl flashinfer_moe_ep_mega_deep_gemm flashinfer_trtllm flydsl hpc humming marlin rdna3 triton triton_unfused": "kernel-config.moe_backend speculative-config.moe_backend",
    "one of aiter auto b12x conch cutlass deep_gemm emulation exllama fbgemm flashinfer_b12x flashinfer_cudnn flashinfer_cutedsl flashinfer_cutlass flashinfer_trtllm humming machete marlin torch triton xpu xpu_woq": "kernel-config.linear_backend",
    "one of auto bf16 fp8 mxfp4 nvfp4": "attention-config.indexer_kv_dtype",
    "one of auto bfloat16 float16 fp8 fp8_ds_mla fp8_e4m3 fp8_e5m2 fp8_inc fp8_per_token_head int4_per_token_head int8_per_token_head nvfp4 nvfp4_4over6 nvfp4_ds_mla turboquant_3bit_nc turboquant_4bit_nc turboquant_k3v4_nc turboquant_k8v4": "speculative-config.kv_cache_dtype",
    "one of auto cooperative deep_select flashinfer per_row persistent torch": "kernel-config.sparse_indexer_topk_backend",
    "one of auto guidance lm-format-enforcer outlines xgrammar": "structured-outputs-config.backend",
    "one of bailing_hybrid_mtp bailing_hybrid_v3_mtp custom_class deepseek_mtp dflash dots3_note_mtp draft_model dspark eagle eagle3 ernie_mtp exaone4_5_mtp exaone_moe_mtp extract_hidden_states gemma4_mtp glm4_moe_lite_mtp glm4_moe_mtp glm5_next_mtp glm_ocr_mtp hy_v3_mtp hy_v4_mtp inkling_mtp kimi_k3_mtp longcat_flash_mtp medusa mimo_mtp mimo_v2_mtp minimax_m3_mtp mlp_speculator mtp nemotron_h_mtp ngram ngram_gpu pangu_ultra_moe_mtp qwen3_5_mtp qwen3_next_mtp qwen4_exp_mtp step3p5_mtp suffix": "speculative-config.method",
    "one of block standard synthetic": "speculative-config.rejection_sample_method",
    "one of classify embed embed&token_classify plugin token_classify token_embed": "pooler-config.task",
    "one of default": "eplb-config.policy",
    "switch": """
attention-config.disable_flashinfer_q_quantization attention-config.use_non_causal
attention-config.use_prefill_query_quantization attention-config.use_trtllm_attention
aux-output-config.enable_return_routed_experts compilation-config.compile_mm_encoder
compilation-config.cudagraph_copy_inputs compilation-config.cudagraph_mm_encoder
compilation-config.cudagraph_specialize_lora compilation-config.dynamic_shapes_config.assume_32_bit_indexing
compilation-config.dynamic_shapes_config.evaluate_guards compilation-config.fast_moe_cold_start
compilation-config.pass_config.eliminate_noops compilation-config.pass_config.enable_qk_norm_rope_fusion
compilation-config.pass_config.enable_sp compilation-config.pass_config.fuse_act_padding
compilation-config.pass_config.fuse_act_quant compilation-config.pass_config.fuse_allreduce_rms
compilation-config.pass_config.fuse_attn_quant compilation-config.pass_config.fuse_gemm_comms
compilation-config.pass_config.fuse_mla_dual_rms_norm compilation-config.pass_config.fuse_norm_quant
compilation-config.pass_config.fuse_qk_norm_rope_kvcache compilation-config.pass_config.fuse_rope_kvcache
compilation-config.pass_config.fuse_rope_kvcache_cat_mla compilation-config.use_inductor_graph_partition
engram-config.cpu_offload engram-config.dp_shared_memory engram-config.embedding_across_dp
engram-config.use_thp eplb-config.log_balancedness eplb-config.use_async kernel-config.enable_cutedsl_warmup
kernel-config.enable_flashinfer_autotune kernel-config.enable_jit_warmup
pooler-config.enable_chunked_processing pooler-config.use_activation
speculative-config.disable_padded_drafter_batch speculative-config.enforce_eager
speculative-config.parallel_drafting structured-outputs-config.disable_additional_properties
structured-outputs-config.disable_any_whitespace structured-outputs-config.enable_in_reasoning
""",
}

VARIABLES = {
    "integer": """
LOCAL_RANK VLLM_ADAPTIVE_VERIFICATION_PROFILE_CONTEXT_LEN VLLM_AUDIO_FETCH_TIMEOUT VLLM_CPU_KVCACHE_SPACE
VLLM_CPU_NUM_OF_RESERVED_CPU VLLM_DBO_COMM_SMS VLLM_DEEPEP_BUFFER_SIZE_MB VLLM_DP_MASTER_PORT VLLM_DP_RANK
VLLM_DP_RANK_LOCAL VLLM_DP_SIZE VLLM_EC_SIDE_CHANNEL_PORT VLLM_ENGINE_ITERATION_TIMEOUT_S
VLLM_ENGINE_READY_TIMEOUT_S VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS VLLM_FASTSAFETENSORS_QUEUE_SIZE
VLLM_FLASHINFER_WORKSPACE_BUFFER_SIZE VLLM_HTTP_TIMEOUT_KEEP_ALIVE VLLM_IMAGE_FETCH_TIMEOUT
VLLM_KV_OFFLOAD_MAX_BATCH_DESCRIPTORS VLLM_MAX_AUDIO_CLIP_FILESIZE_MB VLLM_MAX_AUDIO_DECODE_BYTES
VLLM_MAX_AUDIO_DECODE_DURATION_S VLLM_MAX_AUDIO_PREPROCESS_WORKERS VLLM_MAX_BAD_WORDS_TOTAL_TOKENS
VLLM_MAX_COMPLETION_PROMPTS VLLM_MAX_EMBED_DECODE_BYTES VLLM_MAX_IMAGE_PIXELS VLLM_MAX_MEDIA_DOWNLOAD_SIZE_MB
VLLM_MAX_NUM_BAD_WORDS VLLM_MAX_N_SEQUENCES VLLM_MAX_STOP_STRINGS VLLM_MAX_TOKENS_PER_EXPERT_FP4_MOE
VLLM_MEDIA_CACHE_MAX_SIZE_MB VLLM_MEDIA_FETCH_MAX_RETRIES VLLM_MEDIA_LOADING_THREAD_COUNT
VLLM_MOONCAKE_ABORT_REQUEST_TIMEOUT VLLM_MOONCAKE_BOOTSTRAP_PORT VLLM_MOONCAKE_LOAD_RECV_THREADS
VLLM_MQ_MAX_CHUNK_BYTES_MB VLLM_MSGPACK_ZERO_COPY_THRESHOLD VLLM_MULTI_STREAM_GEMM_TOKEN_THRESHOLD
VLLM_NIXL_SIDE_CHANNEL_PORT VLLM_P2P_SIDE_CHANNEL_PORT VLLM_PORT VLLM_REGEX_COMPILATION_TIMEOUT_S
VLLM_RINGBUFFER_WARNING_INTERVAL VLLM_ROCM_AITER_MOE_DISPATCH_POLICY VLLM_ROCM_QUICK_REDUCE_MAX_SIZE_BYTES_MB
VLLM_ROCM_QUICK_REDUCE_MIN_SIZE_BYTES_MB VLLM_ROCM_QUICK_REDUCE_QUANTIZATION_MIN_SIZE_KB
VLLM_ROCM_SLEEP_MEM_CHUNK_SIZE VLLM_SHARED_EXPERTS_STREAM_TOKEN_THRESHOLD VLLM_SPARSE_INDEXER_MAX_LOGITS_MB
VLLM_TOOL_PARSE_REGEX_TIMEOUT_SECONDS VLLM_TRACE_FUNCTION VLLM_TRITON_JIT_WARMUP_NUM_THREADS
VLLM_V1_OUTPUT_PROC_CHUNK_SIZE VLLM_VIDEO_FETCH_TIMEOUT VLLM_WORKER_SHUTDOWN_TIMEOUT_SECONDS
VLLM_XGRAMMAR_CACHE_MB
""",
    "number": """
VLLM_LOG_BATCHSIZE_INTERVAL VLLM_LOG_STATS_INTERVAL VLLM_MEDIA_CACHE_TTL_HOURS VLLM_MOONCAKE_CONNECTOR_TIMEOUT
VLLM_MOONCAKE_DISK_STAGING_USABLE_RATIO VLLM_RAY_PER_WORKER_GPUS
""",
    "switch": """
FORCE_COLOR NO_COLOR VERBOSE VLLM_ALLOW_CHUNKED_LOCAL_ATTN_WITH_HYBRID_KV_CACHE
VLLM_ALLOW_INSECURE_SERIALIZATION VLLM_ALLOW_LONG_MAX_MODEL_LEN VLLM_ALLOW_RUNTIME_LORA_UPDATING
VLLM_ALLREDUCE_USE_FLASHINFER VLLM_ALLREDUCE_USE_FLASHINFER_PCIE_IPC VLLM_ALLREDUCE_USE_SYMM_MEM
VLLM_ASSETS_CACHE_MODEL_CLEAN VLLM_B12X_MOE_FP4_FORCE_A16 VLLM_BATCH_INVARIANT
VLLM_BLOCKSCALE_FP8_GEMM_FLASHINFER VLLM_COMPUTE_NANS_IN_LOGITS VLLM_CONFIGURE_LOGGING VLLM_CPU_ATTN_SPLIT_KV
VLLM_CPU_CI_ENV VLLM_CPU_INT4_W4A8 VLLM_CUSTOM_SCOPES_FOR_PROFILING VLLM_DCP_Q_REPLICATE
VLLM_DEBUG_LOG_API_SERVER_RESPONSE VLLM_DEBUG_MFU_METRICS VLLM_DEBUG_WORKSPACE VLLM_DEEPEPLL_NVFP4_DISPATCH
VLLM_DEEPEP_HIGH_THROUGHPUT_FORCE_INTRA_NODE VLLM_DEEPEP_LOW_LATENCY_USE_MNNVL
VLLM_DEEPEP_V2_ALLOW_HYBRID_MODE VLLM_DEEPEP_V2_ALLOW_MULTIPLE_REDUCTION VLLM_DEEPEP_V2_PREFER_OVERLAP
VLLM_DISABLE_COMPILE_CACHE VLLM_DISABLE_DSV4_MEGAMOE_SHARED_EXPERT_FUSION VLLM_DISABLE_LOG_LOGO
VLLM_DISABLE_PYNCCL VLLM_DISABLE_REQUEST_ID_RANDOMIZATION VLLM_DISABLE_SHARED_EXPERTS_STREAM
VLLM_DISTRIBUTED_USE_SPLIT_GROUP VLLM_DOCKER_BUILD_CONTEXT VLLM_DO_NOT_TRACK VLLM_ELASTIC_EP_DRAIN_REQUESTS
VLLM_ELASTIC_EP_SCALE_UP_LAUNCH VLLM_ENABLE_COHERE_API VLLM_ENABLE_CUDAGRAPH_GC VLLM_ENABLE_CUDA_COMPATIBILITY
VLLM_ENABLE_FLA_PACKED_RECURRENT_DECODE VLLM_ENABLE_GEMM_RS VLLM_ENABLE_HPC_OPS
VLLM_ENABLE_INDUCTOR_COORDINATE_DESCENT_TUNING VLLM_ENABLE_INDUCTOR_MAX_AUTOTUNE VLLM_ENABLE_PREGRAD_PASSES
VLLM_ENABLE_RESPONSES_API_STORE VLLM_ENABLE_STARTUP_PLAN VLLM_ENABLE_V1_MULTIPROCESSING
VLLM_ENFORCE_STRICT_TOOL_CALLING VLLM_FORCE_AOT_LOAD VLLM_GPT_OSS_HARMONY_SYSTEM_INSTRUCTIONS
VLLM_HAS_FLASHINFER_CUBIN VLLM_HUMMING_USE_F16_ACCUM VLLM_KEEP_ALIVE_ON_ENGINE_DEATH
VLLM_KIMI_K3_AUX_ATTN_RES_STREAM VLLM_KIMI_K3_GEMM_AR VLLM_KIMI_K3_SHARD_SP_SHARED_EXPERT
VLLM_KV_EVENTS_USE_INT_BLOCK_HASHES VLLM_LOG_MODEL_INSPECTION VLLM_LORA_DISABLE_PDL
VLLM_LORA_ENABLE_DUAL_STREAM VLLM_MARLIN_USE_ATOMIC_ADD VLLM_MEDIA_URL_ALLOW_REDIRECTS
VLLM_MEMORY_PROFILER_ESTIMATE_CUDAGRAPHS VLLM_MLA_DISABLE VLLM_MOE_SKIP_PADDING VLLM_MOE_USE_DEEP_GEMM
VLLM_MOONCAKE_STORE_TIER_LOG VLLM_MXFP4_EMULATION_DEQUANT_AT_LOAD VLLM_MXFP8_EMULATION_DEQUANT_AT_LOAD
VLLM_NO_USAGE_STATS VLLM_NVTX_SCOPES_FOR_PROFILING VLLM_RAISE_ON_LOGIT_NANS VLLM_RANDOMIZE_DP_DUMMY_INPUTS
VLLM_REPLICATE_EMBED VLLM_ROCM_FP8_MFMA_PAGE_ATTN VLLM_ROCM_FP8_PADDING VLLM_ROCM_MOE_PADDING
VLLM_ROCM_QUICK_REDUCE_CAST_BF16_TO_FP16 VLLM_ROCM_SHUFFLE_KV_CACHE_LAYOUT VLLM_ROCM_USE_AITER
VLLM_ROCM_USE_AITER_CUSTOM_AR VLLM_ROCM_USE_AITER_FP4BMM VLLM_ROCM_USE_AITER_FP4_ASM_GEMM
VLLM_ROCM_USE_AITER_FP8BMM VLLM_ROCM_USE_AITER_FUSION_SHARED_EXPERTS VLLM_ROCM_USE_AITER_LINEAR
VLLM_ROCM_USE_AITER_LINEAR_HIPBMM VLLM_ROCM_USE_AITER_MHA VLLM_ROCM_USE_AITER_MLA VLLM_ROCM_USE_AITER_MOE
VLLM_ROCM_USE_AITER_RMSNORM VLLM_ROCM_USE_AITER_TRITON_GEMM VLLM_ROCM_USE_AITER_TRITON_ROPE
VLLM_ROCM_USE_AITER_UNIFIED_ATTENTION VLLM_ROCM_USE_SKINNY_GEMM VLLM_SERVER_DEV_MODE
VLLM_SKIP_MODEL_NAME_VALIDATION VLLM_SKIP_P2P_CHECK VLLM_SKIP_PRECOMPILED_VERSION_SUFFIX
VLLM_TOOL_JSON_ERROR_AUTOMATIC_RETRY VLLM_TPU_USING_PATHWAYS VLLM_TRITON_FORCE_FIRST_CONFIG VLLM_TRITON_USE_TD
VLLM_USE_AOT_COMPILE VLLM_USE_BREAKABLE_CUDAGRAPH VLLM_USE_BYTECODE_HOOK VLLM_USE_DEEP_GEMM
VLLM_USE_DEEP_GEMM_E8M0 VLLM_USE_DEEP_GEMM_TMA_ALIGNED_SCALES VLLM_USE_DIRECT_DCP_A2A
VLLM_USE_DIRECT_DCP_KV_GATHER VLLM_USE_DIRECT_DCP_Q_GATHER VLLM_USE_EXPERIMENTAL_PARSER_CONTEXT
VLLM_USE_FASTOKENS VLLM_USE_FLASHINFER_MOE_INT4 VLLM_USE_FLASHINFER_SAMPLER VLLM_USE_FUSED_MOE_GROUPED_TOPK
VLLM_USE_HW_AGNOSTIC VLLM_USE_LAYERNAME VLLM_USE_MEGA_AOT_ARTIFACT VLLM_USE_MODELSCOPE VLLM_USE_NCCL_SYMM_MEM
VLLM_USE_OINK_OPS VLLM_USE_PRECOMPILED VLLM_USE_PRECOMPILED_RUST VLLM_USE_RAY_COMPILED_DAG_OVERLAP_COMM
VLLM_USE_RAY_V2_EXECUTOR_BACKEND VLLM_USE_RAY_WRAPPED_PP_COMM VLLM_USE_RUST_BENCH VLLM_USE_RUST_FRONTEND
VLLM_USE_STANDALONE_COMPILE VLLM_USE_TRITON_AWQ VLLM_USE_V2_MODEL_RUNNER VLLM_V1_USE_OUTLINES_CACHE
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
VLLM_ROCM_AITER_MLA_ASM_PADDING VLLM_ROCM_AITER_MLA_DCP_VERIFY VLLM_ROCM_QUICK_REDUCE_QUANTIZATION
VLLM_ROCM_USE_AITER_MOE_SITUV2 VLLM_RPC_BASE_PATH VLLM_RUST_FRONTEND_PATH VLLM_SKIP_VERSION_SUFFIX
VLLM_SSM_CONV_STATE_LAYOUT VLLM_SYSTEM_START_DATE VLLM_TARGET_DEVICE VLLM_TEST_FORCE_LOAD_FORMAT
VLLM_TUNED_CONFIG_FOLDER VLLM_USAGE_SOURCE VLLM_USAGE_STATS_SERVER VLLM_USE_RAY_COMPILED_DAG_CHANNEL_TYPE
VLLM_USE_SIMPLE_KV_OFFLOAD VLLM_USE_SPINLOOP_EXT VLLM_VIDEO_LOADER_BACKEND VLLM_WORKER_MULTIPROC_METHOD
VLLM_XLA_CACHE_PATH VLLM_XPU_INC_WNA16_BACKEND
""",
}

TOOL_PARSERS = """
apertus cohere_command3 cohere_command4 deepseek_v3 deepseek_v31 deepseek_v32 deepseek_v4 deepseek_v41 dots
ernie45 functiongemma gemma4 gigachat3 glm45 glm47 granite granite-20b-fc granite4 hermes hunyuan_a13b hy_v3
hy_v4 inkling internlm jamba k2_horizon kimi_k2 kimi_k3 lfm2 ling3 llama3_json llama4_json llama4_pythonic
longcat mimo minicpm5 minimax_m2 minimax_m3 mistral muse_glimmer olmo3 openai phi4_mini_json poolside_v1
pythonic qwen3_coder qwen3_xml seed_oss step3 step3p5 xlam
"""

REASONING_PARSERS = """
cohere_command3 cohere_command4 deepseek_r1 deepseek_v3 deepseek_v4 deepseek_v41 ernie45 gemma4 glm45 glm47
granite granite_thinking_parser holo2 hunyuan_a13b hy_v3 hy_v4 inkling k2_horizon kimi_k2 kimi_k3 ling3 mimo
minimax_m2 minimax_m2_append_think minimax_m3 mistral muse_glimmer nemotron_v3 olmo3 openai_gptoss poolside_v1
qwen3 seed_oss step3 step3p5
"""

FLASHINFER = """
MiniMaxM3SparseForCausalLM MiniMaxM3SparseForConditionalGeneration
"""
