"""The numbers of a `config.json`, each within its bound, and the bytes of one number of each type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolkit.domain.bounds import CONTEXT, LAYERS, WIDTH
from toolkit.domain.engines.fit import NotUnderstoodError
from toolkit.domain.outside import shown
from toolkit.errors import SourceError
from toolkit.planning.release.longest import LENGTHS

Config = Mapping[str, Any]

LAYER_COUNTS = ("num_hidden_layers", "n_layer", "num_layers")
# Bytes of one number of a type.
NUMBER_BYTES = {"float32": 4, "float": 4, "bfloat16": 2, "float16": 2, "half": 2}
# The bounds of the other numbers are WIDTH.
_MOST = {
    **dict.fromkeys((*LAYER_COUNTS, "max_window_layers"), LAYERS),
    **dict.fromkeys(
        (*LENGTHS, "original_max_position_embeddings", "sliding_window", "attention_chunk_size"),
        CONTEXT,
    ),
}


def number(text: Config, names: tuple[str, ...], default: int = 0) -> int:
    """Return the first of the numbers that is there and not 0, else `default`.

    Raises NotUnderstoodError where neither is there.
    """
    found = optional(text, *names) or default
    if not found:
        raise NotUnderstoodError(f"its config.json does not say `{names[0]}`")
    return found


def optional(text: Config, *names: str) -> int:
    """Return the first of the numbers that is there and not 0, else 0."""
    for name in names:
        value = text.get(name)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if value is None or value is False or value == 0:
            continue
        if type(value) is not int or value < 0:
            raise NotUnderstoodError(f"its config.json says that `{name}` is {shown(value)}")
        most = _MOST.get(name, WIDTH)
        if value > most:
            raise SourceError(
                f"config.json says that `{name}` is {shown(value)}; no model has more than {most}",
                hint="do not trust this repository, or choose another revision: "
                "toolkit registry pin MODEL",
            )
        return value
    return 0
