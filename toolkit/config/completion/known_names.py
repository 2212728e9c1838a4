"""Names that commands have met, for completion: the hosts of inventories that only Ansible can read, and keys.

Completion has no time for Ansible or for hosts, so it offers what the last command saw. The file is a convenience: it
is written only where the home exists, and neither writing nor reading raises anything.

    <home>/names.json    {INVENTORY: {"seen": its time of change, "hosts": [NAME], "keys": [NAME]}}
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from toolkit.config.completion.glance import hosts_in
from toolkit.regular import open_regular

FILE = "names.json"
_MOST_BYTES = 2**21
_MOST_FLEETS = 50
_MOST_NAMES = 10_000


def remember(
    home: Path,
    fleet: str | None,
    *,
    hosts: Iterable[str] | None = None,
    keys: Iterable[str] | None = None,
) -> None:
    """Keep the names of the fleet's hosts or of its keys, those that are given, under `home`."""
    found, kept = _read(home), _kept(home, fleet)
    found.pop(_name(fleet), None)
    if hosts is not None:
        kept.update(hosts=list(hosts)[:_MOST_NAMES], seen=_changed(fleet))
    if keys is not None:
        kept.update(keys=list(keys)[:_MOST_NAMES])
    # The fleets that were used last stay.
    found = {**dict(list(found.items())[1 - _MOST_FLEETS :]), _name(fleet): kept}
    with suppress(OSError, ValueError):
        _write(home, json.dumps(found))


def known_hosts(home: Path, fleet: str) -> list[str]:
    """Return the hosts of the inventory at `fleet`, without Ansible.

    Those of a YAML file that has changed since a command read it are taken from the file itself.
    """
    kept = _kept(home, fleet)
    names = _texts(kept.get("hosts"))
    if names and kept.get("seen") == _changed(fleet):
        return names
    return hosts_in(Path(fleet)) or names


def known_keys(home: Path, fleet: str | None) -> list[str]:
    """Return the names of the fleet's keys that the last command about keys saw."""
    return _texts(_kept(home, fleet).get("keys"))


def _name(fleet: str | None) -> str:
    return str(Path(fleet).absolute()) if fleet else ""


def _changed(fleet: str | None) -> float:
    try:
        return Path(fleet).stat().st_mtime if fleet else 0.0
    except (OSError, ValueError):
        return 0.0


def _kept(home: Path, fleet: str | None) -> dict[str, Any]:
    kept = _read(home).get(_name(fleet))
    return kept if isinstance(kept, dict) else {}


def _texts(found: object) -> list[str]:
    """Return the names in a list; the file may be damaged, and a shell prints what it offers as it is."""
    names = found if isinstance(found, list) else []
    return [each for each in names if isinstance(each, str) and each and each.isprintable()]


def _read(home: Path) -> dict[str, Any]:
    try:
        with open(home / FILE, "rb", opener=open_regular) as opened:
            found = json.loads(opened.read(_MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _has(file: Path, data: bytes) -> bool:
    with file.open("rb") as opened:
        return opened.read(len(data) + 1) == data


def _write(home: Path, text: str) -> None:
    """Replace the file whole. Of two commands at once the later one's names stay, which is good enough for names."""
    file = home / FILE
    if not home.is_dir() or (file.is_file() and _has(file, text.encode())):
        return
    handle, path = tempfile.mkstemp(dir=home, prefix=f".{FILE}")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as opened:
            opened.write(text)
        Path(path).replace(file)
    except BaseException:
        Path(path).unlink(missing_ok=True)
        raise
