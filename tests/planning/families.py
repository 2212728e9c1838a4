"""Known families: what `config.json` and the chat template of each say, cut down to what tells it from the others."""

# ruff: noqa: E501

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

_TOOLS = "{%- if tools %}{%- for tool in tools %}{{ tool | tojson }}{%- endfor %}{%- endif %}"
HERMES = _TOOLS + "<tool_call>\n{{ tool_call.arguments }}\n</tool_call>"
_EMPTY_THOUGHT = (
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}"
    "{%- if enable_thinking is defined and enable_thinking is false %}"
    "{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}{%- endif %}"
)
_OPEN_THOUGHT = (
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n<think>\\n' }}{%- endif %}"
)
_XML = _TOOLS + "<tool_call>\n<function={{ name }}>\n<parameter=x>\n</function>\n</tool_call>"
_PLAIN = "{{ messages[0].content }}"
_DEEPSEEK = "<｜User｜>{{ m.content }}<｜Assistant｜><｜tool▁calls▁begin｜>{{ m.tool_calls }}"


@dataclass(frozen=True)
class Family:
    """A model: its configuration, its template, further files, and what vLLM 0.32 serves it as."""

    name: str
    architecture: str
    template: str = ""
    kind: str = "chat"
    tools: str = ""
    reasoning: str = ""
    vision: bool = False
    audio: bool = False
    config: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


_POOLING = {"modules.json": '[{"idx": 0, "type": "sentence_transformers.models.Transformer"},'
                            ' {"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]'}  # fmt: skip
_VISION: dict[str, Any] = {"vision_config": {"depth": 2}}

