"""A bundle: everything that a site without network needs, as one directory.

README.md, LICENCES.md       for people
manifest.json, SHA256SUMS    size and digest of everything else
registry/                    registry and lock, cut down to the versions inside
weights/<sha256>             every file of the snapshots once, named by its digest
engines/*.lock               the engine locks
wheels/*.whl                 the packages they name
compiled/ENGINE/NAME/        what those engines have compiled, for hosts like the ones that did
swarm/*.whl                  libtorrent for hosts that pass weights on to each other
licences/<model>@<version>/  licence texts of the model's repository
bin/uv                       installs the wheels by hand, without the toolkit
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
README = "README.md"
LICENCES = "LICENCES.md"
REGISTRY = "registry/model_registry.yaml"
LOCK = "registry/model_registry.lock.json"
UV = "bin/uv"
SWARM = "swarm/"
COMPILED = "compiled/"


@dataclass(frozen=True, slots=True)
class BundleFile:
    """One file: `path` below the bundle (POSIX), `size` in bytes, `sha256` in hex."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class BundleVersion:
    """A version in a bundle; `title` is `model@version`, `snapshot` its digest, `size` in bytes."""

    title: str
    source: str
    revision: str
    licence: str
    openness: str
    engine: str
    snapshot: str
    files: int
    size: int


@dataclass(frozen=True, slots=True)
class BundleEngine:
    """An engine in a bundle: its lock's path and those of its wheels, and the wheels' `size` in bytes."""

    id: str
    version: str
    accelerator: str
    python: str
    lock: str
    wheels: tuple[str, ...]
    size: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """The content of a bundle. `toolkit` is the version that made it, `created_at` a UTC time in ISO form.

    `files` names everything but the manifest itself and the sums.
    """

    toolkit: str
    created_at: str
    versions: tuple[BundleVersion, ...]
    engines: tuple[BundleEngine, ...]
    files: tuple[BundleFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def by_path(self) -> Mapping[str, BundleFile]:
        """Return the files by their paths."""
        return {file.path: file for file in self.files}

    def as_json(self) -> dict[str, Any]:
        """Return the manifest as its file has it, without the format."""
        return asdict(self)


def weights_path(sha256: str) -> str:
    """Return where a bundle keeps the file of a snapshot with this digest."""
    return f"weights/{sha256}"
