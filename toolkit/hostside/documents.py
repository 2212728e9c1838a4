"""Read JSON texts of this host, whatever a disk, an editor or a replica has made of them.

All modules of the host's side read JSON here but `routes_file`, which stands alone, and those that read the pipe of the
ops machine.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from wire import Document

# A number that may be infinite to Python: by its digits, or by an exponent.
_LONG = re.compile(r"[0-9]{309}|[:,\[\s]-?[0-9.]+[eE]\+?[0-9]")


def parsed(text: str | bytes | None) -> Any:
    """Return the value of a JSON text; raises ValueError where it is none, nested too deeply, or no text to write.

    A number that is infinite is none: the ops machine would understand nothing of an answer that has one.
    """
    try:
        found = json.loads(text or "", parse_constant=_no_number)
        words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text or ""
        if _LONG.search(words):
            json.loads(words, parse_float=_finite, parse_int=_finite)
        if (b"\\u" if isinstance(text, bytes) else "\\u") in (text or ""):  # type: ignore[operator]
            # Half of a surrogate pair can be read, and then neither written nor shown.
            json.dumps(found, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return found


def _finite(digits: str) -> float:
    # A whole number may have more digits than Python converts.
    found = float(digits)
    return found if math.isfinite(found) else _no_number(digits)


def _no_number(digits: str) -> float:
    raise ValueError(f"{digits[:20]} is no finite number")


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
