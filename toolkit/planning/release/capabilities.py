"""The abilities of a version: from its registry entry, the facts of its files, and its engine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from toolkit.domain.files.capabilities import Capabilities, ModelFacts
from toolkit.domain.gates.kind import Kind
from toolkit.domain.registry.model import Version
from toolkit.planning.engines import engine_named

# Beginnings of the architectures that turn speech into text and do nothing else.
_TRANSCRIBERS = (
    "Whisper",
    "Qwen3ASRForConditionalGeneration",
    "CohereAsr",
    "FireRedASR",
    "FunASR",
    "GlmAsr",
    "MossTranscribe",
)
# Architectures that end like encoders, and write texts.
_WRITERS = (
    "LMHeadModel",
    "ChatModel",
    "ChatGLMModel",
    "UltravoxModel",
    "OmniModel",
    "AudioModel",
    "LMModel",
)
# Other models than those of a kind answer its path too: the router's table has the same ones.
_ANSWERED_TOO = {
    Kind.COMPLETION: (Kind.CHAT,),
    Kind.RERANK: (Kind.EMBEDDING,),
    Kind.CLASSIFICATION: (Kind.RERANK,),
}
# Parts of architectures that tell a score or a class of each token, and nothing of a text. vLLM does that at /pooling
# alone (model_executor/layers/pooler/tokwise): such a model has neither /classify nor /v1/embeddings.
_OF_TOKENS = {"RewardModel": "a reward model", "ForTokenClassification": "a classifier of tokens"}
UNASKED = "is {}: the engine tells its scores of tokens at /pooling alone, where no check asks"
ASKED = (
    "a reward model that ends in ForSequenceClassification can be served; where the engine answers this one at another "
    "path, write its `kind` in the registry"
)
_ENCODERS = ("Model", "ForMaskedLM", "ForRetrieval")
# Models of late interaction keep a vector of each token, as ColBERT and ColPali do. vLLM compares two texts with them
# (`score_type` of its SupportsLateInteraction); the vectors themselves it tells at /pooling alone, and it has no
# /v1/embeddings then.
_LATE = re.compile(r"(HF_|Ops)?Col(BERT|Pali|Qwen|ModernVBert)|Qwen3VLNemotronEmbedModel\Z")


def kind_of(version: Version, facts: ModelFacts | None) -> Kind:
    """Return the kind of a version: the registry's, else that of its files, else chats."""
    if version.kind:
        return Kind(version.kind)
    if facts is None:
        return Kind.CHAT
    names = facts.architectures
    if any("ForSequenceClassification" in each for each in names):
        return Kind.RERANK if facts.labels == 1 else Kind.CLASSIFICATION
    if any(part in each for each in names for part in _OF_TOKENS):
        return Kind.CLASSIFICATION
    if any(each.endswith("ForRanking") or _LATE.match(each) for each in names):
        return Kind.RERANK
    if facts.pooling or any(_encodes(each) for each in names):
        return Kind.EMBEDDING
    if any(each.startswith(_TRANSCRIBERS) for each in names):
        return Kind.TRANSCRIPTION
    chats = engine_named(version.engine.name).writes_chats(facts)
    return Kind.CHAT if chats or not names else Kind.COMPLETION


def of_tokens(version: Version, facts: ModelFacts | None) -> str:
    """Return in words the kind of a model that labels each token, which no client can ask; empty for all others.

    Where the registry says a kind, its word is taken.
    """
    if version.kind or facts is None:
        return ""
    found = (
        (name, what)
        for name in facts.architectures
        for part, what in _OF_TOKENS.items()
        if part in name
    )
    return next((f"{what} ({name})" for name, what in found), "")


def with_defaults(version: Version, facts: ModelFacts | None) -> Version:
    """Return a version with the serving options that follow from its files; the registry's word is last.

    Without facts, and without a `kind` in the registry, it is as it was: the lock is of an older toolkit, and nobody
    asked for another release.
    """
    facts = _known(version, facts)
    if facts is None:
        return version
    engine = engine_named(version.engine.name)
    kind = kind_of(version, facts)
    found = engine.defaults(facts, kind, version.engine.version, version.serving)
    return replace(version, serving={**found, **version.serving}) if found else version


def vocabulary_of(facts: ModelFacts | None) -> int | None:
    """Return the number of a model's tokens, None where its lock does not have it."""
    return facts.vocabulary if facts else None


def capabilities(version: Version, facts: ModelFacts | None) -> Capabilities | None:
    """Return the abilities of a version; None where neither its lock has facts nor the registry names its kind."""
    facts = _known(version, facts)
    if facts is None:
        return None
    kind, engine = kind_of(version, facts), engine_named(version.engine.name)
    serving = with_defaults(version, facts).serving
    tools, thoughts = engine.parsers(serving)
    chats = kind is Kind.CHAT
    return Capabilities(
        kind=kind,
        tool_parser=tools if chats else "",
        reasoning_parser=thoughts if chats else "",
        vision=chats and facts.vision and engine.takes(serving, "image"),
        audio=chats and facts.audio and engine.takes(serving, "audio"),
        context=engine.stated_context(version.engine.version, serving) or facts.context,
    )


def answers(able: Capabilities, kind: Kind) -> bool:
    """Whether a model can be asked for `kind`, as the router lets it."""
    if kind is Kind.TRANSCRIPTION and able.audio:
        return True
    return able.kind in (kind, *_ANSWERED_TOO.get(kind, ()))


def unread(version: Version, facts: ModelFacts | None) -> Mapping[str, str]:
    """Return the parts of a chat template that no parser reads: `tools`, `reasoning` -> the parser's flag.

    Where the registry says anything about it, nothing is lacking.
    """
    able = capabilities(version, facts)
    if able is None or facts is None or able.kind is not Kind.CHAT:
        return {}
    engine, serving = engine_named(version.engine.name), version.serving
    wants = {
        "tools": (facts.tools and not able.tools, engine.tool_flags),
        "reasoning": (engine.thinks(facts) and not able.reasoning, engine.reasoning_flags),
    }
    return {
        name: flags[0]
        for name, (lacks, flags) in wants.items()
        if lacks and not any(flag in serving for flag in flags)
    }


def _known(version: Version, facts: ModelFacts | None) -> ModelFacts | None:
    return ModelFacts() if facts is None and version.kind else facts


def _encodes(name: str) -> bool:
    return name.endswith(_ENCODERS) and not name.endswith(_WRITERS)
