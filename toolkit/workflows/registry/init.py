"""Start a registry: write the shipped one and its schema where there is none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from shlex import quote

from toolkit.config.shipped import REGISTRY, SCHEMA, of_registry, shipped_text
from toolkit.errors import InputError


def write_shipped(path: Path) -> tuple[Path, ...]:
    """Write the shipped registry as `path` and its JSON Schema beside it; return the paths that were written.

    A schema that is there already with the same text stays. Raises InputError where the registry or another schema is
    there, and where a file cannot be written; then it leaves neither, also where it is interrupted.
    """
    texts = {path: shipped_text(REGISTRY), path.with_name(SCHEMA): shipped_text(SCHEMA)}
    if _is_there(path):
        raise InputError(
            f"{path} is here already, and is not overwritten",
            hint=of_registry("toolkit registry check", path),
        )
    schema = path.with_name(SCHEMA)
    if _is_there(schema):
        if not _has(schema, texts[schema]):
            raise InputError(
                f"{schema} is here already, and is not overwritten",
                hint=f"move it away, then {of_registry('toolkit registry init', path)}",
            )
        del texts[schema]
    made: list[Path] = []
    try:
        _write(texts, made)
    except BaseException:
        # Leave no part behind: it would look like a registry, and the next try would not overwrite it.
        for each in made:
            each.unlink(missing_ok=True)
        raise
    return tuple(texts)


def _write(texts: Mapping[Path, str], made: list[Path]) -> None:
    """Write new files; `made` gets each as soon as it is there."""
    for each, text in texts.items():
        try:
            with each.open("x", encoding="utf-8") as file:
                made.append(each)
                file.write(text)
        except FileNotFoundError:
            raise InputError(
                f"{each} cannot be written: there is no directory {each.parent}",
                hint=f"mkdir -p {quote(str(each.parent))}",
            ) from None
        except OSError as error:
            raise InputError(
                f"{each} cannot be written: {error.strerror}",
                hint="check the directory's permissions",
            ) from None


def _is_there(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _has(path: Path, text: str) -> bool:
    try:
        return path.is_file() and path.read_bytes() == text.encode()
    except OSError:
        return False
