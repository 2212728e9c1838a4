"""An encoder keeps no cache, so none is counted; a decoder that makes vectors keeps one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.planning import fit_models as models
from tests.planning.facts import host
from tests.planning.fit_models import Config, dense
from tests.planning.test_fit import GIB, candidate, card, gpu_host
from toolkit.domain.accelerator import Accelerator
from toolkit.domain.engines.fit import Actual, FitRecord, ModelFiles
from toolkit.domain.files.capabilities import ModelFacts
from toolkit.planning.engines import engine_named
from toolkit.planning.engines.port import EngineOptions
from toolkit.planning.fit.host_fit import fit_host, predict_need
from toolkit.planning.fit.predict import FitPlace, predict

BERT: Config = {
    "architectures": ["BertModel"], "model_type": "bert", "hidden_size": 384, "intermediate_size": 1536,
    "num_attention_heads": 12, "num_key_value_heads": 12, "num_hidden_layers": 12,
    "vocab_size": 30522, "max_position_embeddings": 512, "tie_word_embeddings": True,
}  # fmt: skip
ENCODER = ModelFiles(BERT, dense(BERT))


@pytest.mark.parametrize(
    ("architecture", "more", "keeps"),
    [
        ("BertModel", {}, False),
        ("BertForSequenceClassification", {}, False),
        ("XLMRobertaModel", {}, False),
        ("XLMRobertaForSequenceClassification", {}, False),
        ("ModernBertForTokenClassification", {}, False),
        ("NomicBertModel", {}, False),
        ("DistilBertModel", {}, False),
        ("DebertaV2ForSequenceClassification", {}, False),
        ("GteNewModel", {}, False),
        ("HF_ColBERT", {}, False),
        ("LlamaBidirectionalModel", {}, False),
        ("OpenAIPrivacyFilterForTokenClassification", {}, False),
        # Embeddings from the weights of a writer: bidirectional ones are read at once, causal ones token by token.
        ("Qwen3ForCausalLM", {}, True),
        ("Qwen2ForCausalLM", {"is_causal": True}, True),
        ("Qwen2ForCausalLM", {"is_causal": False}, False),
        ("Qwen2ForSequenceClassification", {}, True),
        ("MistralModel", {}, True),
        ("Gemma3TextModel", {"use_bidirectional_attention": True}, False),
        ("Gemma3TextModel", {}, True),
        ("JinaEmbeddingsV5Model", {"is_decoder": False}, False),
        ("JinaEmbeddingsV5Model", {}, True),
        ("ColBERTLfm2Model", {}, True),
        ("ModernBertDecoderForSequenceClassification", {}, True),
        ("BertLMHeadModel", {"is_decoder": True}, True),
        ("LlamaNemotronVLModel", {}, False),
        ("SomeVLModel", {"llm_config": {"is_causal": False}}, False),
    ],
)
def test_what_keeps_a_cache_is_told_by_the_architecture(
    architecture: str, more: dict[str, Any], keeps: bool
) -> None:
    config = {"architectures": [architecture], **more}
    assert engine_named("vllm").keeps_cache(config) is keeps


@pytest.mark.parametrize("config", [{}, {"architectures": "BertModel"}, {"architectures": [3]}])
def test_a_config_that_names_no_architecture_keeps_a_cache(config: Config) -> None:
    assert engine_named("vllm").keeps_cache(config)


@pytest.mark.parametrize("accelerator", list(Accelerator))
def test_an_encoder_takes_its_weights_and_its_step(accelerator: Accelerator) -> None:
    options = EngineOptions(cache=0 if accelerator.traits.has_devices else 4 * GIB)
    place = FitPlace(accelerator, 16 * GIB)
    said = predict(ENCODER, options, place)
    assert (said.cache, said.token, said.tokens, said.concurrency) == (0, 0, 0, 0.0)
    assert (said.keeps_cache, said.note) == (False, "")
    assert said.least == said.weights + said.reserve
    assert said.longest == said.context == 512
    decoder = predict(replace(ENCODER, config={**BERT, "architectures": ["LlamaModel"]}), options, place)  # fmt: skip
    assert decoder.keeps_cache and decoder.least > said.least
    if not accelerator.traits.has_devices:
        assert decoder.budget - said.budget == options.cache


def test_what_memory_gives_is_compared_without_a_cache() -> None:
    wanted = candidate(ENCODER, memory=0.2, accelerators=(Accelerator.CPU,), serving={})
    assert fit_host(wanted, host(memory=64 * GIB)).fits
    small = fit_host(candidate(ENCODER, memory=0.2, serving={}), gpu_host(card(24)))
    assert not small.fits
    assert small.why.startswith("one request of 512 tokens needs ")
    assert "; weights alone take " in small.why


def test_an_encoders_request_is_as_long_as_all_of_its_small_files_say() -> None:
    wanted = candidate(ENCODER, memory=4, accelerators=(Accelerator.CPU,), serving={})
    facts = ModelFacts(("BertModel",), context=96)
    known = replace(wanted, snapshot=replace(wanted.snapshot, facts=facts))
    for said in (predict_need(known), fit_host(known, host(memory=64 * GIB)).prediction):
        assert said is not None
        assert (said.context, said.longest) == (96, 96)
    asked = replace(known, version=replace(known.version, serving={"max-model-len": 64}))
    assert (predict_need(asked).context, predict_need(asked).longest) == (64, 64)


def test_an_encoder_that_is_not_understood_says_nothing_of_a_cache() -> None:
    odd = ModelFiles({**BERT, "num_attention_heads": None}, ENCODER.tensors)
    said = predict(odd, EngineOptions(), FitPlace(Accelerator.CUDA, 16 * GIB))
    assert said.note.startswith("what it takes beside its weights is not predicted: ")
    known = ModelFiles({**models.QWEN25_7B, "hidden_size": None}, ENCODER.tensors)
    said = predict(known, EngineOptions(), FitPlace(Accelerator.CUDA, 16 * GIB))
    assert said.note.startswith("its cache is not predicted: ")


def test_the_one_block_that_an_engine_reports_for_it_is_no_error_of_the_prediction() -> None:
    said = predict(ENCODER, EngineOptions(), FitPlace(Accelerator.CUDA, 16 * GIB))
    record = FitRecord("tiny", 1, "here", said, Actual(tokens=16, weights=said.weights), 0.0)
    assert record.token_error is None
    assert record.weight_error == 0.0
