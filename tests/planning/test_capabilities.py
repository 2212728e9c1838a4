"""What a model can do, told from its small files; and what an engine is told of that."""

# ruff: noqa: E501

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.planning.facts import release, version
from tests.planning.families import FAMILIES, HERMES, Family
from toolkit.config.registry.reading import load_registry
from toolkit.domain.files.capabilities import Capabilities, ModelFacts
from toolkit.domain.files.snapshot import Snapshot
from toolkit.domain.gates.kind import Kind
from toolkit.domain.registry.model import ServingValue
from toolkit.domain.registry.release_parts import Check, EngineSpec
from toolkit.planning.engines import engine_named, vllm_parsers, vllm_table
from toolkit.planning.release.build import checks_of
from toolkit.planning.release.capabilities import capabilities, unread, with_defaults
from toolkit.planning.release.model_facts import read_facts, telling_files


def named(name: str) -> Family:
    return next(each for each in FAMILIES if each.name == name)


def facts_of(family: Family) -> ModelFacts:
    config = {"architectures": [family.architecture], **family.config}
    texts = {"config.json": json.dumps(config), **family.files}
    if family.template:
        texts["tokenizer_config.json"] = json.dumps({"chat_template": family.template})
    paths = (*texts, "model.safetensors")
    return read_facts(paths, {path: texts[path].encode() for path in telling_files(paths)})


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_known_family_is_told_from_its_files(family: Family) -> None:
    able = capabilities(version(), facts_of(family))
    assert able is not None
    found = (str(able.kind), able.tool_parser, able.reasoning_parser, able.vision, able.audio)
    assert found == (family.kind, family.tools, family.reasoning, family.vision, family.audio)


@pytest.mark.parametrize("release", ["0.31.0", "0.32.0", "0.33.0", "0.40.0"])
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_an_engine_is_given_parsers_that_its_version_has(family: Family, release: str) -> None:
    table, made = (
        vllm_table.table_of(release),
        replace(version(), engine=EngineSpec("vllm", release)),
    )
    able = capabilities(made, facts_of(family))
    assert able is not None
    assert able.tool_parser in {"", *table.tool_parsers}
    assert able.reasoning_parser in {"", *table.reasoning_parsers}
    # None of the families lost its parser in one of these versions.
    assert (able.tools, able.reasoning) == (bool(family.tools), bool(family.reasoning))


@pytest.mark.parametrize("release", ["0.31.0", "0.32.0", "0.33.0"])
def test_every_parser_of_the_table_is_one_of_the_engine(release: str) -> None:
    table = vllm_table.table_of(release)
    tools = {name for row in vllm_parsers.TOOLS for name in row.parsers}
    thoughts = {name for row in vllm_parsers.REASONING for name in row.parsers}
    assert (tools - table.tool_parsers, thoughts - table.reasoning_parsers) == (set(), set())


def test_each_mark_that_a_row_asks_for_is_noted_by_a_pin() -> None:
    from toolkit.domain.files.capabilities import MARKS

    asked = {mark for row in (*vllm_parsers.TOOLS, *vllm_parsers.REASONING) for mark in row.marks}
    assert asked <= set(MARKS)


THINKS = facts_of(named("Qwen3-8B"))
BERT = facts_of(named("all-MiniLM-L6-v2"))
TEKKEN = facts_of(named("Mistral-Small-3.2"))
PARSED = {
    "enable-auto-tool-choice": True,
    "tool-call-parser": "hermes",
    "reasoning-parser": "qwen3",
}


@pytest.mark.parametrize(
    ("facts", "serving", "added"),
    [
        (None, {}, {}),
        (THINKS, {}, PARSED),
        # What the registry says stays, and the rest is added.
        (THINKS, {"reasoning-parser": "deepseek_r1"}, {"enable-auto-tool-choice": True, "tool-call-parser": "hermes"}),
        (THINKS, {"tool-call-parser": "qwen3_xml"}, {"enable-auto-tool-choice": True, "reasoning-parser": "qwen3"}),
        (THINKS, {"enable-auto-tool-choice": False, "reasoning-parser": ""}, {}),
        (BERT, {}, {"runner": "pooling"}),
        (BERT, {"runner": "auto"}, {}),
        (TEKKEN, {}, {"tokenizer-mode": "mistral", "enable-auto-tool-choice": True, "tool-call-parser": "mistral"}),
    ],
)  # fmt: skip
def test_options_follow_from_the_files_and_the_registry_has_the_last_word(
    facts: ModelFacts | None, serving: dict[str, ServingValue], added: dict[str, ServingValue]
) -> None:
    made = replace(version(), serving=serving)
    assert with_defaults(made, facts).serving == {**added, **serving}