FAMILIES = (
    Family("Qwen2.5-7B-Instruct", "Qwen2ForCausalLM", HERMES, tools="hermes"),
    Family("QwQ-32B", "Qwen2ForCausalLM", HERMES + _OPEN_THOUGHT, tools="hermes", reasoning="deepseek_r1"),
    Family("Qwen3-8B", "Qwen3ForCausalLM", HERMES + _EMPTY_THOUGHT, tools="hermes", reasoning="qwen3"),
    Family("Qwen3-30B-A3B-Instruct-2507", "Qwen3MoeForCausalLM", HERMES, tools="hermes"),
    Family("Qwen3-30B-A3B-Thinking-2507", "Qwen3MoeForCausalLM", HERMES + _OPEN_THOUGHT, tools="hermes", reasoning="qwen3"),
    Family("Qwen3-Coder-30B-A3B", "Qwen3MoeForCausalLM", _XML, tools="qwen3_coder"),
    Family("Qwen3.5", "Qwen3_5MoeForConditionalGeneration", _XML + _EMPTY_THOUGHT, tools="qwen3_coder", reasoning="qwen3", vision=True, config=_VISION),
    Family("Qwen2.5-VL-7B", "Qwen2_5_VLForConditionalGeneration", _PLAIN, vision=True, config=_VISION),
    Family("Llama-3.1-8B-Instruct", "LlamaForCausalLM", _TOOLS + "Environment: ipython <|python_tag|>", tools="llama3_json"),
    Family("Llama-3.2-3B-Instruct", "LlamaForCausalLM", _TOOLS + "Environment: ipython", tools="llama3_json"),
    Family("Llama-3.2-11B-Vision", "MllamaForConditionalGeneration", _TOOLS + "ipython", tools="llama3_json", vision=True, config=_VISION),
    Family("Llama-4-Scout", "Llama4ForConditionalGeneration", _TOOLS + "<|python_start|>", tools="llama4_pythonic", vision=True, config=_VISION),
    Family("Llama-2-7b-chat", "LlamaForCausalLM", "[INST] {{ messages }} [/INST]"),
    Family("Hermes-3-Llama-3.1-8B", "LlamaForCausalLM", HERMES, tools="hermes"),
    Family("Mistral-7B-Instruct-v0.3", "MistralForCausalLM", _TOOLS + "[AVAILABLE_TOOLS][TOOL_CALLS]", tools="mistral"),
    Family("Ministral-3-8B-Reasoning", "Mistral3ForConditionalGeneration", _TOOLS + "[TOOL_CALLS][THINK]", tools="mistral", reasoning="mistral", vision=True, config=_VISION),
    Family("Mistral-Small-3.2", "Mistral3ForConditionalGeneration", tools="mistral", vision=True, config=_VISION, files={"tekken.json": "{}"}),
    Family("DeepSeek-V3", "DeepseekV3ForCausalLM", _DEEPSEEK),
    Family("DeepSeek-V3 with a tool template", "DeepseekV3ForCausalLM", _TOOLS + _DEEPSEEK, tools="deepseek_v3"),
    Family("DeepSeek-V3.1", "DeepseekV3ForCausalLM", _TOOLS + _DEEPSEEK + "{% if not thinking is defined %}</think>{% endif %}", tools="deepseek_v31", reasoning="deepseek_v3"),
    Family("DeepSeek-V3.2", "DeepseekV32ForCausalLM", tools="deepseek_v32", reasoning="deepseek_v3"),
    Family("DeepSeek-R1", "DeepseekV3ForCausalLM", _DEEPSEEK + "{{ content.split('</think>')[-1] }}", reasoning="deepseek_r1"),
    Family("DeepSeek-R1-Distill-Llama-8B", "LlamaForCausalLM", _DEEPSEEK + "{{ content.split('</think>')[-1] }}", reasoning="deepseek_r1"),
    Family("GLM-4.5", "Glm4MoeForCausalLM", _TOOLS + "<tool_call>{name}\n<arg_key>x</arg_key>" + _EMPTY_THOUGHT, tools="glm45", reasoning="glm45"),
    Family("GLM-4-9B-0414", "Glm4ForCausalLM", _PLAIN),
    Family("gpt-oss-20b", "GptOssForCausalLM", _TOOLS + "<|channel|>analysis", tools="openai", reasoning="openai_gptoss"),
    Family("granite-3.3-8b-instruct", "GraniteForCausalLM", _TOOLS + "<|tool_call|> Here is my thought process:", tools="granite", reasoning="granite"),
    Family("granite-4.0-h-small", "GraniteMoeHybridForCausalLM", HERMES, tools="granite4"),
    Family("gemma-3-27b-it", "Gemma3ForConditionalGeneration", "<start_of_turn>{{ messages }}", vision=True, config=_VISION),
    Family("functiongemma-270m-it", "Gemma3ForCausalLM", _TOOLS + "<start_function_call>", tools="functiongemma"),
    Family("gemma-4-31b-it", "Gemma4ForConditionalGeneration", _TOOLS + "<|tool_call>{% if enable_thinking %}<|channel>", tools="gemma4", reasoning="gemma4", vision=True, audio=True, config={**_VISION, "audio_config": {"a": 1}}),
    Family("Phi-4-mini-instruct", "Phi3ForCausalLM", _TOOLS + "<|tool|>{{ tools }}<|/tool|>", tools="phi4_mini_json"),
    Family("Kimi-K2-Instruct", "DeepseekV3ForCausalLM", _TOOLS + "<|tool_calls_section_begin|>", tools="kimi_k2"),
    Family("Kimi-K2-Thinking", "DeepseekV3ForCausalLM", _TOOLS + "<|tool_calls_section_begin|><think></think>", tools="kimi_k2", reasoning="kimi_k2"),
    Family("MiniMax-M2", "MiniMaxM2ForCausalLM", _TOOLS + "<minimax:tool_call>" + _OPEN_THOUGHT, tools="minimax_m2", reasoning="minimax_m2"),
    Family("internlm2_5-7b-chat", "InternLM2ForCausalLM", _PLAIN),
    Family("internlm3 with tools", "InternLM3ForCausalLM", _TOOLS + "<|plugin|>", tools="internlm"),
    Family("command-a-reasoning", "Cohere2ForCausalLM", _TOOLS + "<|START_THINKING|><|START_ACTION|>", tools="cohere_command3", reasoning="cohere_command3"),
    Family("Seed-OSS-36B", "SeedOssForCausalLM", _TOOLS + "<seed:tool_call><seed:think>", tools="seed_oss", reasoning="seed_oss"),
    Family("Nemotron-3-Nano", "NemotronHForCausalLM", _XML + _OPEN_THOUGHT + "</think>", tools="qwen3_coder", reasoning="nemotron_v3"),
    Family("Olmo-3-7B-Think", "Olmo3ForCausalLM", _TOOLS + "<function_calls>" + _OPEN_THOUGHT + "</think>", tools="olmo3", reasoning="olmo3"),
    Family("Jamba-1.7", "JambaForCausalLM", _TOOLS + "<tool_calls>", tools="jamba"),
    Family("LFM2-1.2B", "Lfm2ForCausalLM", _TOOLS + "<|tool_call_start|>", tools="lfm2"),
    Family("ERNIE-4.5-Thinking", "Ernie4_5_MoeForCausalLM", HERMES + _OPEN_THOUGHT + "</think>", tools="ernie45", reasoning="ernie45"),
    Family("Hunyuan-A13B", "HunYuanMoEV1ForCausalLM", _TOOLS + "<tool_calls>" + _OPEN_THOUGHT + "</think>", tools="hunyuan_a13b", reasoning="hunyuan_a13b"),
    Family("Qwen2.5-0.5B", "Qwen2ForCausalLM", kind="completion"),
    Family("gpt2", "GPT2LMHeadModel", kind="completion", config={"n_positions": 1024}),
    Family("all-MiniLM-L6-v2", "BertModel", kind="embedding", files=_POOLING),
    Family("bge-m3", "XLMRobertaModel", kind="embedding", files=_POOLING),
    Family("splade", "BertForMaskedLM", kind="embedding"),
    Family("e5-mistral-7b-instruct", "MistralModel", kind="embedding"),
    Family("Qwen3-Embedding-0.6B", "Qwen3ForCausalLM", HERMES, kind="embedding", files=_POOLING),
    Family("bge-reranker-v2-m3", "XLMRobertaForSequenceClassification", kind="rerank", config={"id2label": {"0": "LABEL_0"}}),
    Family("colbertv2.0", "HF_ColBERT", kind="rerank"),
    Family("jina-colbert-v2", "ColBERTJinaRobertaModel", kind="rerank", files=_POOLING),
    Family("GTE-ModernColBERT-v1", "ColBERTModernBertModel", kind="rerank"),
    Family("colpali-v1.3-hf", "ColPaliForRetrieval", kind="rerank", config=_VISION),
    Family("colmodernvbert", "ColModernVBertForRetrieval", kind="rerank", config=_VISION),
    Family("colqwen3", "ColQwen3", _PLAIN, kind="rerank", config=_VISION),
    Family("Ops-Colqwen3-4B", "OpsColQwen3Model", _PLAIN, kind="rerank", config=_VISION),
    Family("llama-nemotron-colembed", "Qwen3VLNemotronEmbedModel", _PLAIN, kind="rerank", config=_VISION),
    Family("Qwen3-Reranker-seq-cls", "Qwen3ForSequenceClassification", HERMES, kind="rerank", config={"num_labels": 1}),
    Family("a sentiment classifier", "BertForSequenceClassification", kind="classification", config={"id2label": {"0": "a", "1": "b"}}),
    Family("Skywork-Reward-V2-Llama-3.1-8B", "LlamaForSequenceClassification", _PLAIN, kind="rerank", config={"num_labels": 1}),
    Family("Qwen2.5-Math-RM-72B", "Qwen2ForRewardModel", _PLAIN, kind="classification"),
    Family("Qwen2.5-Math-PRM-7B", "Qwen2ForProcessRewardModel", _PLAIN, kind="classification"),
    Family("internlm2-1_8b-reward", "InternLM2ForRewardModel", _PLAIN, kind="classification"),
    Family("bert-base-NER", "BertForTokenClassification", kind="classification", config={"id2label": {"0": "O", "1": "B"}}),
    Family("whisper-large-v3", "WhisperForConditionalGeneration", kind="transcription", config={"max_target_positions": 448}),
    Family("Qwen3-ASR-1.7B", "Qwen3ASRForConditionalGeneration", _PLAIN, kind="transcription"),
    Family("Voxtral-Mini", "VoxtralForConditionalGeneration", tools="mistral", audio=True, files={"tekken.json": "{}"}, config={"audio_config": {"a": 1}}),
    Family("InternVL3", "InternVLChatModel", _PLAIN, vision=True, config=_VISION),
    Family("chatglm3-6b", "ChatGLMModel", _PLAIN),
)  # fmt: skip
