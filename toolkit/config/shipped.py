"""Files that come with the toolkit: in the installed package, or in a checkout beside it."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

_PACKAGE = Path(__file__).resolve().parent.parent

REGISTRY = "model_registry.yaml"
SCHEMA = "model_registry.schema.json"


def of_registry(command: str, path: Path) -> str:
    """Return the command for the registry `path`, with the option where that is not the one that commands take."""
    return command if path == Path(REGISTRY) else f"{command} --registry {quote(str(path))}"


def shipped_text(name: str) -> str:
    """Return the text of the shipped registry or its schema."""
    installed = _PACKAGE / "_shipped" / name
    return (installed if installed.exists() else _PACKAGE.parent / name).read_text("utf-8")
