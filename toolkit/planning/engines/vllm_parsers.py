"""vLLM: which of its parsers read the tool calls and the thoughts of a family of models.

A row holds for models with one of its architectures (none: any) whose chat template has all of its marks. The first row
that holds decides. Of the names in a row, the first that the engine's version has is taken: the tables beside this
module list the parsers of each version, as `scripts/engine_table.py` reads them from the engine. Sources: the
documentation of vLLM on tool calling and on reasoning outputs, and the templates of the families' own repositories.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from toolkit.domain.deployment.release import Release
from toolkit.domain.files.capabilities import ModelFacts
from toolkit.domain.gates.kind import Kind
from toolkit.domain.outside import parse_mapping
from toolkit.domain.registry.model import ServingValue

TOOL_PARSER, REASONING_PARSER = "tool-call-parser", "reasoning-parser"
AUTO_TOOLS, RUNNER, CONVERT, TOKENIZER = (
    "enable-auto-tool-choice",
    "runner",
    "convert",
    "tokenizer-mode",
)
# The engine writes the chats of these itself: their repositories have no template.
OWN_CHATS = frozenset(
    {
        "DeepseekV32ForCausalLM",
        "DeepseekV4ForCausalLM",
        "DeepseekV4ForConditionalGeneration",
        "DeepseekV41ForCausalLM",
        "InklingForCausalLM",
        "InklingForConditionalGeneration",
        "KimiK3ForConditionalGeneration",
        "MoonshotKimiaForCausalLM",
    }
)
# The kinds that the engine serves without writing texts.
_POOLING = (Kind.EMBEDDING, Kind.RERANK, Kind.CLASSIFICATION)
_LIMIT, _TEXT_ONLY = "limit-mm-per-prompt", "language-model-only"
_SMALLEST: Mapping[Kind, tuple[str, Mapping[str, Any]]] = {
    Kind.EMBEDDING: ("/v1/embeddings", {"input": "a"}),
    Kind.RERANK: ("/v1/rerank", {"query": "a", "documents": ["a"]}),
    Kind.CLASSIFICATION: ("/classify", {"input": "a"}),
}


@dataclass(frozen=True, slots=True)
class Row:
    """Parsers for a family: a name of an architecture begins with one of `architectures`, the template has `marks`.

    With `thinks` the template must begin each answer with a thought.
    """

    parsers: tuple[str, ...]
    architectures: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    thinks: bool = False

    def holds(self, facts: ModelFacts) -> bool:
        """Whether the row is about a model of these facts."""
        named = not self.architectures or any(
            each.startswith(self.architectures) for each in facts.architectures
        )
        return named and set(self.marks) <= set(facts.marks) and facts.thinks >= self.thinks


_GLM = ("Glm4Moe", "Glm4vMoe", "GlmMoe")
TOOLS: tuple[Row, ...] = (
    # Families that their architecture alone tells.
    Row(("openai",), ("GptOss",)),
    Row(("deepseek_v32",), ("DeepseekV32",)),
    Row(("deepseek_v41",), ("DeepseekV41",)),
    Row(("deepseek_v4",), ("DeepseekV4",)),
    Row(("inkling",), ("Inkling",)),
    Row(("kimi_k3",), ("KimiK3",)),
    Row(("gemma4",), ("Gemma4",)),
    Row(("llama4_pythonic",), ("Llama4",)),
    Row(("minimax_m3",), ("MiniMaxM3",)),
    Row(("minimax_m2",), ("MiniMaxM2",)),
    Row(("step3p5",), ("Step3p5",)),
    Row(("mimo",), ("MiMo",)),
    Row(("seed_oss",), ("SeedOss",)),
    Row(("longcat",), ("Longcat",)),
    Row(("apertus",), ("Apertus",)),
    Row(("granite-20b-fc",), ("GPTBigCode",)),
    # Families with several formats in the course of their versions.
    Row(("ernie45",), ("Ernie4_5",), ("<tool_call>",)),
    Row(("hunyuan_a13b",), ("HunYuan",), ("<tool_calls>",)),
    Row(("jamba",), ("Jamba",), ("<tool_calls>",)),
    Row(("lfm2",), ("Lfm2",), ("<|tool_call_start|>",)),
    Row(("granite",), ("Granite",), ("<|tool_call|>",)),
    Row(("granite4",), ("Granite",), ("<tool_call>",)),
    Row(("internlm",), ("InternLM",), ("<|plugin|>",)),
    Row(("olmo3",), ("Olmo",), ("<function_calls>",)),
    Row(("phi4_mini_json",), ("Phi3", "Phi4"), ("<|tool|>",)),
    Row(("cohere_command3",), ("Cohere",), ("<|START_ACTION|>",)),
    Row(("functiongemma",), ("Gemma3",), ("<start_function_call>",)),
    Row(("deepseek_v31",), ("Deepseek",), ("<｜tool▁calls▁begin｜>", "thinking is defined")),
    # Families that share their architectures with others: the template tells them.
    Row(("kimi_k2",), (), ("<|tool_calls_section_begin|>",)),
    Row(("deepseek_v3",), (), ("<｜tool▁calls▁begin｜>",)),
    Row(("seed_oss",), (), ("<seed:tool_call>",)),
    Row(("minimax_m2",), (), ("<minimax:tool_call>",)),
    Row(("mistral",), (), ("[TOOL_CALLS]",)),
    Row(("glm47",), ("GlmMoe",), ("<arg_key>",)),
    Row(("glm45",), (), ("<arg_key>",)),
    Row(("qwen3_coder",), (), ("<function=",)),
    # The format of Hermes, which Qwen 2.5, Qwen 3 and many others write: JSON between two tags.
    Row(("hermes",), (), ("<tool_call>",)),
    Row(("llama3_json",), ("Llama", "Mllama"), ("<|python_tag|>",)),
    Row(("llama3_json",), ("Llama", "Mllama"), ("ipython",)),
)
REASONING: tuple[Row, ...] = (
    Row(("openai_gptoss",), ("GptOss",)),
    Row(("deepseek_v3",), ("DeepseekV32",)),
    Row(("deepseek_v41",), ("DeepseekV41",)),
    Row(("deepseek_v4",), ("DeepseekV4",)),
    Row(("inkling",), ("Inkling",)),
    Row(("kimi_k3",), ("KimiK3",)),
    Row(("gemma4",), ("Gemma4",), ("enable_thinking",)),
    Row(("minimax_m3",), ("MiniMaxM3",)),
    Row(("minimax_m2",), ("MiniMaxM2",)),
    Row(("step3p5",), ("Step3p5",)),
    Row(("mimo",), ("MiMo",), ("</think>",)),
    Row(("seed_oss",), (), ("<seed:think>",)),
    Row(("mistral",), (), ("[THINK]",)),
    Row(("glm47",), ("GlmMoe",), ("</think>",)),
    Row(("glm45",), _GLM, ("</think>",)),
    Row(("ernie45",), ("Ernie4_5",), ("</think>",)),
    Row(("hunyuan_a13b",), ("HunYuanMoE",), ("</think>",)),
    Row(("olmo3",), ("Olmo",), ("</think>",)),
    Row(("nemotron_v3",), ("Nemotron",), ("</think>", "<function=")),
    Row(("granite",), ("Granite",), ("Here is my thought process",)),
    Row(("cohere_command3",), ("Cohere",), ("<|START_THINKING|>",)),
    Row(("kimi_k2",), (), ("<|tool_calls_section_begin|>", "</think>")),
    Row(("deepseek_v3",), ("Deepseek",), ("</think>", "thinking is defined")),
    # DeepSeek R1, and the models of other families that were distilled from it.
    Row(("deepseek_r1",), ("Deepseek",), ("</think>",)),
    Row(("deepseek_r1",), (), ("</think>", "<｜tool▁calls▁begin｜>")),
    Row(("qwen3",), ("Qwen",), ("enable_thinking",)),
    Row(("qwen3",), ("Qwen3",), thinks=True),
    # QwQ
    Row(("deepseek_r1",), ("Qwen2",), thinks=True),
)


def tool_parser(facts: ModelFacts, version: str) -> str:
    """Return the parser for calls of tools of such a model in vLLM of `version` (`0.32.0`); empty where none is known.

    A model whose template shows it no tools calls none.
    """
    # Here and not above: the tables are read for a new release alone, and a rollback must start at once.
    from toolkit.planning.engines import vllm_table

    if facts.tools or _writes_own_chats(facts):
        return _first(TOOLS, facts, vllm_table.table_of(version).tool_parsers)
    return "mistral" if _needs_tekken(facts) else ""


def reasoning_parser(facts: ModelFacts, version: str) -> str:
    """Return the parser for the thoughts of such a model in vLLM of `version`; empty where none is known."""
    from toolkit.planning.engines import vllm_table

    return _first(REASONING, facts, vllm_table.table_of(version).reasoning_parsers)


def thinks(facts: ModelFacts) -> bool:
    """Whether the model writes thoughts before its answers, by its template."""
    return facts.thinks or any(row.holds(facts) for row in REASONING)


def writes_chats(facts: ModelFacts) -> bool:
    """Whether the engine makes a prompt of messages for such a model: by its template, or by the engine's own code."""
    return facts.template or facts.tekken or _writes_own_chats(facts)


