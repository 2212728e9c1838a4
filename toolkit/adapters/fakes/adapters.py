"""The LoRA adapters of a fake host's replicas: loaded and forgotten at run time, as vLLM does it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from toolkit.domain.deployment.release import Release
from toolkit.domain.replicas.answers import Answer

LOAD, UNLOAD = "/v1/load_lora_adapter", "/v1/unload_lora_adapter"


@dataclass
class FakeAdapters:
    """The adapters that the replica at each port has loaded: {port: {name: digest of the adapter's snapshot}}.

    Adapters with a digest in `broken` do not load, those in `mute` answer nothing, those in `says` always the same.
    Those in `slow` take so many times as long. `log` has each successful call.
    """

    loaded: dict[int, dict[str, str]] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    mute: set[str] = field(default_factory=set)
    says: dict[str, str] = field(default_factory=dict)
    slow: dict[str, float] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)

    def begin(self, port: int, release: Release) -> None:
        """A replica starts with the adapters of its release."""
        self.loaded[port] = {each.name: each.snapshot for each in release.adapters}

    def call(self, port: int, path: str, payload: Mapping[str, Any]) -> Answer:
        """Answer a call that loads an adapter or forgets it; any other has nothing to do with them."""
        if path not in (LOAD, UNLOAD):
            self.log.append(f"ask {path}")
            return Answer(200)
        there, name = self.loaded.setdefault(port, {}), payload["lora_name"]
        if path == UNLOAD:
            if name not in there:
                return Answer(404, error=f"The lora adapter '{name}' cannot be found.")
            del there[name]
        else:
            digest = str(payload["lora_path"]).rpartition("/")[2]
            if name in there:
                return Answer(400, error=f"The lora adapter '{name}' has already been loaded.")
            if digest in self.broken:
                return Answer(500, error="Error while deserializing header")
            there[name] = digest
        self.log.append(f"{'unload' if path == UNLOAD else 'load'} {name}")
        return Answer(200)

    def digest(self, port: int, model: str, name: str) -> str | None:
        """Return the digest of what `name` stands for; empty for the base `model`, None for nothing."""
        return "" if name == model else self.loaded.get(port, {}).get(name)