@pytest.mark.parametrize(
    ("kind", "facts", "added"),
    [
        ("embedding", None, {"runner": "pooling"}),
        ("embedding", THINKS, {"runner": "pooling"}),
        ("rerank", THINKS, {"runner": "pooling", "convert": "classify"}),
        ("completion", THINKS, {}),
        ("chat", None, {}),
    ],
)
def test_a_kind_in_the_registry_overrides_what_the_files_say(
    kind: str, facts: ModelFacts | None, added: dict[str, Any]
) -> None:
    made = replace(version(), kind=kind, serving={})
    able = capabilities(made, facts)
    assert able is not None
    assert (str(able.kind), with_defaults(made, facts).serving) == (kind, added)


def test_a_lock_of_an_older_toolkit_leaves_a_release_as_it_was() -> None:
    made = version()
    assert with_defaults(made, None) is made
    assert capabilities(made, None) is None


@pytest.mark.parametrize(
    ("serving", "vision", "context"),
    [
        ({}, True, 4096),
        ({"max-model-len": "2k"}, True, 2000),
        ({"max-model-len": "auto"}, True, 4096),
        ({"limit-mm-per-prompt": '{"image": 0}'}, False, 4096),
        ({"limit-mm-per-prompt.image": 0}, False, 4096),
        ({"language-model-only": True}, False, 4096),
    ],
)
def test_serving_options_take_from_what_a_model_can_do(
    serving: dict[str, ServingValue], vision: bool, context: int
) -> None:
    facts = ModelFacts(("LlavaForConditionalGeneration",), template=True, vision=True, context=4096)
    able = capabilities(replace(version(), serving=serving), facts)
    assert able is not None
    assert (able.vision, able.context) == (vision, context)


@pytest.mark.parametrize(
    ("facts", "serving", "lacks"),
    [
        (THINKS, {}, {}),
        (ModelFacts(("NewForCausalLM",), template=True, tools=True), {}, {"tools": "tool-call-parser"}),
        (ModelFacts(("NewForCausalLM",), template=True, thinks=True), {}, {"reasoning": "reasoning-parser"}),
        # Said to be off is no lack.
        (ModelFacts(("NewForCausalLM",), template=True, tools=True), {"tool-call-parser": "x", "enable-auto-tool-choice": False}, {}),
        (ModelFacts(("BertModel",), template=True, tools=True, pooling=True), {}, {}),
        (None, {}, {}),
    ],
)  # fmt: skip
def test_what_a_template_has_and_no_parser_reads_is_named(
    facts: ModelFacts | None, serving: dict[str, ServingValue], lacks: dict[str, str]
) -> None:
    assert unread(replace(version(), serving=serving), facts) == lacks


@pytest.mark.parametrize(
    ("checks", "kind", "reasoning", "asked"),
    [
        ((), Kind.CHAT, "", Check("Say hello.", max_tokens=8)),
        # Room to think.
        ((), Kind.CHAT, "qwen3", Check("Say hello.", max_tokens=64, timeout=120.0)),
        ((), Kind.COMPLETION, "", Check("Once upon a time", max_tokens=8, kind="completion")),
        ((), Kind.EMBEDDING, "", Check("Say hello.", kind="embedding")),
        ((Check("hi", kind=""),), Kind.RERANK, "", Check("hi", kind="rerank")),
        ((Check("hi", kind="chat"),), Kind.COMPLETION, "", Check("hi", kind="chat")),
    ],
)
def test_the_default_check_follows_from_the_kind(
    checks: tuple[Check, ...], kind: Kind, reasoning: str, asked: Check
) -> None:
    able = Capabilities(kind, reasoning_parser=reasoning)
    assert checks_of(checks, able, kind) == (asked,)


def test_facts_keep_their_json_and_refuse_any_other() -> None:
    for facts in map(facts_of, FAMILIES):
        assert ModelFacts.from_json(json.loads(json.dumps(facts.as_json()))) == facts
    for wrong in ({"x": 1}, {"template": 1}, {"architectures": "a"}, {"context": -1}, {"model_type": 3}):  # fmt: skip
        with pytest.raises(ValueError, match=next(iter(wrong))):
            ModelFacts.from_json(wrong)


