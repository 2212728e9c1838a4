"""Names in a registry and in an inventory at a glance, for completion: no library, no check, nothing raised.

Only files in block style are understood, which is how people and the toolkit write them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from toolkit.regular import open_regular

_MOST = 2**20
_KEY = re.compile(r"( *)(\"[^\"]*\"|'[^']*'|[^\s#'\"{\[\-][^:#]*):(?: |$)")


def models_in(path: Path) -> dict[str, list[str]]:
    """Return the versions of each model of the registry at `path`; nothing where it cannot be read."""
    found: dict[str, list[str]] = {}
    for keys in _paths(path):
        if len(keys) == 2 and keys[0] == "models":
            found.setdefault(keys[1], [])
        elif len(keys) == 4 and keys[0] == "models" and keys[2] == "versions":
            found[keys[1]].append(keys[3])
    return found


def adapters_in(path: Path) -> list[str]:
    """Return the LoRA adapters of all models and versions of the registry at `path`, each once."""
    found = (
        keys[-1]
        for keys in _paths(path)
        if len(keys) in (4, 6) and keys[0] == "models" and keys[-2] == "adapters"
    )
    return list(dict.fromkeys(found))


def hosts_in(path: Path) -> list[str]:
    """Return the hosts of the YAML inventory at `path`; nothing for other inventories."""
    found = (keys[-1] for keys in _paths(path) if len(keys) > 2 and keys[-2] == "hosts")
    return list(dict.fromkeys(found))


def _paths(path: Path) -> Iterator[tuple[str, ...]]:
    """Yield each key of the file, below the keys that it stands under."""
    try:
        with open(path, "rb", opener=open_regular) as opened:
            text = opened.read(_MOST).decode("utf-8", "replace")
    except (OSError, ValueError):
        return
    above: list[tuple[int, str]] = []
    for line in text.splitlines():
        found = _KEY.match(line)
        if found is None:
            continue
        depth = len(found[1])
        while above and above[-1][0] >= depth:
            above.pop()
        above.append((depth, found[2].strip("'\" ")))
        yield tuple(key for _, key in above)
