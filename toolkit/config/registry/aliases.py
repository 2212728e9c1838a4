"""Faults of a model's other names: each name that clients request leads to one model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from toolkit.config.registry.adapters import blocks_of
from toolkit.config.registry.places import mapping, places_of
from toolkit.config.yaml_text import TextFault, Where, YamlText


def alias_faults(document: YamlText) -> Iterator[TextFault]:
    """Yield where an alias is the name of a model or an adapter, an alias of another model, or there twice.

    Parts of another shape than the schema's are left to the schema.
    """
    models = mapping(mapping(document.data).get("models"))
    adapters = {
        name: str(model)
        for model, entry in models.items()
        for _, name, _ in blocks_of(str(model), mapping(entry))
    }
    owners: dict[str, str] = {}
    for model, entry in models.items():
        for where, aliases in _lists(str(model), mapping(entry)):
            for place, alias in enumerate(aliases):
                if words := _taken(str(alias), str(model), models, adapters, owners):
                    yield document.found((*where, place), words, hint="give it another name")
                elif alias in aliases[:place]:
                    yield document.found((*where, place), f"{alias!r} is there twice")
        for _, aliases in _lists(str(model), mapping(entry)):
            owners.update(dict.fromkeys(map(str, aliases), str(model)))


def _taken(
    alias: str,
    model: str,
    models: Mapping[str, Any],
    adapters: Mapping[str, str],
    owners: Mapping[str, str],
) -> str:
    """Return whose name the alias is; empty where it is nobody's."""
    if alias == model:
        return f"{alias!r} is the model's own name"
    if alias in models:
        return f"{alias!r} is a model"
    if alias in adapters:
        return f"{alias!r} is an adapter of {adapters[alias]}"
    owner = owners.get(alias, model)
    return f"{alias!r} is an alias of {owner} already" if owner != model else ""


def _lists(model: str, entry: Mapping[str, Any]) -> Iterator[tuple[Where, list[Any]]]:
    """Yield the place and the aliases of a model, then those of its versions."""
    for place, each in places_of(model, entry):
        aliases = each.get("aliases")
        if isinstance(aliases, list):
            yield (*place, "aliases"), [alias for alias in aliases if isinstance(alias, str)]