def defaults(
    facts: ModelFacts, kind: Kind, version: str, serving: Mapping[str, ServingValue]
) -> dict[str, ServingValue]:
    """Return the flags that such a model gets beside those of `serving`, whose word is last."""
    if kind in _POOLING:
        return _pooling(facts, kind)
    if kind is not Kind.CHAT:
        return {}
    options: dict[str, ServingValue] = {}
    if _needs_tekken(facts):
        options[TOKENIZER] = "mistral"
    tools = serving.get(TOOL_PARSER) or tool_parser(facts, version)
    if tools and serving.get(AUTO_TOOLS) is not False:
        options |= {AUTO_TOOLS: True, TOOL_PARSER: tools}
    if thoughts := reasoning_parser(facts, version):
        options[REASONING_PARSER] = thoughts
    return {name: value for name, value in options.items() if name not in serving}


def parsers(serving: Mapping[str, ServingValue]) -> tuple[str, str]:
    """Return the parsers of calls of tools and of thoughts in serving options."""
    tools = str(serving.get(TOOL_PARSER, "")) if serving.get(AUTO_TOOLS) is True else ""
    return tools, str(serving.get(REASONING_PARSER, ""))


def takes(serving: Mapping[str, ServingValue], medium: str) -> bool:
    """Whether serving options leave a medium to the model."""
    limit = serving.get(f"{_LIMIT}.{medium}")
    if isinstance(whole := serving.get(_LIMIT), str):
        with contextlib.suppress(ValueError):
            limit = parse_mapping(whole, 2**16).get(medium)
    return limit != 0 and serving.get(_TEXT_ONLY) is not True


