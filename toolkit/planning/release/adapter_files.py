"""LoRA adapters: the files of one to pin, and whether it belongs to its base."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from toolkit.domain.outside import shown
from toolkit.domain.registry.model import Adapter, HubSource, Version
from toolkit.planning.engines import engine_named
from toolkit.planning.release.file_choice import FileChoice, choose_files, is_text

_PICKLED = "adapter_model.bin"
# Characters of a base's name that a hint repeats.
_LONGEST = 120


def files_of(version: Version, paths: Iterable[str]) -> FileChoice:
    """Return the choice of a repository's `paths` for a snapshot of `version`: a model's files, or an adapter's.

    Of an adapter these are its configuration, its weights and its licence, at the top alone: an engine loads nothing
    else, and whatever lies beside them (tokenizers, states of a training, code) would only be there to be misused.
    """
    if not version.adapter_of:
        return choose_files(paths, version.permission)
    needed = engine_named(version.engine.name).adapter_files
    listed = sorted(set(paths))
    kept = tuple(path for path in listed if path in needed or ("/" not in path and is_text(path)))
    left_out = dict.fromkeys(
        (path for path in listed if path not in kept), "not needed to serve an adapter"
    )
    lacking = [path for path in needed if path not in kept]
    if not lacking:
        return FileChoice(kept, left_out)
    if _PICKLED in listed:
        return FileChoice(
            (),
            left_out,
            f"its weights are pickled ({_PICKLED}), and loading those can run code",
            "choose a revision with safetensors, or convert it and use its directory as the source",
        )
    return FileChoice(
        (),
        left_out,
        f"it is no adapter: it has no {lacking[0]}",
        "check the repository and the revision",
    )


def config_file(version: Version) -> str:
    """Return the path of an adapter's configuration."""
    return engine_named(version.engine.name).adapter_files[0]


def adapter_fault(base: Version, adapter: Adapter, config: Mapping[str, Any]) -> tuple[str, str]:
    """Return why `base` cannot take an adapter with this configuration, and a hint; two empty texts where it can."""
    reserved = base.reserved
    assert reserved is not None, "a version with adapters reserves something for them"
    named = config.get("base_model_name_or_path")
    if not isinstance(named, str) or not named:
        named = ""
    if not _is_base(base, adapter, named):
        says = (
            f"it was made for {shown(named)}"
            if named
            else "it does not say for which base model it was made"
        )
        plain = named.isprintable() and 0 < len(named) <= _LONGEST
        return (
            f"{says}, and {base.title} is {base.source.key}",
            f"where it fits all the same: `base: {named}`" if plain else "choose another adapter",
        )
    fault = engine_named(base.engine.name).adapter_config_fault(config, base)
    if not fault:
        return "", ""
    rank = "rank" in fault and "at most" in fault
    return fault, (
        "write a larger `lora: {max_rank: ...}`, which starts the replica anew"
        if rank
        else "choose another adapter"
    )


def _is_base(base: Version, adapter: Adapter, named: str) -> bool:
    """Whether `named` is the base model, or what the registry says that the adapter calls it."""
    if adapter.base:
        return named == adapter.base
    if isinstance(base.source, HubSource):
        return named.lower() == base.source.repo.lower()
    # A directory has no name of its own: its last part, its path or the model's name may have been written.
    known = (base.model, base.source.path, PurePosixPath(base.source.path).name)
    return named.rstrip("/") in known or PurePosixPath(named).name in known
