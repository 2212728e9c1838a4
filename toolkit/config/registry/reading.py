"""Read `model_registry.yaml` into `domain.registry.model.Registry`; a fault is an InputError with its place."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import ValidationError

from toolkit.config.registry.adapters import is_pinned
from toolkit.config.registry.checks import spanning_faults
from toolkit.config.registry.faults import empty_value_faults, schema_faults
from toolkit.config.registry.inheritance import inherit, values_of
from toolkit.config.registry.schema import ModelSpec, RegistrySpec
from toolkit.config.shipped import of_registry
from toolkit.config.text_file import read_text
from toolkit.config.yaml_text import TextFault, Where, YamlText, read_yaml
from toolkit.domain.gates.guard import Guard
from toolkit.domain.registry.model import Model, Policy, Registry, Version

MAX_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class RegistryFile:
    """A registry together with its text, for the commands that write into it.

    `unpinned` names the versions, as (model, version), whose revision is still a branch or tag.
    """

    document: YamlText
    registry: Registry
    unpinned: Mapping[tuple[str, str], str] = field(default_factory=dict)


def load_registry(path: Path) -> Registry:
    """Return the registry in the file `path`; raises InputError with `file:line:column`.

    Models that are still to be pinned do not keep the others from use: they are in `waiting`. A registry of such
    models alone raises.
    """
    text = read_registry_text(path)
    file, _ = _read(path, text, unpinned=True)
    waiting = dict(_waiting(file)) if file else {}
    if file is None or (waiting and len(waiting) == len(file.registry.models)):
        return parse_registry(path, text).registry
    models = {name: each for name, each in file.registry.models.items() if name not in waiting}
    return replace(file.registry, models=models, waiting=waiting)


def _waiting(file: RegistryFile) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield each model that has no version or one with a branch or tag for a revision, with reason and command."""
    for name, model in file.registry.models.items():
        refs = [(title, ref) for (owner, title), ref in file.unpinned.items() if owner == name]
        if not model.versions:
            yield name, (f"{name} has no version yet", f"toolkit registry pin {name}")
        elif refs:
            title, ref = refs[0]
            why = f"{name}@{title} is not pinned: its revision is {ref!r}"
            yield name, (why, f"toolkit registry pin {name}")
        else:
            adapters = (each for version in model.versions for each in version.adapters)
            loose = next((each for each in adapters if not is_pinned(each.revision)), None)
            if loose:
                why = f"adapter {loose.name} of {name} is not pinned"
                yield name, (why, f"toolkit registry pin {loose.name}")


def read_registry(path: Path, *, unpinned: bool = False) -> RegistryFile:
    """Return registry and text of the file `path`.

    With `unpinned`, revisions that still have to be pinned and models without versions are let
    through. Raises InputError for the first of all other faults, with the number of the rest.
    """
    return parse_registry(path, read_registry_text(path), unpinned=unpinned)


def read_registry_text(path: Path) -> str:
    """Return the text of the registry's file; raises InputError where it cannot be read."""
    return read_text(path, limit=MAX_BYTES, hint=of_registry("toolkit registry init", path))


def parse_registry(path: Path, text: str, *, unpinned: bool = False) -> RegistryFile:
    """Return registry and text; like `read_registry` for a text that was read already."""
    file, faults = _read(path, text, unpinned=unpinned)
    if file is None:
        more = len(faults) - 1
        first = faults[0].error(path)
        if more:
            noun = "fault" if more == 1 else "faults"
            first.message += f"\n  and {more} more {noun}: `toolkit registry check` shows all"
        raise first
    return file


def registry_faults(path: Path, text: str) -> tuple[TextFault, ...]:
    """Return all faults of the text of a registry in its order; empty where `parse_registry` reads it."""
    return _read(path, text, unpinned=False)[1]


def _read(
    path: Path, text: str, *, unpinned: bool
) -> tuple[RegistryFile | None, tuple[TextFault, ...]]:
    document, faults = read_yaml(path, text)
    found = list(faults)
    if document.data in (None, {}):
        # The file is not overwritten: it may have a person's comments.
        empty = document.found(
            (),
            "the registry is empty",
            hint=f"move it away, then {of_registry('toolkit registry init', path)}",
        )
        return None, tuple(found or [empty])
    if unpinned:
        _fill_versions(document)
    found += empty_value_faults(document)
    spec = None
    try:
        spec = RegistrySpec.model_validate(document.data)
    except ValidationError as error:
        found += schema_faults(document, error)
    found += spanning_faults(document, unpinned=unpinned)
    if found or spec is None:
        return None, _ordered(found)
    return _file(document, spec), ()


def _ordered(faults: Iterable[TextFault]) -> tuple[TextFault, ...]:
    """Return the first fault found at each place, in the file's order."""
    places: dict[tuple[int, int], TextFault] = {}
    for fault in faults:
        places.setdefault((fault.line, fault.column), fault)
    return tuple(places[place] for place in sorted(places))


def _fill_versions(document: YamlText) -> None:
    """Let a model whose `versions:` has no value yet have no versions."""
    data = document.data if isinstance(document.data, dict) else {}
    models = data.get("models")
    for model in models.values() if isinstance(models, dict) else ():
        if isinstance(model, dict) and "versions" in model and model["versions"] is None:
            model["versions"] = {}


def _file(document: YamlText, spec: RegistrySpec) -> RegistryFile:
    """Turn a file without faults into domain objects."""
    directory = os.path.dirname(os.path.abspath(document.path))  # noqa: PTH100, PTH120 - links stay links
    models = {
        name: _placed(document, _model(name, model, directory))
        for name, model in spec.models.items()
    }
    rules = spec.policy.licences
    policy = Policy(
        tuple(rules.allowed),
        tuple(rules.denied),
        {licence: tuple(names) for licence, names in rules.approved.items()},
    )
    unpinned = {
        (version.model, version.name): version.revision
        for model in models.values()
        for version in model.versions
        if not is_pinned(version.revision)
    }
    return RegistryFile(document, Registry(models, policy, str(document.path)), unpinned)


def _model(name: str, spec: ModelSpec, directory: str) -> Model:
    base = values_of(spec, name, directory)
    versions = tuple(
        Version(model=name, name=key, **inherit(base, values_of(version, name, directory)))
        for key, version in spec.versions.items()
    )
    objectives = spec.objectives.in_domain(name, directory) if spec.objectives else None
    return Model(name, spec.description, versions, spec.inside, objectives)


def _placed(document: YamlText, model: Model) -> Model:
    """Return a model whose guards know the lines that name their files."""
    return replace(
        model, versions=tuple(_placed_version(document, each) for each in model.versions)
    )


def _placed_version(document: YamlText, version: Version) -> Version:
    adapters = tuple(
        replace(each, guard=_guard(document, version, each.guard, "adapters", each.name, "guard"))
        for each in version.adapters
    )
    guard = _guard(document, version, version.guard, "guard")
    return replace(version, guard=guard, adapters=adapters)


def _guard(document: YamlText, version: Version, guard: Guard, *below: str) -> Guard:
    """Return a guard that stands `below` its version, or else below the model."""
    own: Where = ("models", version.model, "versions", version.name, *below)
    where: Where = own if own in document.spans else ("models", version.model, *below)
    parts = {"answers": "file", "benchmarks": "tasks"}
    return replace(
        guard,
        **{
            part: replace(
                getattr(guard, part),
                place=document.found((*where, part, field), "").place(document.path),
            )
            for part, field in parts.items()
            if getattr(guard, part) is not None
        },
    )
