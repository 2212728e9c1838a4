"""A LoRA adapter as a model of its own, for the questions of its source, and which candidates bring a newer one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from toolkit.domain.registry.model import Model, Registry, Version


def adapter_models(model: Model) -> tuple[Model, ...]:
    """Return each LoRA adapter of the newest version of `model` as a model.

    Its versions are that adapter, and as candidates those of the model that differ from the newest version in this one
    adapter alone; they have the names of the model's candidates.
    """
    return tuple(
        Model(adapter.name, "", (*_candidates(model, adapter.name), model.newest.part(adapter)))
        for adapter in model.newest.adapters
    )


def adapters_to_schedule(registry: Registry) -> Mapping[str, str]:
    """Return the LoRA adapters that a schedule may name: those of newest versions, each with its model."""
    return {
        adapter.name: model.name
        for model in registry.models.values()
        if model.versions
        for adapter in model.newest.adapters
    }


def same_company(one: Version, other: Version) -> bool:
    """Whether two versions have the same engine, and the same revisions of the same adapters.

    A candidate that has not would turn back what was upgraded since it was pinned.
    """
    return one.engine == other.engine and _revisions(one) == _revisions(other)


def brings(version: Version, base: Version, name: str, revision: str) -> bool:
    """Whether `version` is `base` with `revision` of the adapter `name`, apart from names."""
    adapters = [
        replace(each, revision=revision) if each.name == name else each for each in base.adapters
    ]
    wanted = replace(base, name=version.name, candidate=version.candidate, adapters=())
    by_name = {each.name: each for each in version.adapters}
    return replace(version, adapters=()) == wanted and by_name == {
        each.name: each for each in adapters
    }


def _candidates(model: Model, name: str) -> tuple[Version, ...]:
    newest = model.newest
    return tuple(
        replace(each.part(adapter), name=each.name)
        for each in model.candidates
        if each is not newest
        for adapter in each.adapters
        if adapter.name == name and brings(each, newest, name, adapter.revision)
    )


def _revisions(version: Version) -> Mapping[str, str]:
    return {each.name: each.revision for each in version.adapters}
