"""Engine locks: vLLM at a pinned version as a hash-locked set of Python packages."""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.domain.model import Accelerator


@dataclass(frozen=True, slots=True)
class EngineLock:
    """One lock file. `python` is the interpreter's `3.11`; `digest` the sha256 hex of the text."""

    name: str
    version: str
    accelerator: Accelerator
    python: str
    digest: str
    path: str
    packages: int

    @property
    def id(self) -> str:
        """Name of its environment on every host: `vllm-0.32.0-cpu-py311-1a2b3c4d`."""
        return (
            f"{self.name}-{self.version}-{self.accelerator}"
            f"-py{self.python.replace('.', '')}-{self.digest[:8]}"
        )
