"""Engine locks: an engine at a pinned version as a hash-locked set of Python packages."""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.domain.accelerator import Accelerator
from toolkit.domain.registry.release_parts import EngineSpec

# The names of the engines that there are.
ENGINES = ("vllm",)
# An engine's full version in the one spelling that PEP 440 calls normal: locks and engines are found by this text.
_NUMBER = r"(0|[1-9][0-9]{0,5})"
VERSION_PATTERN = (
    rf"^{_NUMBER}\.{_NUMBER}\.{_NUMBER}((a|b|rc){_NUMBER})?(\.post{_NUMBER})?(\.dev{_NUMBER})?"
    r"(\+[a-z0-9]{1,20}(\.[a-z0-9]{1,20}){0,3})?$"
)


@dataclass(frozen=True, slots=True)
class EngineLock:
    """One lock file. `python` is the interpreter's `3.11`; `digest` the sha256 hex of the text.

    `sound` says whether the packages decode sound; `names` are those of all packages.
    """

    name: str
    version: str
    accelerator: Accelerator
    python: str
    digest: str
    path: str
    packages: int
    sound: bool = True
    names: frozenset[str] = frozenset()

    @property
    def id(self) -> str:
        """Name of its environment on every host: `vllm-0.32.0-cpu-py311-1a2b3c4d`."""
        return (
            f"{self.name}-{self.version}-{self.accelerator}"
            f"-py{self.python.replace('.', '')}-{self.digest[:8]}"
        )


def engine_spec(identifier: str) -> EngineSpec:
    """Return the engine and the version that a lock's id (`vllm-0.32.0-cpu-py311-1a2b3c4d`) begins with."""
    name, version = identifier.split("-")[:2]
    return EngineSpec(name, version)
