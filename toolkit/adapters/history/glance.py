"""The releases of a model at a glance, for completion: the file is opened to read, and nothing is raised."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from toolkit.adapters.history.files import irregular


def releases_in(path: Path, model: str) -> list[str]:
    """Return numbers and version names of the newest releases of `model`; nothing where the history has none."""
    try:
        if not path.is_file() or irregular(path):
            # A pipe would keep the shell waiting.
            return []
        address = f"file:{quote(str(path))}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=0.05)) as opened:
            rows = opened.execute(
                "SELECT number, body FROM releases WHERE model = ? ORDER BY number DESC LIMIT 50",
                (model,),
            ).fetchall()
        versions = [str(json.loads(body)["version"]) for _, body in rows]
    except (OSError, sqlite3.Error, ValueError, LookupError, TypeError, RecursionError):
        return []
    return list(dict.fromkeys([*(str(number) for number, _ in rows), *versions]))
