"""What this machine knows of versions before a pin: their files, and the memory that they need."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from toolkit.cli.opening.context import open_hub, open_store, read_pins
from toolkit.cli.terminal.output import note
from toolkit.domain.files.snapshot import Snapshot
from toolkit.domain.registry.model import LocalSource, Version
from toolkit.errors import ToolkitError
from toolkit.planning.change.deploy import Wanted
from toolkit.planning.fit.host_fit import Candidate, predict_need
from toolkit.planning.release.engine_choice import choose_lock
from toolkit.workflows.fleet.fit_plan import read_model
from toolkit.workflows.registry.update import Local


def open_local(registry_path: str, home: Path) -> Local:
    """Return how an update finds files and needs of versions, in the store and by the registry."""
    return Local(partial(_find_files, home), partial(_least_memory, registry_path, home))


def _find_files(home: Path, version: Version) -> Path | None:
    """Return the directory with the files of a version: in the store, or its source where that is a directory."""
    stored = open_store(home).find(version.source.key, version.revision)
    if stored is not None:
        return stored.path
    return Path(version.source.path) if isinstance(version.source, LocalSource) else None


def _least_memory(
    registry_path: str, home: Path, version: Version, snapshot: Snapshot
) -> int | None:
    """Return the least bytes that one device needs for the version, None where that cannot be predicted."""
    engines = read_pins(registry_path, home).engines
    try:
        files = read_model(version, snapshot, open_store(home), open_hub)
        lock_for = partial(choose_lock, engines, version.engine)
        found = predict_need(
            Candidate(
                version, files, snapshot, lock_for, lambda release, _: Wanted("upgrade", release)
            )
        )
    except ToolkitError as error:
        note(f"memory not compared: {error.message}")
        return None
    return None if found.note else found.least
