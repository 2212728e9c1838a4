"""Records of a command that had to go on while its audit log could not be written, until the next command adds them."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from toolkit.adapters.disk import is_private, scratch_places
from toolkit.domain.outside import parse_mapping
from toolkit.domain.trail.audit import MOST_LINE
from toolkit.regular import read_regular

_PREFIX = "audit-late-"


def keep_late(home: Path, records: Sequence[Mapping[str, Any]]) -> Path | None:
    """Write the records down where there is room, on the home's disk or elsewhere; return the file, None for none."""
    name = f"{_PREFIX}{secrets.token_hex(8)}"
    own, *elsewhere = scratch_places(home)
    for place in (own, *elsewhere):
        with suppress(OSError):
            if place == own:
                place.mkdir(parents=True, mode=0o700, exist_ok=True)
            elif not is_private(place):
                continue
            path = place / name
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
                file.write(json.dumps({"records": list(records)}))
                file.flush()
                os.fsync(handle)
            return path
    return None


def late_records(home: Path) -> Iterator[tuple[Path, list[dict[str, Any]]]]:
    """Yield each file of late records with them; the caller removes it once they are in the log."""
    for place in scratch_places(home):
        found: list[Path] = []
        # This user may not enter the place of another one.
        with suppress(PermissionError):
            found = sorted(place.glob(f"{_PREFIX}*"))
        for path in found:
            with suppress(OSError, ValueError, KeyError, TypeError):
                if path.lstat().st_uid == os.geteuid() and not path.is_symlink():
                    records = parse_mapping(read_regular(path), 4 * MOST_LINE)["records"]
                    yield path, [dict(each) for each in records]
