"""The fields that a version inherits: read off the schema and `domain.registry.model.Version`, and listed nowhere else.

A field that both a model's block and `Version` have is inherited. It is required where `Version` has no default for it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import MISSING, fields
from typing import Any, get_origin

from toolkit.config.registry.fields import normal_flag
from toolkit.config.registry.part import Spec
from toolkit.config.registry.schema import ModelSpec, VersionSpec
from toolkit.domain.registry.model import Version

_DOMAIN = {field.name: field for field in fields(Version)}
INHERITED = tuple(name for name in ModelSpec.model_fields if name in _DOMAIN)
REQUIRED = tuple(
    name
    for name in INHERITED
    if _DOMAIN[name].default is MISSING and _DOMAIN[name].default_factory is MISSING
)
# A version's entries are added to its model's, and win.
MERGED = tuple(
    name for name in INHERITED if get_origin(ModelSpec.model_fields[name].annotation) is dict
)


def inherit(
    model: Mapping[str, Any], own: Mapping[str, Any], names: Collection[str] = INHERITED
) -> dict[str, Any]:
    """Return the fields `own` of a version, with those of `names` that it takes from its `model`."""
    found = {**{name: model[name] for name in names if name in model}, **own}
    for name in MERGED:
        if name in model and name in own:
            # The model may spell a flag in another way; a mapping has it once.
            spelt = {normal_flag(key): key for key in own[name]}
            base = {spelt.get(normal_flag(key), key): value for key, value in model[name].items()}
            found[name] = {**base, **own[name]}
    return found


def written_out(model: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return a version's block as the file would have it if it took nothing from its model."""
    return inherit(model, own, [name for name in INHERITED if name in VersionSpec.model_fields])


def values_of(spec: Spec, model: str, directory: str) -> dict[str, Any]:
    """Return the domain's values of the fields that the file sets, and that `Version` has.

    `model` is the name of the model, `directory` that of the registry file.
    """
    found = {
        name: _value(getattr(spec, name), model, directory)
        for name in spec.model_fields_set
        if name in _DOMAIN
    }
    if isinstance(found.get("adapters"), dict):
        # Each adapter is a model of its own to clients, by the name of its key.
        found["adapters"] = tuple(
            each.in_domain(name, directory) for name, each in found["adapters"].items()
        )
    return found


def _value(value: Any, model: str, directory: str) -> Any:
    if isinstance(value, Spec):
        return value.in_domain(model, directory)
    if isinstance(value, list):
        return tuple(_value(each, model, directory) for each in value)
    return value
