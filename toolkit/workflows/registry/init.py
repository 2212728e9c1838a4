"""Start a registry: write the shipped one and its schema into a directory without one."""

from __future__ import annotations

from pathlib import Path

from toolkit.config.shipped import REGISTRY, SCHEMA, shipped_text
from toolkit.errors import InputError


def write_shipped(directory: Path) -> tuple[Path, ...]:
    """Write the shipped registry and its JSON Schema into `directory`; return the paths.

    Raises InputError where one of them is there already, and then writes neither.
    """
    texts = {directory / name: shipped_text(name) for name in (REGISTRY, SCHEMA)}
    for path in texts:
        if path.exists() or path.is_symlink():
            raise InputError(
                f"{path.name} is here already, and is not overwritten",
                hint="toolkit registry check",
            )
    for path, text in texts.items():
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise InputError(
                f"{path} cannot be written: {error.strerror}",
                hint="check the directory's permissions",
            ) from None
    return tuple(texts)
