"""A model's structure, its predicted memory on a host, and the memory that the engine reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from toolkit.domain.files.tensors import Tensor


class NotUnderstoodError(ValueError):
    """A model's configuration or an option is of a kind whose memory is not predicted; says which."""


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model read without its weights: `config.json` and the tensors its files name.

    A file of another format than safetensors counts as one tensor of the file's size.
    """

    config: Mapping[str, Any]
    tensors: tuple[Tensor, ...]


class Attention(StrEnum):
    """The reach of a layer's attention, which decides how much of its cache stays; or what a layer keeps instead.

    CROSS attends to what an encoder made of a request, STATE keeps as much for a short request as for a long one.
    """

    FULL = "full"
    SLIDING = "sliding"
    CHUNKED = "chunked"
    CROSS = "cross"
    STATE = "state"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer. `window` is in tokens, 0 for the whole context; `beside` is kept in addition."""

    attention: Attention = Attention.FULL
    window: int = 0
    beside: Attention = Attention.NONE


@dataclass(frozen=True, slots=True)
class LayerState:
    """The state that one layer keeps of a request: a convolution's last inputs, and a recurrence.

    The convolution keeps `positions` of its `channels` and of `groups`, each of `group_width`; the recurrence has
    `heads` of `head_width` numbers of the type `dtype`. A request holds the states of `blocks` where prefixes are
    cached, else one. The layer makes `projected` numbers of a token.
    """

    channels: int
    positions: int
    heads: int = 0
    head_width: int = 0
    groups: int = 0
    group_width: int = 0
    dtype: str = "auto"
    blocks: int = 1
    projected: int = 0


@dataclass(frozen=True, slots=True)
class Architecture:
    """The values of a model's `config.json` that decide about memory.

    `latent` is the width of the one vector that multi-head latent attention keeps per token and layer, 0 for a cache of
    keys and values. `context` is the longest request that the engine serves by default, `positions` the number of its
    rotary positions, each of `rotary` numbers. `experts` and `expert_width` are those of one token, 0 for a dense
    model.
    """

    layers: tuple[Layer, ...]
    heads: int
    kv_heads: int
    head_dim: int
    hidden: int
    intermediate: int
    vocabulary: int
    context: int
    positions: int
    rotary: int
    dtype: str = "bfloat16"
    latent: int = 0
    experts: int = 0
    expert_width: int = 0
    tied: bool = False
    quantization: str = ""
    cache_dtype: str = "auto"
    state: LayerState | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """The expected memory of one device (on the CPU, of one host); sizes in bytes.

    The engine may use `budget`, and takes `outside` beside it; `graphs` are a part of the budget, by `reserve`. `cache`
    is the rest of the budget for tokens and may be negative. The cache holds `tokens`, in
    `concurrency` requests of `context` tokens each. `longest` is the longest context of a single request, `least` the
    minimum for one request of `context` tokens. `token`, `tokens` and `concurrency` are 0 without a cache. `note` says
    what is not known. `adapters` are the part of `weights` that is reserved for LoRA adapters. `state` is what a
    request keeps in the cache beside its tokens.
    """

    budget: int
    weights: int
    reserve: int
    cache: int
    token: int
    context: int
    tokens: int
    concurrency: float
    longest: int
    least: int
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    note: str = ""
    outside: int = 0
    graphs: int = 0
    adapters: int = 0
    state: int = 0

    @property
    def keeps_cache(self) -> bool:
        """Whether the engine keeps a cache for it, as far as is known: an encoder has none."""
        return bool(self.token or self.state or self.note)

    @property
    def taken(self) -> int:
        """The memory of the device that the replica takes in all."""
        return self.budget + self.outside

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints and the history keeps."""
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Prediction:
        """Return the prediction whose `as_json` is `data`; an older toolkit's has fewer figures."""
        known = Prediction.__dataclass_fields__.keys() & data.keys()
        return Prediction(**{key: data[key] for key in known})


@dataclass(frozen=True, slots=True)
class Actual:
    """The figures that an engine reports after its start, per device, sizes in bytes; None without a report."""

    tokens: int | None = None
    context: int | None = None
    concurrency: float | None = None
    weights: int | None = None
    cache: int | None = None
    graphs: int | None = None

    @property
    def known(self) -> bool:
        """Whether there is any figure."""
        return any(value is not None for value in asdict(self).values())

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints and the history keeps."""
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Actual:
        """Return the figures whose `as_json` is `data`."""
        return Actual(**{key: data.get(key) for key in Actual.__dataclass_fields__})


@dataclass(frozen=True, slots=True)
class FitRecord:
    """A start in the history: predicted and actual side by side; `at` in seconds since the epoch."""

    model: str
    release: int
    host: str
    predicted: Prediction
    actual: Actual
    at: float

    @property
    def token_error(self) -> float | None:
        """The error of the predicted cache, as a share of the actual one: 0.05 is 5 % too many.

        None without a cache: an engine then reports the one block that its pool always has.
        """
        if not self.actual.tokens or not self.predicted.keeps_cache:
            return None
        return self.predicted.tokens / self.actual.tokens - 1

    @property
    def weight_error(self) -> float | None:
        """The error of the predicted weights, as a share of the actual ones."""
        if not self.actual.weights:
            return None
        return self.predicted.weights / self.actual.weights - 1
