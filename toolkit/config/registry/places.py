"""The places in which a registry file says something of a model: in its own entry, and in those of its versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolkit.config.yaml_text import Where


def places_of(model: str, entry: Mapping[str, Any]) -> list[tuple[Where, Mapping[str, Any]]]:
    """Return place and content of a model's `entry`, then of each of its versions."""
    where: Where = ("models", model)
    versions = mapping(entry.get("versions")).items()
    return [
        (where, entry),
        *(((*where, "versions", name), mapping(version)) for name, version in versions),
    ]


def mapping(value: Any) -> Mapping[str, Any]:
    """Return the mapping that `value` is, an empty one for anything else, which the schema refuses."""
    return value if isinstance(value, dict) else {}
