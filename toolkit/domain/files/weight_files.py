"""The weights that an engine loads: exactly the files of an index, each tensor once, none of them missing.

vLLM loads every safetensors file at the top of a snapshot. With an index it loads the files that the index names.
Where two of these files have a tensor of one name, the file that it reads last wins, without a word. So a stray file
beside the right ones would change the answers of a model.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from toolkit.domain.bounds import INDEX, SHARDS
from toolkit.domain.files.snapshot import is_safe_path
from toolkit.domain.files.tensors import Tensor
from toolkit.domain.outside import parse_mapping, shown, text_of

SAFETENSORS_INDEX = "model.safetensors.index.json"
PICKLE_INDEX = "pytorch_model.bin.index.json"
_SHARD = re.compile(r"(.*)-([0-9]{5})-of-([0-9]{5})\.safetensors\Z")


def index_of(paths: Collection[str]) -> str:
    """Return the index that decides about the weights among `paths`; empty without one."""
    if SAFETENSORS_INDEX in paths:
        return SAFETENSORS_INDEX
    return PICKLE_INDEX if PICKLE_INDEX in paths and not weights_of(paths) else ""


def weights_of(paths: Collection[str], index: bytes | None = None) -> tuple[str, ...]:
    """Return the safetensors files among `paths` that engines load; `index` is the text of their index, if any.

    Raises ValueError where the index is none.
    """
    top = sorted(path for path in paths if "/" not in path and path.endswith(".safetensors"))
    if index is None:
        return tuple(top)
    named = parse_index(index)
    return tuple(path for path in top if path in named)


def parse_index(text: bytes) -> frozenset[str]:
    """Return the files that an index of weights names; raises ValueError where it is none."""
    return frozenset(_weight_map(text).values())


def _weight_map(text: bytes) -> dict[str, str]:
    """Return tensor -> file of an index of weights; raises ValueError where it is none."""
    weight_map = parse_mapping(text, INDEX).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ValueError("it has no `weight_map`")
    named = {name: text_of(file, f"the file of {shown(name)}") for name, file in weight_map.items()}
    files = set(named.values())
    if len(files) > SHARDS:
        raise ValueError(f"it names more than {SHARDS} files")
    for file in files:
        if not is_safe_path(file):
            raise ValueError(f"it names the file {shown(file)}")
    return named


def set_fault(paths: Collection[str], index: bytes | None) -> str:
    """Return, in words, the weights that `paths` lack by their index or their own names; empty without any.

    A file that an index names, and no engine reads, is missing too.
    """
    if index is None:
        return _numbers_fault(weights_of(paths))
    name = index_of(paths)
    try:
        named = parse_index(index)
    except ValueError as error:
        return f"{name} is no index of weights: {error}"
    lacking = sorted(named - set(paths))
    if not lacking:
        unread = sorted(named - set(weights_of(paths))) if name == SAFETENSORS_INDEX else []
        return f"{name} names {unread[0]}, which no engine reads as weights" if unread else ""
    more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
    verb = "is" if len(lacking) == 1 else "are"
    return f"{name} names {', '.join(lacking[:3])}{more}, which {verb} not there"


def tensor_fault(tensors: Mapping[str, Sequence[Tensor]], index: bytes | None = None) -> str:
    """Return, in words, a tensor that stands in two files, or not in the file of the index; empty without one.

    Files that have no tensor at all are a fault too. `tensors` is file -> its tensors, `index` the text of the index,
    if any. Raises ValueError where that is none.
    """
    if tensors and not any(tensors.values()):
        return "its files have no tensor"
    return _twice(tensors) or (_lacking(tensors, _weight_map(index)) if index else "")


def _lacking(tensors: Mapping[str, Sequence[Tensor]], named: Mapping[str, str]) -> str:
    there = {path: {tensor.name for tensor in found} for path, found in tensors.items()}
    for name, path in named.items():
        if path in there and name not in there[path]:
            return (
                f"{SAFETENSORS_INDEX} names the tensor {shown(name)} in {path}, "
                "which has no tensor of that name"
            )
    return ""


def _twice(tensors: Mapping[str, Sequence[Tensor]]) -> str:
    seen: dict[str, str] = {}
    for path, found in tensors.items():
        for tensor in found:
            other = seen.setdefault(tensor.name, path)
            if other != path:
                return (
                    f"the tensor {shown(tensor.name)} stands in {other} and in {path}, "
                    "and an engine would take one of them without a word"
                )
    return ""


def _numbers_fault(weights: Sequence[str]) -> str:
    """Return, in words, the first missing file of a series like `NAME-00001-of-00003.safetensors`, without an index."""
    sets: dict[tuple[str, int], set[int]] = {}
    for path in weights:
        if found := _SHARD.match(path):
            sets.setdefault((found[1], int(found[3])), set()).add(int(found[2]))
    for (name, total), numbers in sets.items():
        # Some sets count from 0.
        if len(numbers) < total:
            first = next(each for each in range(1, total + 1) if each not in numbers)
            return f"{name}-{first:05}-of-{total:05}.safetensors is not there"
    return ""