@pytest.mark.parametrize(
    ("texts", "template", "tools"),
    [
        ({"chat_template.jinja": HERMES}, True, True),
        ({"chat_template.json": json.dumps({"chat_template": HERMES})}, True, True),
        ({"tokenizer_config.json": json.dumps({"chat_template": [{"name": "tool_use", "template": HERMES}]})}, True, True),
        ({"additional_chat_templates/tool_use.jinja": HERMES}, True, True),
        # A file of its own wins over the tokenizer's.
        ({"chat_template.jinja": "{{ messages }}", "tokenizer_config.json": json.dumps({"chat_template": HERMES})}, True, False),
        ({"tokenizer_config.json": "{"}, False, False),
        ({"tokenizer_config.json": "[" * 100_000}, False, False),
        ({"chat_template.jinja": "{% " * 200_000}, True, False),
        ({}, False, False),
    ],
)  # fmt: skip
def test_a_template_is_found_wherever_it_stands(
    texts: dict[str, str], template: bool, tools: bool
) -> None:
    found = read_facts(texts, {path: text.encode() for path, text in texts.items()})
    assert (found.template, found.tools) == (template, tools)


@pytest.mark.parametrize(
    ("template", "tools"),
    [
        ("{% if tools %}", True),
        ("{{ tools }}", True),
        ("{{" + "x" * 480 + " tools }}", True),
        ("{{" + "x" * 510 + " tools }}", False),
        ("{% if a %} tools", False),
        ("{{ a }} tools {{", False),
        ("{{ mytools }}", False),
        ("tools {% x %}{ {tools", False),
    ],
)
def test_a_template_shows_tools_where_its_code_names_them(template: str, tools: bool) -> None:
    assert read_facts((), {"chat_template.jinja": template.encode()}).tools is tools


@pytest.mark.parametrize("order", ["\x9b31m", "\x7f", "\x1b[2J", "two\nlines", "\u2028", "\u202e"])
def test_a_name_with_a_control_character_is_none(order: str) -> None:
    """The lock had it as it was, and no command could read the lock from then on."""
    config = {"architectures": [f"Qwen{order}", "Qwen2ForCausalLM"], "model_type": order}
    found = read_facts(("config.json",), {"config.json": json.dumps(config).encode()})
    assert (found.architectures, found.model_type) == (("Qwen2ForCausalLM",), "")


@pytest.mark.parametrize("piece", ["{", "{{ ", "{{t", "tools ", "{ tools"])
def test_a_large_template_takes_no_longer_whatever_is_in_it(piece: str) -> None:
    """A pattern that looked at each brace anew took fifteen seconds."""
    began = time.thread_time()
    read_facts((), {"chat_template.jinja": (piece * 2**20)[: 2**20].encode()})
    assert time.thread_time() - began < 4


@pytest.mark.parametrize(
    ("config", "vocabulary"),
    [
        ({"vocab_size": 152_064}, 152_064),
        ({"vocab_size": 7, "text_config": {"vocab_size": 262_208}}, 262_208),
        ({"vocab_size": 7, "text_config": {}}, 7),
        ({"vocab_size": 2**24 + 1}, None),
        ({"vocab_size": -1}, None),
        ({"vocab_size": True}, None),
        ({"vocab_size": "152064"}, None),
        ({}, None),
    ],
)
def test_the_vocabulary_is_that_of_the_text_model(
    config: dict[str, Any], vocabulary: int | None
) -> None:
    texts = {"config.json": json.dumps(config).encode()}
    assert read_facts(texts, texts).vocabulary == vocabulary


def test_snapshots_of_the_same_files_are_equal_whether_they_were_read_or_not() -> None:
    plain = Snapshot("acme/tiny", "a" * 40, ())
    assert replace(plain, facts=THINKS) == plain


@pytest.mark.parametrize(
    ("able", "path"),
    [
        (None, "/v1/completions"),
        (Capabilities(), "/v1/completions"),
        (Capabilities(Kind.EMBEDDING), "/v1/embeddings"),
        (Capabilities(Kind.RERANK), "/v1/rerank"),
        (Capabilities(Kind.CLASSIFICATION), "/classify"),
        # It takes a form with a file. The answer says nothing of the engine, whose counters alone tell a hang.
        (Capabilities(Kind.TRANSCRIPTION), "/v1/completions"),
    ],
)
def test_a_host_probes_a_replica_with_what_its_engine_computes(
    able: Capabilities | None, path: str
) -> None:
    asked = replace(release(1), does=able)
    probe = engine_named("vllm").signs(asked, 8000).probe
    assert (probe["path"], probe["body"]["model"]) == (path, asked.model)


