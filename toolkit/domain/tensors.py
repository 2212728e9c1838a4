"""The header of a safetensors file."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from math import prod

# The format limits its header to this many bytes. A larger number means another format.
MAX_HEADER = 100_000_000


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of a file. `dtype` is the format's name (`BF16`, `I32`, `F8_E4M3`), `size` is in bytes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    size: int

    @property
    def elements(self) -> int:
        """The number of its elements; a scalar has one."""
        return prod(self.shape)


def header_length(start: bytes) -> int:
    """Return the length of a header in bytes, from the first eight bytes of the file in `start`.

    Raises ValueError where they do not begin a safetensors file.
    """
    if len(start) < 8:
        raise ValueError("shorter than the beginning of a safetensors file")
    (length,) = struct.unpack("<Q", start[:8])
    if not 2 <= length <= MAX_HEADER:
        raise ValueError(f"a header of {length} bytes is none of a safetensors file")
    return int(length)


def parse_header(text: bytes) -> tuple[Tensor, ...]:
    """Return the tensors of a header, ordered by name.

    `text` is the JSON after the first eight bytes. Raises ValueError where it is not a header.
    """
    try:
        entries = json.loads(text)
        found = [
            Tensor(name, each["dtype"], tuple(each["shape"]), _size(*each["data_offsets"]))
            for name, each in entries.items()
            if name != "__metadata__"
        ]
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise ValueError(f"not the header of a safetensors file: {error}") from error
    return tuple(sorted(found, key=lambda tensor: tensor.name))


def _size(begin: int, end: int) -> int:
    if not 0 <= begin <= end:
        raise ValueError(f"data from {begin} to {end}")
    return end - begin
