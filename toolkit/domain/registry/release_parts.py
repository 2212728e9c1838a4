"""The parts of a version that its releases have, too: engine, checks, and the wait of requests in a swap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """An engine at a pinned version: `vllm` `0.32.0`."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Check:
    """One answer that a replica must give before it takes traffic; `kind` is what is asked, see `gates.kind`.

    In a registry `kind` may be empty: then it is that of the model.

    An empty answer fails. `contains`, where given, must occur in the answer.
    """

    prompt: str
    contains: str = ""
    max_tokens: int = 32
    timeout: float = 60.0
    kind: str = "chat"

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form in a release. A chat is not named: releases of an older toolkit are as they were."""
        # `asdict` takes ten times as long, and each comparison of two releases asks for their checks.
        data = {name: getattr(self, name) for name in self.__dataclass_fields__}
        if self.kind in ("", "chat"):
            del data["kind"]
        return data

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Check:
        """Return the check that stands in the JSON form of a release."""
        return Check(**{name: data[name] for name in Check.__dataclass_fields__ if name in data})


# Seconds that requests wait in a swap. Clients of OpenAI's library give up after 600 s.
DEFAULT_HOLD = 120.0