SHIPPED = {
    "qwen-0.5b": "Qwen2.5-7B-Instruct",
    "qwen-7b": "Qwen2.5-7B-Instruct",
    "qwen3-8b": "Qwen3-8B",
    "qwen3-32b": "Qwen3-8B",
    "llama-8b": "Llama-3.1-8B-Instruct",
    "mistral-7b": "Mistral-7B-Instruct-v0.3",
}


def test_what_the_shipped_registry_promises_of_a_model_is_true() -> None:
    registry = load_registry(Path(__file__).parents[2] / "model_registry.yaml")
    assert SHIPPED.keys() == registry.models.keys()
    for name, family in SHIPPED.items():
        for each in registry.models[name].versions:
            able = capabilities(each, facts_of(named(family)))
            assert able is not None
            # Tools are promised by none in vain, and refused by none.
            promised = {
                word
                for word in ("reasoning", "vision")
                if word in registry.models[name].description
            }
            assert set(able.words) == {"chat", "tools", *promised}


def test_the_documents_name_every_parser_that_a_family_gets() -> None:
    page = (Path(__file__).parents[2] / "docs" / "kinds.md").read_text()
    tools, _, thoughts = page.partition("| parser of thoughts |")
    for part, rows in ((tools, vllm_parsers.TOOLS), (thoughts, vllm_parsers.REASONING)):
        named = {name for row in rows for name in row.parsers}
        assert named == {name for name in named if f"`{name}`" in part}


LENGTH = {"architectures": ["LlamaForCausalLM"], "max_position_embeddings": 16384}
FACTOR = {"type": "linear", "factor": 4.0}
# Phi-3 and Phi-4-mini
LONG = {"max_position_embeddings": 131072, "original_max_position_embeddings": 4096}


@pytest.mark.parametrize(
    ("config", "context"),
    [
        # each as vLLM 0.32 says it of this configuration
        ({}, 16384),
        ({"rope_scaling": FACTOR}, 65536),
        ({"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 1e4}}, 65536),
        ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, 32768),
        ({"rope_scaling": {"type": "yarn", "factor": 4.0, **LONG}}, 16384),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, 16384),
        ({**LONG, "rope_scaling": {"type": "longrope"}}, 4096),
        ({"max_sequence_length": 2048}, 2048),
        ({"seq_length": 8192}, 8192),
        ({"model_max_length": 4096}, 4096),
        # Command R
        ({"model_max_length": 65536}, 65536),
        ({"model_type": "gemma3_text", "rope_scaling": FACTOR}, 16384),
        ({"rope_scaling": {"type": "linear", "factor": "x"}}, 16384),
        ({"rope_scaling": {"full_attention": FACTOR, "sliding_attention": {"type": "default"}}}, 65536),
        ({"text_config": {"max_position_embeddings": 8192, "rope_scaling": FACTOR}}, 32768),
    ],
)  # fmt: skip
def test_a_request_has_the_tokens_that_the_engine_serves_by_default(
    config: dict[str, Any], context: int
) -> None:
    texts = {"config.json": json.dumps({**LENGTH, **config}).encode()}
    assert read_facts(texts, texts).context == context


ABSOLUTE = {"position_embedding_type": "absolute", "max_position_embeddings": 514}
RANKER = {"architectures": ["XLMRobertaForSequenceClassification"], **ABSOLUTE}


@pytest.mark.parametrize(
    ("config", "tokenizer", "sentences", "context"),
    [
        (RANKER, {"model_max_length": 512}, None, 512),
        (RANKER, {"model_max_length": 8192}, None, 514),
        # What transformers writes where nobody has said anything.
        (RANKER, {"model_max_length": 10**30}, None, 514),
        (RANKER, {}, None, 514),
        (RANKER, {"model_max_length": 512}, {"max_seq_length": 256}, 256),
        # The engine does not ask the tokenizer of a model that writes, or turns its positions.
        ({**RANKER, "architectures": ["BertForCausalLM"]}, {"model_max_length": 512}, None, 514),
        ({**RANKER, "position_embedding_type": "rotary"}, {"model_max_length": 512}, None, 514),
        ({"architectures": ["X"]}, {"model_max_length": 512}, None, None),
    ],
)
def test_a_request_of_an_encoder_has_the_tokens_that_the_engine_takes(
    config: dict[str, Any],
    tokenizer: dict[str, Any],
    sentences: dict[str, Any] | None,
    context: int | None,
) -> None:
    files = {"config.json": config, "tokenizer_config.json": tokenizer}
    files |= {"sentence_bert_config.json": sentences} if sentences else {}
    texts = {path: json.dumps(document).encode() for path, document in files.items()}
    assert read_facts(texts, texts).context == context
