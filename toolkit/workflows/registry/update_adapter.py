"""Pin what a LoRA adapter's tracked branch holds now, as a candidate of its model: the same base with that adapter."""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from toolkit.adapters.hub.port import OpenHub
from toolkit.config.registry.adapters import is_pinned
from toolkit.config.registry.edit import LinePlace, insert_version, write_registry
from toolkit.config.registry.lock_file import read_lock
from toolkit.config.registry.reading import RegistryFile, read_registry
from toolkit.config.yaml_dump import dump_yaml
from toolkit.domain.registry.model import Adapter, Version
from toolkit.errors import InputError
from toolkit.planning.upkeep.adapter_currency import brings
from toolkit.planning.upkeep.difference import compare
from toolkit.workflows.registry.found import Found
from toolkit.workflows.registry.pin import Accept, Pinning, Report
from toolkit.workflows.registry.update import Local, Updated, both_texts
from toolkit.workflows.tools import Begin, unrecorded

_LONGEST = 63


def is_adapter(registry_path: Path, name: str) -> bool:
    """Whether the registry has an adapter of this name, and no model."""
    registry = read_registry(registry_path, unpinned=True).registry
    return name not in registry.models and bool(registry.adapters(name))


def update_adapter(
    registry_path: Path,
    adapter: str,
    *,
    name: str = "",
    open_hub: OpenHub,
    report: Report,
    local: Local,
    accept: Accept | None = None,
    begin: Begin | None = unrecorded,
) -> tuple[Updated, str]:
    """Pin the newest revision of `adapter` within a candidate of its model; return what differs, and the candidate.

    The candidate is the model's newest version with that adapter, so that it is upgraded to like any other, and no
    replica starts anew for it. The title is empty where the adapter is current. Writes nothing where such a candidate
    is there already, and without `begin`. Raises what `update_model` raises.
    """
    file = read_registry(registry_path, unpinned=True)
    base, known = _newest(file, adapter)
    pinning = Pinning(file, read_lock(registry_path), open_hub, report, accept, begin)
    part = base.part(known)
    found = pinning.observe(part, "")
    if found.revision == known.revision:
        return Updated(pinning.lock(part, found), part, None), ""
    after, title = _candidate(file, base, adapter, found, name)
    new = after.registry.model(base.model).version(title)
    pinned = pinning.lock(
        new.part(next(each for each in new.adapters if each.name == adapter)), found
    )
    if after is not file and begin:
        begin()
        write_registry(registry_path, file, after)
    pinned = replace(pinned, registry_changed=after is not file)
    lock = read_lock(registry_path)
    if not lock.has(part):
        return Updated(pinned, part, None), new.title
    before = lock.snapshot_of(part)
    texts = both_texts(part, before, pinned, local, open_hub)
    return Updated(pinned, part, compare(before, pinned.snapshot, texts, (None, None))), new.title


def _newest(file: RegistryFile, adapter: str) -> tuple[Version, Adapter]:
    """Return the newest version of the adapter's model, and its adapter."""
    owners = file.registry.adapters(adapter)
    if not owners:
        raise InputError(f"no adapter {adapter!r}", hint="toolkit registry list")
    base = file.registry.model(owners[-1][0].model).newest
    found = next((each for each in base.adapters if each.name == adapter), None)
    if found is None:
        raise InputError(
            f"{base.title} has no adapter {adapter}", hint=f"toolkit registry show {base.model}"
        )
    waits = [each.name for each in base.adapters if not is_pinned(each.revision)]
    if waits or (base.model, base.name) in file.unpinned:
        name = waits[0] if waits else base.model
        raise InputError(f"{name} waits to be pinned", hint=f"toolkit registry pin {name}")
    return base, found


def _candidate(
    file: RegistryFile, base: Version, adapter: str, found: Found, name: str
) -> tuple[RegistryFile, str]:
    """Return the registry with the candidate, and its name; the same registry where it has one already."""
    versions = file.registry.model(base.model).versions
    for each in versions:
        if brings(each, base, adapter, found.revision):
            return file, each.name
    taken = {each.name for each in versions}
    # The name of a version that was such a candidate has its adapter's former revision at the end.
    stem = re.sub(rf"-{re.escape(adapter)}-[0-9a-f]{{8,40}}\Z", "", base.name) + f"-{adapter}"
    title = name or next(
        made
        for size in range(8, 41)
        if (made := stem[: _LONGEST - size - 1] + f"-{found.revision[:size]}") not in taken
    )
    if title in taken:
        raise InputError(f"{base.model}@{title} exists", hint="give another name with --as")
    spec = _spec(file, base, adapter, found.revision)

    def lines(place: LinePlace) -> list[str]:
        text = dump_yaml({title: spec})
        return [" " * place.indent + line for line in text.splitlines()]

    hint = (
        f"write a version of {base.model} yourself, with the revision {found.revision} of {adapter}"
    )
    return insert_version(file, base.model, title, spec, lines, hint), title


def _spec(file: RegistryFile, base: Version, adapter: str, revision: str) -> dict[str, Any]:
    """Return the block of the candidate: that of the newest version, with all adapters and the new revision."""
    entry = file.document.data["models"][base.model]
    spec = copy.deepcopy(dict(entry["versions"][base.name]))
    adapters = copy.deepcopy(dict(spec.get("adapters") or entry.get("adapters") or {}))
    adapters[adapter]["revision"] = revision
    return {**spec, "adapters": adapters, "candidate": True}
