"""Files that come with the toolkit: in the installed package, or in a checkout beside it."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent

REGISTRY = "model_registry.yaml"
SCHEMA = "model_registry.schema.json"


def shipped_text(name: str) -> str:
    """Return the text of the shipped registry or its schema."""
    installed = _PACKAGE / "_shipped" / name
    return (installed if installed.exists() else _PACKAGE.parent / name).read_text("utf-8")
