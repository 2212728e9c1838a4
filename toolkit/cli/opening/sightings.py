"""Sightings of repositories: by some commands a person takes over the changes that they show."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.cli.opening.trail import trail_now
from toolkit.cli.terminal.output import note

if TYPE_CHECKING:
    from toolkit.workflows.registry.pin import Pinned


def take_over_gating(home: Path, pinned: Pinned, *other_names: str) -> None:
    """Say whether the repository is gated otherwise than when this ops machine first saw it: a person knows it now.

    `other_names` are former names of the repository.
    """
    from toolkit.adapters.sightings import Sightings

    if pinned.gated is None:
        return
    for repo in dict.fromkeys([*other_names, pinned.version.source.key]):
        # Where the home cannot be written, the next look tells it again.
        with suppress(OSError):
            if Sightings(home).take_over(repo, gated=pinned.gated, begin=trail_now().begin_once):
                note(f"note: {repo} is gated {'now' if pinned.gated else 'no more'}")
