"""The source of a model as it is today, and as this ops machine saw it before."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sighting:
    """The time of the first sight of a revision, in seconds since the epoch.

    `gated` is whether its repository was gated then, `licence` what it named then, if anything.
    """

    at: float
    gated: bool
    licence: str = ""


@dataclass(frozen=True, slots=True)
class Upstream:
    """A source as it answers now, beside what is pinned of it.

    `revision`, `licence`, `gated` and `name` are of the tracked branch; `revision` is empty where the branch is gone.
    `date` and `pinned_date` are those of the two commits, in seconds since the epoch, None where the source does not
    tell. `behind` counts the commits since the pinned one, None where that is not known. `gone` is whether the source
    has the pinned commit no more. `formats` are the formats of the weights that a pin would take, and `refusal` is why
    it would take none; both are empty where the revision is the pinned one. `seen` is the first sighting of the tracked
    revision, `seen_pinned` that of the pinned one. Of a directory only `revision`, `formats` and the sightings are set.
    """

    revision: str
    licence: str = ""
    gated: bool = False
    name: str = ""
    date: float | None = None
    pinned_date: float | None = None
    behind: int | None = None
    gone: bool = False
    formats: tuple[str, ...] = ()
    refusal: str = ""
    seen: Sighting | None = None
    seen_pinned: Sighting | None = None
