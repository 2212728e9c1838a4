"""Read JSON texts of this host, whatever a disk, an editor or a replica has made of them.

All modules of the host's side read JSON here but `routes_file`, which stands alone, and those that read the pipe of the
ops machine.
"""

from __future__ import annotations

import json
from typing import Any

from wire import Document


def parsed(text: str | bytes | None) -> Any:
    """Return the value of a JSON text; raises ValueError where it is none, nested too deeply, or no text to write."""
    try:
        found = json.loads(text or "")
        if (b"\\u" if isinstance(text, bytes) else "\\u") in (text or ""):  # type: ignore[operator]
            # Half of a surrogate pair can be read, and then neither written nor shown.
            json.dumps(found, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return found


def digests(text: str | bytes | None) -> dict[str, tuple[int, str]]:
    """Return path -> (size, sha256) from the list of a tree's files; what is nothing of it is left out."""
    return {
        path: (each[0], each[1])
        for path, each in mapping(text).items()
        if isinstance(each, list) and list(map(type, each)) == [int, str]
    }


def mapping(text: str | bytes | None) -> Document:
    """Return the mapping in a JSON text; an empty one where there is none, as in a text that is absent or damaged."""
    try:
        found = parsed(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
