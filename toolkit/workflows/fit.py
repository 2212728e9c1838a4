"""What came true of a plan: the memory that a replica was predicted to take, and what its engine said it took."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from toolkit.domain.facts import HostFacts
    from toolkit.domain.release import Release
    from toolkit.workflows.tools import Tools


def record_fit(tools: Tools, facts: HostFacts, release: Release, lines: Sequence[str]) -> None:
    """Keep what was predicted for a replica that just started beside what its engine said of itself.

    `lines` are those that `HostPort.wait_ready` brought back. Never fails: a deployment must not end over its
    figures. Reads headers from the store of this ops machine alone; without them nothing is kept.
    """
    # A rollback to a standby starts nothing and must not wait for these.
    from toolkit.adapters.model_files import read_directory
    from toolkit.domain.fit import FitRecord
    from toolkit.domain.snapshot import Snapshot
    from toolkit.planning.fit import predict_release
    from toolkit.planning.fit_actual import read_actual

    try:
        actual = read_actual(lines)
        if not actual.known:
            return
        stored = tools.supplies.snapshot(release)
        snapshot = Snapshot(release.source, release.revision, stored.files)
        predicted = predict_release(
            read_directory(Path(stored.directory), snapshot), release, facts
        )
        tools.history.add_fit(
            FitRecord(release.model, release.number, facts.name, predicted, actual, tools.clock())
        )
    except Exception as error:
        tools.say(f"the memory figures of {release.title} were not kept: {error}")
