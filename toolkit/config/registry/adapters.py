"""Faults of LoRA adapters in the registry: taken names, missing commits, contradicting options."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from toolkit.config.registry.fields import REVISION_PATTERN, normal_flag, short
from toolkit.config.registry.places import mapping, places_of
from toolkit.config.yaml_text import TextFault, Where, YamlText
from toolkit.planning.engines.vllm_reserved import LORA_FLAGS

_REVISION = re.compile(REVISION_PATTERN.removesuffix("$") + r"\Z")
# The place of an adapter in the file, its name, and its fields.
Block = tuple[Where, str, Mapping[str, Any]]


def adapter_faults(document: YamlText, *, unpinned: bool) -> Iterator[TextFault]:
    """Yield the faults; with `unpinned`, revisions may still be branches or tags.

    Parts of another shape than the schema's are left to the schema.
    """
    models = mapping(mapping(document.data).get("models"))
    owners: dict[str, str] = {}
    for model, entry in models.items():
        for where, name, adapter in blocks_of(str(model), mapping(entry)):
            if name in models:
                yield document.found(
                    where,
                    f"{name!r} is a model, and an adapter needs a name of its own",
                    hint="give the adapter another name",
                    at_key=True,
                )
            owner = owners.setdefault(name, str(model))
            if owner != model:
                yield document.found(
                    where,
                    f"{name!r} is an adapter of {owner} already",
                    hint="give one of the two another name",
                    at_key=True,
                )
            yield from _revision(document, where, name, adapter, unpinned=unpinned)
        yield from _contradictions(document, str(model), mapping(entry))


def blocks_of(model: str, entry: Mapping[str, Any]) -> Iterator[Block]:
    """Yield place, name and content of each adapter of a model: those of the model, then those of its versions."""
    for place, each in places_of(model, entry):
        for name, adapter in mapping(each.get("adapters")).items():
            if isinstance(adapter, dict):
                yield (*place, "adapters", name), str(name), adapter


def _revision(
    document: YamlText, where: Where, name: str, adapter: Mapping[str, Any], *, unpinned: bool
) -> Iterator[TextFault]:
    revision = adapter.get("revision")
    if not isinstance(revision, str) or unpinned or is_pinned(revision):
        return
    yield document.found(
        (*where, "revision"),
        f"revision {short(revision)} is no full commit (40 of 0-9 a-f)",
        hint=f"toolkit registry pin {name}",
    )


def is_pinned(revision: str) -> bool:
    """Whether `revision` is a full commit."""
    return _REVISION.match(revision) is not None


def _contradictions(
    document: YamlText, model: str, entry: Mapping[str, Any]
) -> Iterator[TextFault]:
    """Yield the faults of serving options that `lora` sets, and of adapters on a replica over several hosts."""
    parts = places_of(model, entry)
    takes = any(each.get("adapters") or each.get("lora") for _, each in parts)
    for place, each in parts if takes else ():
        for flag in mapping(each.get("serving")):
            if normal_flag(str(flag)) in LORA_FLAGS:
                yield document.found(
                    (*place, "serving", flag),
                    f"{str(flag)!r} stands beside `adapters` or `lora`, which decide it",
                    hint="write `lora: {max_active: 4, max_rank: 16}` instead",
                    at_key=True,
                )
        hosts = mapping(each.get("resources")).get("hosts", 1)
        if isinstance(hosts, int) and hosts > 1:
            yield document.found(
                (*place, "resources", "hosts"),
                "a replica over several hosts takes no adapters",
                hint="remove `adapters` and `lora`, or let one host run a replica",
            )
