"""The origin that an answer names, and the line of a router's log about the same request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Answered:
    """A request as the access log of the host `host` has it. `at` is the router's own text; `release` is a number.

    `slot` may name another host, as routes do: `gpu2.blue`.
    """

    host: str
    at: str
    model: str
    version: str
    release: int
    slot: str
    path: str
    status: int
    request_id: str

    def as_json(self) -> dict[str, Any]:
        """Return the form in evidence."""
        return asdict(self)

    @staticmethod
    def from_line(host: str, line: Mapping[str, Any]) -> Answered | None:
        """Return the request of a line of the log; None where no replica answered it.

        Raises ValueError, KeyError or TypeError where it is no such line.
        """
        if line["release"] is None:
            return None
        texts = {
            name: str(line[name])
            for name in ("at", "model", "version", "slot", "path", "request_id")
        }
        return Answered(host, release=int(line["release"]), status=int(line["status"]), **texts)


@dataclass(frozen=True, slots=True)
class Claim:
    """The words of an answer's headers; empty texts and None where it has none."""

    request_id: str = ""
    version: str = ""
    release: int | None = None
    slot: str = ""
