"""The promises of a model to its clients: objectives over a window of time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

DEFAULT_DAYS = 28


class Promise(StrEnum):
    """The subject of an objective, by its field of the registry."""

    AVAILABILITY = "availability"
    FIRST = "first_token"
    BETWEEN = "between_tokens"


@dataclass(frozen=True, slots=True)
class Objective:
    """The share of requests, above 0 and below 1, that must be good; `under` is the limit of a time in seconds."""

    promise: Promise
    target: float
    under: float = 0.0


@dataclass(frozen=True, slots=True)
class Objectives:
    """The objectives of a model over the last `days`."""

    days: int = DEFAULT_DAYS
    each: tuple[Objective, ...] = ()
