"""The small files of a model -> what they say about what it can do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from toolkit.domain.bounds import CONFIG, CONTEXT, WIDTH
from toolkit.domain.files.capabilities import MARKS, ModelFacts
from toolkit.domain.outside import parse_json
from toolkit.planning.release.longest import LENGTHS, longest, stated_length

_CONFIG, _TOKENIZER, _MODULES = "config.json", "tokenizer_config.json", "modules.json"
_TEMPLATE, _TEMPLATE_JSON, _PROCESSOR = (
    "chat_template.jinja",
    "chat_template.json",
    "processor_config.json",
)
_SENTENCES = "sentence_bert_config.json"
_MORE_TEMPLATES = "additional_chat_templates/"
_READ = (_CONFIG, _TOKENIZER, _MODULES, _TEMPLATE, _TEMPLATE_JSON, _PROCESSOR, _SENTENCES)
_TEKKEN = re.compile(r"(tekken\.json|tokenizer\.model\.v\d.*)\Z")
_NAMES, _NAME = 8, 200
# Characters of templates that are looked at; the longest in use has 40,000.
_TEMPLATES = 2**20
# `tools` as a name in the code of a template: `{% if tools %}`, `for tool in tools`. The code of one tag is short.
_TOOLS = re.compile(r"\btools\b")
_TAG = 502
# The part of a template that begins an answer mentions a thought: it opens one, or closes an empty one.
_THINKS = re.compile(r"add_generation_prompt.{0,600}<think>", re.DOTALL)


def telling_files(paths: Iterable[str]) -> tuple[str, ...]:
    """Return the small files among a snapshot's `paths` that describe the model's abilities."""
    return tuple(
        path
        for path in paths
        if path in _READ or (path.startswith(_MORE_TEMPLATES) and path.endswith(".jinja"))
    )


def read_facts(paths: Iterable[str], texts: Mapping[str, bytes]) -> ModelFacts:
    """Return the facts that `texts`, the contents of `telling_files(paths)` by path, hold.

    A file that is no JSON says nothing: whether the engine can load it is not judged here.
    """
    listed = tuple(paths)
    config = _mapping(texts.get(_CONFIG))
    text_config = next((each for each in _parts(config, "text_config", "thinker_config")), config)
    template = "\n".join(_templates(texts))[:_TEMPLATES]
    return ModelFacts(
        architectures=_architectures(config),
        model_type=_name(config.get("model_type")),
        context=_context(texts, text_config, config),
        template=bool(template.strip()),
        tools=_shows_tools(template),
        thinks=_THINKS.search(template) is not None,
        marks=tuple(mark for mark in MARKS if mark in template),
        tekken=any(_TEKKEN.match(path) for path in listed),
        pooling=_pools(texts.get(_MODULES)),
        labels=_labels(config),
        vision=_has(config, "vision_config", "visual", "vision_tower", "img_processor"),
        audio=_has(config, "audio_config", "audio_tower", "audio_processor"),
        vocabulary=_number(text_config, "vocab_size", most=WIDTH)
        or _number(config, "vocab_size", most=WIDTH),
    )


def _templates(texts: Mapping[str, bytes]) -> Iterator[str]:
    """Yield the chat templates that an engine may use; a file of its own wins over the tokenizer's."""
    for path, text in texts.items():
        if path.startswith(_MORE_TEMPLATES):
            yield text.decode("utf-8", "replace")
    if _TEMPLATE in texts:
        yield texts[_TEMPLATE].decode("utf-8", "replace")
        return
    for path in (_TEMPLATE_JSON, _PROCESSOR, _TOKENIZER):
        found = _mapping(texts.get(path)).get("chat_template")
        if isinstance(found, str):
            yield found
        for each in found if isinstance(found, list) else ():
            if isinstance(each, dict) and isinstance(each.get("template"), str):
                yield each["template"]


def _shows_tools(template: str) -> bool:
    """Whether `tools` stands in the code of a template: behind `{{` or `{%`, before the tag's end.

    A pattern of a whole tag would look at each brace of a hostile template anew.
    """
    for found in _TOOLS.finditer(template):
        before = template[max(0, found.start() - _TAG) : found.start()]
        last = max(before.rfind("%"), before.rfind("}"))
        if "{{" in before[last + 1 :] or before[: last + 1].endswith("{%"):
            return True
    return False


def _architectures(config: Mapping[str, Any]) -> tuple[str, ...]:
    named = config.get("architectures")
    return tuple(filter(None, map(_name, named[:_NAMES]))) if isinstance(named, list) else ()


def _context(
    texts: Mapping[str, bytes], text_config: Mapping[str, Any], config: Mapping[str, Any]
) -> int | None:
    """Return the longest request in tokens; None where no file states it."""
    if sentences := _number(_mapping(texts.get(_SENTENCES)), "max_seq_length", *LENGTHS):
        return sentences
    stated = _longest(text_config, config) or _longest(config, config)
    if stated and _counts_positions(config):
        # RoBERTa and its heirs take none of their first positions for a request.
        return min(stated, _number(_mapping(texts.get(_TOKENIZER)), "model_max_length") or stated)
    return stated


def _longest(text: Mapping[str, Any], config: Mapping[str, Any]) -> int | None:
    try:
        return longest(text, config, _number)
    except ValueError:
        # Whether the engine can load it is not judged here.
        return stated_length(text, _number)


def _counts_positions(config: Mapping[str, Any]) -> bool:
    """Whether an engine takes the tokenizer's longest request into account: for encoders with absolute positions."""
    writes = any(name.endswith("ForCausalLM") for name in _architectures(config))
    return config.get("position_embedding_type") == "absolute" and not writes


def _number(config: Mapping[str, Any], *names: str, most: int = CONTEXT) -> int | None:
    """Return the first number from 1 to `most` that stands under one of the names."""
    for name in names:
        value = config.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= most:
            return value
    return None


def _labels(config: Mapping[str, Any]) -> int | None:
    names = config.get("id2label")
    if (number := _number(config, "num_labels")) is not None:
        return number
    return len(names) if isinstance(names, dict) and names else None


def _pools(text: bytes | None) -> bool:
    try:
        modules = parse_json(text, CONFIG) if text is not None else []
    except ValueError:
        return False
    return isinstance(modules, list) and any(
        isinstance(each, dict) and str(each.get("type", "")).endswith("Pooling") for each in modules
    )


def _has(config: Mapping[str, Any], *names: str) -> bool:
    places = (config, *_parts(config, "thinker_config"))
    return any(place.get(name) for place in places for name in names)


def _parts(config: Mapping[str, Any], *names: str) -> Iterator[Mapping[str, Any]]:
    for name in names:
        if isinstance(part := config.get(name), dict):
            yield part


def _mapping(text: bytes | None) -> Mapping[str, Any]:
    try:
        found = parse_json(text, CONFIG) if text is not None else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _name(value: Any) -> str:
    """Return a name; empty where no engine has such a one: the lock would hold what no text file may have."""
    return value[:_NAME] if isinstance(value, str) and value.isprintable() else ""
