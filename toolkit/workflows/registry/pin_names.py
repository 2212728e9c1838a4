"""The names of versions that a pin gives, and those that wait for one."""

from __future__ import annotations

import re

from toolkit.config.registry.reading import RegistryFile
from toolkit.domain.registry.model import Version
from toolkit.errors import InputError

FULL = re.compile(r"[0-9a-f]{40}\Z")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}\Z")


def waiting_version(file: RegistryFile, model: str, ref: str, name: str) -> str:
    """Return the version of the file whose revision is the branch or tag to be pinned, if any; else an empty text.

    Raises InputError where several are.
    """
    waiting = {
        version: value
        for (owner, version), value in file.unpinned.items()
        if owner == model and value == (ref or value) and version == (name or version)
    }
    if len(waiting) > 1:
        raise InputError(
            f"{' and '.join(waiting)} of {model} wait to be pinned",
            hint=f"choose one: toolkit registry pin {model} --as {next(iter(waiting))}",
        )
    return next(iter(waiting), "")


def default_name(ref: str, revision: str, versions: tuple[Version, ...]) -> str:
    """Return a tag's own name, else the first eight digits of the commit."""
    taken = {version.name for version in versions}
    tag = ref.lower()
    if tag and tag != "main" and _NAME.match(tag) and not FULL.match(tag) and tag not in taken:
        return tag
    return next(revision[:size] for size in range(8, 41) if revision[:size] not in taken)


def bare(spec: str, *, at_allowed: bool = False) -> str:
    """Return the model of `MODEL`; raises InputError for `MODEL@VERSION`, unless that is allowed."""
    model, at, version = spec.partition("@")
    if at and not at_allowed:
        raise InputError(
            f"{spec!r} names a version; a pin makes a new one",
            hint=f"toolkit registry pin {model} --as {version}, or {spec} --lock-only",
        )
    return model