def smallest_request(release: Release) -> dict[str, Any]:
    """Return path and body of the smallest request in which the engine's processes take part, see `Signs.probe`.

    A transcription takes a form with a file; of such a model the counters alone tell whether it hangs.
    """
    kind = release.does.kind if release.does else Kind.CHAT
    asked = _SMALLEST.get(
        kind, ("/v1/completions", {"prompt": "a", "max_tokens": 1, "temperature": 0})
    )
    return {"path": asked[0], "body": {"model": release.model, **asked[1]}}


def _pooling(facts: ModelFacts, kind: Kind) -> dict[str, ServingValue]:
    """Return the flags of a model that writes no text; one that was made to write is converted."""
    writes = any(each.endswith(("ForCausalLM", "LMHeadModel")) for each in facts.architectures)
    classifies = kind is not Kind.EMBEDDING and writes
    return {RUNNER: "pooling", **({CONVERT: "classify"} if classifies else {})}


def _writes_own_chats(facts: ModelFacts) -> bool:
    return not OWN_CHATS.isdisjoint(facts.architectures)


def _needs_tekken(facts: ModelFacts) -> bool:
    return facts.tekken and not facts.template


def _first(rows: tuple[Row, ...], facts: ModelFacts, known: Collection[str]) -> str:
    """Return the parser of the first row that holds, where the engine has it."""
    row = next((each for each in rows if each.holds(facts)), None)
    return next((each for each in row.parsers if each in known), "") if row else ""
