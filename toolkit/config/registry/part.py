"""The base of every part of the registry's schema."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Spec(BaseModel):
    """Every part of the file: exact types, no unknown fields."""

    # Build no validator for each part: only the whole file is validated, and its validator contains those of all parts.
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, defer_build=True)

    def in_domain(self, model: str, directory: str) -> Any:
        """Return the value that `Version` has for this part of `model`, in a registry file of `directory`."""
        raise NotImplementedError
