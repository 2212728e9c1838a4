"""The sightings of repositories by this ops machine: when it first saw a revision, and its gating and licence then.

A person may take over that a repository has been gated since, or is so no more.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from toolkit.adapters.store.files import replace_text
from toolkit.domain.outside import parse_mapping
from toolkit.domain.registry.upstream import Sighting
from toolkit.regular import open_private, read_regular

_BYTES = 4 * 2**20
# Of each repository; a branch that moves more often between two looks is followed by its last commits.
_KEPT = 50

# Of each repository, the first sightings by revision.
Known = Mapping[str, Mapping[str, Sighting]]


class Sightings:
    """The file `sightings.json` under the home of the ops machine. A damaged file counts as empty: ages begin anew."""

    def __init__(self, home: Path) -> None:
        self._path = home / "sightings.json"

    def see(self, seen: Known) -> dict[str, dict[str, Sighting]]:
        """Record revisions of repositories that were never seen before; return the first sighting of each of `seen`.

        Raises OSError where the file cannot be written.
        """
        data = self._read()
        if not _lacks(data, seen):
            return _of(data, seen)
        with self._locked():
            # Another command may have seen a revision first.
            data = self._read()
            for repo, revisions in seen.items():
                data[repo] = {**revisions, **data.get(repo, {})}
            found = _of(data, seen)
            self._write(data)
        return found

    def take_over(self, repo: str, *, gated: bool, begin: Callable[[], None]) -> bool:
        """Let `gated` count as what every known revision of `repo` was first seen with; return whether that is new.

        A person knows of it then; `begin` is called before it is written. Raises OSError where the file cannot be
        written.
        """
        if all(each.gated == gated for each in self._read().get(repo, {}).values()):
            return False
        begin()
        with self._locked():
            data = self._read()
            entries = data.get(repo, {})
            data[repo] = {name: replace(each, gated=gated) for name, each in entries.items()}
            self._write(data)
        return True

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one command at a time read the file and replace it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with open(self._path.with_suffix(".lock"), "w", opener=open_private) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _read(self) -> dict[str, dict[str, Sighting]]:
        try:
            data = parse_mapping(read_regular(self._path), _BYTES)
            return {
                repo: {revision: _sighting(entry) for revision, entry in entries.items()}
                for repo, entries in data.items()
            }
        except (OSError, ValueError, TypeError, AttributeError, KeyError):
            return {}

    def _write(self, data: Known) -> None:
        text = json.dumps(
            {
                repo: {
                    revision: [each.at, each.gated, each.licence]
                    for revision, each in _last(entries)
                }
                for repo, entries in data.items()
            },
            indent=1,
        )
        replace_text(self._path, text)


def _lacks(data: Known, seen: Known) -> bool:
    return any(
        not revisions.keys() <= data.get(repo, {}).keys() for repo, revisions in seen.items()
    )


def _of(data: Known, seen: Known) -> dict[str, dict[str, Sighting]]:
    """Return of `data` what `seen` asks for."""
    return {
        repo: {revision: data[repo][revision] for revision in revisions}
        for repo, revisions in seen.items()
    }


def _last(entries: Mapping[str, Sighting]) -> list[tuple[str, Sighting]]:
    return sorted(entries.items(), key=lambda each: each[1].at)[-_KEPT:]


def _sighting(entry: Any) -> Sighting:
    # An older toolkit kept no licence.
    at, gated, *licence = entry
    return Sighting(float(at), bool(gated), *map(str, licence))
