"""The longest request that an engine serves without an option for it, by a model's `config.json`.

vLLM, config/model.py, _get_and_verify_max_len, and transformers_utils/model_arch_config_convertor.py,
derive_max_model_len_and_key.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from toolkit.domain.bounds import CONTEXT, WIDTH
from toolkit.domain.outside import shown

Config = Mapping[str, Any]
# The names under which configurations state a length. The smallest one counts, unless `model_max_length` is there.
LENGTHS = (
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
    "seq_length",
    "model_max_length",
    "max_target_positions",
    "max_sequence_length",
    "max_seq_length",
    "seq_len",
)
# The configured length of these kinds of rotary positions is already the scaled one.
_SCALED = ("llama3", "yarn", "deepseek_yarn", "deepseek_llama_scaling", "default", "mrope", "")
# With these an engine serves the length from before the scaling, because short requests would suffer.
_UNSCALED = ("longrope", "su")


def longest(text: Config, whole: Config, number: Callable[[Config, str], int | None]) -> int | None:
    """Return the tokens of the longest request; None where no length is stated.

    `text` is the part of the configuration about the language model, `whole` all of it; `number` returns what stands
    under a name, None or 0 where that is no length. Raises ValueError with the factor where lengths are scaled by none
    that a model can have.
    """
    length = stated_length(text, number)
    if length is None or _is_gemma3(text) or _is_gemma3(whole):
        return length
    before = number(whole, "original_max_position_embeddings") or number(
        text, "original_max_position_embeddings"
    )
    if before and any(_kind(rope) in _UNSCALED for rope in _ropes(text)):
        return before
    return scaled(length, text)


def stated_length(text: Config, number: Callable[[Config, str], int | None]) -> int | None:
    """Return the length that a configuration states, without any scaling; None where it states none."""
    stated = [found for name in LENGTHS if (found := number(text, name))]
    if not stated:
        return None
    return number(text, "model_max_length") or min(stated)


def scaled(length: int, text: Config) -> int:
    """Return a length times the factor of the rotary positions, if they have one.

    Raises ValueError with the factor where it is none that a model can have.
    """
    factor: Any = 1
    for rope in _ropes(text):
        if _kind(rope) not in (*_SCALED, *_UNSCALED):
            factor = rope.get("factor") or factor
    if (
        isinstance(factor, bool)
        or not isinstance(factor, (int, float))
        or not 0 < factor <= WIDTH
        or not math.isfinite(factor)
    ):
        raise ValueError(shown(factor))
    return min(max(1, int(length * factor)), CONTEXT)


def _ropes(text: Config) -> Iterator[Config]:
    """Yield a configuration's parameters of rotary positions, one for each kind of layer where these differ."""
    found = text.get("rope_scaling") or text.get("rope_parameters")
    if not isinstance(found, Mapping):
        return
    each = [part for part in found.values() if isinstance(part, Mapping)]
    yield from each if each and len(each) == len(found) else [found]


def _kind(rope: Config) -> str:
    return str(rope.get("rope_type") or rope.get("type") or "")


def _is_gemma3(config: Config) -> bool:
    """Whether the configured length is the scaled one though the factor stands beside it."""
    return "gemma3" in str(config.get("model_type", ""))
