"""The differences between the files of the model that serves on a host and the one that a command wants there."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from toolkit.adapters.store.store import Store
from toolkit.domain.deployment.change import Change
from toolkit.domain.deployment.release import Release
from toolkit.domain.files.snapshot import Snapshot
from toolkit.domain.hosts.facts import HostFacts
from toolkit.planning.upkeep.difference import compare, compared_files, file_changes

# This file changes the sampling of every answer, so its fields are shown even if one version lacks the file.
_SAMPLING = "generation_config.json"
_UNKNOWN = f"small files such as {_SAMPLING}"


def changed_files(
    release: Release,
    snapshot: Snapshot,
    facts: HostFacts,
    store: Store,
    known: Mapping[tuple[str, str], Snapshot],
) -> tuple[Change, ...]:
    """Return the lines of a plan about files, from the release that serves on the host to `release` with `snapshot`.

    Contents are compared where the store has them; else `known`, the lock, tells by digests which files differ.
    """
    slot = facts.serving_slot(release.model)
    serving = slot.release if slot else None
    if serving is None or serving.snapshot == release.snapshot:
        return ()
    stored = store.find(serving.source, serving.revision)
    former = stored.snapshot if stored else known.get((serving.source, serving.revision))
    if former is None or former.digest != serving.snapshot:
        title = f"not compared: the files of {serving.title} are not in this store or lock"
        return (Change(_UNKNOWN, "", title),)
    new = store.find(release.source, release.revision)
    texts = (
        _texts(former, snapshot, stored.path if stored else None),
        _texts(snapshot, former, new.path if new else None),
    )
    # A side that cannot be read would look like one without any fields.
    both = texts[0].keys() & texts[1].keys()
    if not all(_SAMPLING in {file.path for file in each.files} for each in (former, snapshot)):
        both |= {_SAMPLING}
    readable = [{path: text for path, text in each.items() if path in both} for each in texts]
    return file_changes(compare(former, snapshot, (readable[0], readable[1])))


def _texts(snapshot: Snapshot, other: Snapshot, place: Path | None) -> Mapping[str, bytes]:
    found: dict[str, bytes] = {}
    for path in compared_files(snapshot, other) if place else ():
        with suppress(OSError):
            found[path] = (Path(str(place)) / path).read_bytes()
    return found
