"""The leftovers on a host of commands that were cut short."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class LeftoverKind(StrEnum):
    """The kind of a leftover: the thing that it was to become."""

    TRANSFER = "transfer"
    REMOVAL = "removal"
    PACKAGES = "packages"
    INSTALLATION = "installation"
    COPY = "copy"


@dataclass(frozen=True, slots=True)
class Leftover:
    """A leftover at `path` below the host's root; its removal frees `size` bytes.

    `of` is the snapshot, engine or slot that it belongs to, empty for none. It last changed `age` seconds ago. `busy`
    says in words why it must stay whatever it is, empty where it need not.
    """

    path: str
    kind: LeftoverKind
    of: str = ""
    size: int = 0
    age: float = 0.0
    busy: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {"path": self.path, "kind": str(self.kind), "bytes": self.size, "age": self.age}
