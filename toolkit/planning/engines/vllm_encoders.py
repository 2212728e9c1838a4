"""The models that vLLM reads at once, without a cache of keys and values.

Layers of encoders are EncoderOnlyAttention, which asks for no cache (vLLM, layers/attention/encoder_only_attention.py,
get_kv_cache_spec), and a model without any such request gets none (v1/engine/core.py, has_kv_cache). A model of vectors
or classes that has a decoder's causal layers keeps a cache like one that writes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

# models/bert.py, bert_with_rope.py, roberta.py, modernbert.py, colbert.py; those of Transformers alone run as encoders
# too (models/transformers/base.py, _get_attn_cls). The last row are decoders that models/config.py makes bidirectional.
_ENCODERS = re.compile(
    r".*(?i:bert)|Gte(?:New)?(?:Model|For)|BgeM3|Electra|MPNet|OpenAIPrivacyFilter|EmbeddingGemma2"
    r"|LlamaBidirectional|LlamaNemotronVL(?:Model|For)|DeepseekV3Bidirectional|VoyageQwen3Bidirectional"
)
_DECODERS = re.compile(r".*(?:ForCausalLM|LMHeadModel|Decoder|Lfm2)")
_PARTS = ("text_config", "llm_config", "language_config")


def keeps_cache(config: Mapping[str, Any]) -> bool:
    """Return whether the engine keeps a cache for a model with this `config.json`; unknown ones keep one."""
    named = config.get("architectures")
    names = [each for each in named if isinstance(each, str)] if isinstance(named, list) else []
    if any(_ENCODERS.match(each) and not _DECODERS.match(each) for each in names):
        return False
    # models/llama.py, qwen2.py, qwen3.py, gemma3.py read `is_causal`; models/config.py sets it from the other two.
    if any(part.get("is_causal") is False for part in _parts(config)):
        return False
    if "Gemma3TextModel" in names:
        return config.get("use_bidirectional_attention") is not True
    return not ("JinaEmbeddingsV5Model" in names and config.get("is_decoder") is False)


def _parts(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield config
    yield from (part for name in _PARTS if isinstance(part := config.get(name), Mapping))
