"""Files of the router that are sent as differences to those that the host has."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any


class Stale(Exception):
    """Files on this host are not those that the differences belong to; the argument is their names."""


def spliced(
    files: Mapping[str, str], edits: Mapping[str, Any], former: Mapping[str, str | None]
) -> dict[str, str]:
    """Return `files` and, for each of `edits`, the former text with its lines replaced.

    An edit is {"of": sha256 hex of the former text, "splices": [[first line, line after the last, text], ...] from the
    end to the beginning}. Raises Stale.
    """
    wrong = [name for name, edit in edits.items() if _digest(former.get(name)) != edit["of"]]
    if wrong:
        raise Stale(wrong)
    return {**files, **{name: _edited(former[name] or "", edit) for name, edit in edits.items()}}


def _edited(text: str, edit: Mapping[str, Any]) -> str:
    lines = text.splitlines(True)
    for start, stop, instead in edit["splices"]:
        lines[start:stop] = [instead]
    return "".join(lines)


def _digest(text: str | None) -> str:
    if text is None:
        return ""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
