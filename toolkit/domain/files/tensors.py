"""The header of a safetensors file, held to all that the format says about it."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from math import prod
from typing import Any

from toolkit.domain.bounds import DIMENSIONS, HEADER, POINTER, TENSORS, WHOLE
from toolkit.domain.outside import parse_mapping, shown, text_of, whole

# The bytes that hold a header's length, before the header.
PREFIX = 8
_NAME = 1024
_DTYPE = re.compile(r"[A-Z][A-Z0-9_]{0,15}\Z")
# Bits of one element, by the format's name. Types of later versions of the format are not checked.
_BITS = {
    "BOOL": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "I64": 64,
    "U64": 64,
    "F64": 64,
    "C64": 64,
}
# The beginning of the text that Git keeps in place of a large file.
_POINTER = b"version https://git-lfs"
# The beginnings of what PyTorch saves: an archive of pickles, or a pickle alone.
_PICKLE = re.compile(rb"PK\x03\x04|\x80[\x02-\x05]")


class Unlike(ValueError):
    """A file does not begin like one of safetensors, nor like a pickle or a pointer of Git LFS."""


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


def header_length(start: bytes, size: int | None = None) -> int:
    """Return the length of a header in bytes, from the first eight bytes of the file in `start`.

    Raises ValueError where they begin a pickle or a pointer, or no file of `size` bytes where these are known, and
    Unlike where they begin something else.
    """
    if is_pointer(start):
        raise ValueError("a pointer of Git LFS in place of the weights")
    if len(start) < PREFIX:
        raise ValueError("shorter than the beginning of a safetensors file")
    (length,) = struct.unpack("<Q", start[:PREFIX])
    if not 2 <= length <= HEADER:
        if _PICKLE.match(start):
            raise ValueError("a pickle in place of the weights, and loading one can run code")
        raise Unlike(f"a header of {length} bytes is none of a safetensors file")
    if size is not None and PREFIX + length > size:
        raise ValueError(f"a header of {length} bytes in a file of {size}")
    return int(length)


def may_be_pointer(size: int) -> bool:
    """Whether a file of `size` bytes may be a pointer of Git LFS: address, digest and size take more than 100."""
    return 100 < size <= POINTER


def is_pointer(start: bytes) -> bool:
    """Whether a file that begins with `start` is a pointer of Git LFS and not the file itself."""
    return len(start) >= PREFIX and start.startswith(_POINTER[: len(start)])


def parse_header(text: bytes, size: int | None = None) -> tuple[Tensor, ...]:
    """Return the tensors of a header, ordered by name.

    `text` is the JSON after the first eight bytes, `size` the bytes of the whole file where they are known. The
    tensors' data must follow each other without a gap or an overlap, from the header's end to the file's. An engine
    loads no other file either. Raises ValueError where a header says something else.
    """
    entries = parse_mapping(text, HEADER)
    metadata = entries.pop("__metadata__", None)
    if metadata is not None and not _are_texts(metadata):
        raise ValueError("its metadata are not texts by name")
    if len(entries) > TENSORS:
        raise ValueError(f"more than {TENSORS} tensors")
    spans = [_span(name, entry) for name, entry in entries.items()]
    end = _check_row(spans)
    if size is not None and PREFIX + len(text) + end != size:
        raise ValueError(f"its tensors end at byte {PREFIX + len(text) + end}, the file at {size}")
    return tuple(sorted((tensor for _, tensor in spans), key=lambda tensor: tensor.name))


def _are_texts(metadata: Any) -> bool:
    return isinstance(metadata, dict) and all(isinstance(each, str) for each in metadata.values())


def _span(name: str, entry: Any) -> tuple[int, Tensor]:
    """Return where the tensor's data begins, and the tensor."""
    try:
        text_of(name, "its name", _NAME)
        begin, end, dtype, shape = _described(entry)
    except ValueError as error:
        raise ValueError(f"tensor {shown(name)}: {error}") from None
    return begin, Tensor(name, dtype, shape, end - begin)


def _described(entry: Any) -> tuple[int, int, str, tuple[int, ...]]:
    """Return begin and end of the data, type and shape."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ValueError("not dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or not _DTYPE.match(dtype):
        raise ValueError(f"its type is {shown(dtype)}")
    if not isinstance(shape, list) or len(shape) > DIMENSIONS:
        raise ValueError(f"its shape is not a list of at most {DIMENSIONS} numbers")
    if not isinstance(offsets, list) or len(offsets) != 2:
        raise ValueError("its data_offsets are not two numbers")
    sides = tuple(whole(side, "a side") for side in shape)
    begin, end = (whole(offset, "an offset") for offset in offsets)
    elements = prod(sides)
    if elements > WHOLE or begin > end:
        raise ValueError(f"data from {begin} to {end} for {shown(elements)} elements")
    bits = _BITS.get(dtype)
    if bits is not None and elements * bits != (end - begin) * 8:
        raise ValueError(f"{end - begin} bytes for {elements} elements of {dtype}")
    return begin, end, dtype, sides


def _check_row(spans: list[tuple[int, Tensor]]) -> int:
    """Return where the data ends; raises ValueError where a tensor does not begin at the end of the one before."""
    end = 0
    for begin, tensor in sorted(spans, key=lambda span: (span[0], span[1].size)):
        if begin != end:
            how = "overlaps" if begin < end else "leaves a gap after"
            raise ValueError(f"tensor {shown(tensor.name)} {how} the data before it")
        end += tensor.size
    return end
