"""The sightings of repositories by this ops machine: when it first saw a revision, and whether it was gated then."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toolkit.adapters.store.files import replace_text
from toolkit.domain.outside import parse_mapping
from toolkit.domain.registry.upstream import Sighting

_BYTES = 4 * 2**20
# Of each repository; a branch that moves more often between two looks is followed by its last commits.
_KEPT = 50


class Sightings:
    """The file `sightings.json` under the home of the ops machine. A damaged file counts as empty: ages begin anew."""

    def __init__(self, home: Path) -> None:
        self._path = home / "sightings.json"

    def see(self, seen: Mapping[str, Mapping[str, Sighting]]) -> dict[str, dict[str, Sighting]]:
        """Record revisions of repositories that were never seen before; return the first sighting of each of `seen`.

        Raises OSError where the file cannot be written.
        """
        data = self._read()
        found: dict[str, dict[str, Sighting]] = {}
        changed = False
        for repo, revisions in seen.items():
            known = data.setdefault(repo, {})
            for revision, sighting in revisions.items():
                if revision not in known:
                    known[revision] = sighting
                    changed = True
            found[repo] = {revision: known[revision] for revision in revisions}
            data[repo] = dict(sorted(known.items(), key=lambda each: each[1].at)[-_KEPT:])
        if changed:
            self._write(data)
        return found

    def _read(self) -> dict[str, dict[str, Sighting]]:
        try:
            data = parse_mapping(self._path.read_bytes(), _BYTES)
            return {
                repo: {revision: _sighting(entry) for revision, entry in entries.items()}
                for repo, entries in data.items()
            }
        except (OSError, ValueError, TypeError, AttributeError, KeyError):
            return {}

    def _write(self, data: Mapping[str, Mapping[str, Sighting]]) -> None:
        text = json.dumps(
            {
                repo: {revision: [each.at, each.gated] for revision, each in entries.items()}
                for repo, entries in data.items()
            },
            indent=1,
        )
        self._path.parent.mkdir(parents=True, exist_ok=True)
        replace_text(self._path, text)


def _sighting(entry: Any) -> Sighting:
    at, gated = entry
    return Sighting(float(at), bool(gated))
