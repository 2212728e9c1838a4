"""The base of every part of the registry's schema."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Spec(BaseModel):
    """Every part of the file: exact types, no unknown fields."""

    # Deferred: the file as a whole is what is read, and its validator has those of all parts in it.
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, defer_build=True)

    def in_domain(self, model: str, directory: str) -> Any:
        """Return what `Version` has for this part of `model`, in a registry file of `directory`."""
        raise NotImplementedError
