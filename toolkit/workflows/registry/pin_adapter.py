"""Pin a LoRA adapter, in its place in the registry, and lock its files like those of a model."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from toolkit.config.registry.adapters import blocks_of, is_pinned
from toolkit.config.registry.edit import proved, write_registry
from toolkit.config.registry.lock_file import read_lock
from toolkit.config.registry.reading import RegistryFile, read_registry
from toolkit.config.yaml_text import Where
from toolkit.domain.registry.model import LocalSource
from toolkit.errors import InputError
from toolkit.workflows.registry.pin import Pinned, Pinning, lock_versions, pin_version


def pin_named(path: Path, name: str, ref: str = "", *, version: str = "", **how: Any) -> Pinned:
    """Pin the model or the adapter `name`, see `pin_version`; `version` names a model's new version.

    An adapter's revision is replaced in its place: its name stays what clients request. Where several versions of the
    model have it, the one that waits for a commit is pinned, else the last one.
    Raises InputError where `version` names a version of an adapter, and what `pin_version` raises.
    """
    file = read_registry(path, unpinned=True)
    blocks = list(_blocks(file, name))
    if name in file.registry.models or not blocks:
        return pin_version(path, name, ref, name=version, **how)
    if version:
        raise InputError(
            f"{name} is an adapter, which has no versions to name",
            hint=f"toolkit registry pin {name}",
        )
    return _pin(path, file, blocks, name, ref, how)


def lock_named(path: Path, spec: str, **how: Any) -> tuple[Pinned, ...]:
    """Write the digests of a model's versions, and of their adapters, or of the adapter `spec` into the lock.

    Raises what `lock_versions` raises.
    """
    file = read_registry(path, unpinned=True)
    name = spec.partition("@")[0]
    if name in file.registry.models:
        done = list(lock_versions(path, spec, **how))
        # A new look at the lock: the versions stand in it now.
        bases = [each.version for each in done]
        parts = [part for base in bases for part in base.parts[1:]]
    else:
        done = []
        parts = [base.part(adapter) for base, adapter in file.registry.adapters(name)]
        if not parts:
            return lock_versions(path, spec, **how)
    once = {(part.source.key, part.revision): part for part in parts}
    for part in once.values():
        if not is_pinned(part.revision):
            raise InputError(
                f"the adapter {part.model} is not pinned: its revision is {part.revision!r}",
                hint=f"toolkit registry pin {part.model}",
            )
        pinning = Pinning(file=file, pins=read_lock(path), **how)
        done.append(pinning.lock(part, pinning.observe(part, part.revision), again=True))
    return tuple(done)


def _pin(
    path: Path,
    file: RegistryFile,
    blocks: list[tuple[Where, str]],
    name: str,
    ref: str,
    how: dict[str, Any],
) -> Pinned:
    where, revision = _chosen(blocks)
    model = str(where[1])
    base = next(
        (each for each in file.registry.versions if _has(each.model, each.name, where)), None
    )
    if base is None:
        raise InputError(
            f"{model} has no version yet, so nothing tells what {name} adapts",
            hint=f"toolkit registry pin {model}",
        )
    adapter = next(each for each in base.adapters if each.name == name)
    pinning = Pinning(file=file, pins=read_lock(path), **how)
    waits = not is_pinned(revision)
    asked = ref or (revision if waits else "")
    if isinstance(adapter.source, LocalSource):
        asked = ""
    found = pinning.observe(base.part(adapter), asked)
    part = base.part(replace(adapter, revision=found.revision))
    after = _with_revision(file, where, found.revision)
    pinned = pinning.lock(part, found)
    if revision == found.revision:
        return pinned
    if pinning.begin:
        pinning.begin()
        write_registry(path, file, after)
    return replace(pinned, registry_changed=True)


def _blocks(file: RegistryFile, name: str) -> Iterator[tuple[Where, str]]:
    """Yield place and revision of each block of the adapter `name`."""
    for model, entry in file.document.data["models"].items():
        for where, adapter, content in blocks_of(str(model), entry):
            if adapter == name:
                yield where, str(content["revision"])


def _chosen(blocks: list[tuple[Where, str]]) -> tuple[Where, str]:
    waiting = [each for each in blocks if not is_pinned(each[1])]
    return (waiting or blocks)[-1]


def _has(model: str, version: str, where: Where) -> bool:
    """Whether the adapter at `where` is one of a version: its own, or its model's."""
    return where[1] == model and (where[2] == "adapters" or where[3] == version)


def _with_revision(file: RegistryFile, where: Where, revision: str) -> RegistryFile:
    """Return the registry in which the adapter at `where` has `revision`; the rest of its text stays."""
    span = file.document.spans[*where, "revision"]
    text = file.document.text[: span.offset] + revision + file.document.text[span.end_offset :]
    expected = copy.deepcopy(file.document.data)
    entry = expected
    for key in where:
        entry = entry[key]
    entry["revision"] = revision
    return proved(file, text, expected, str(where[1]), f"write it yourself: revision: {revision}")
