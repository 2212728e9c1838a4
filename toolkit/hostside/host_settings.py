"""The settings that this host was provisioned with: a plan compares them with those of the fleet file."""

from __future__ import annotations

import os
from typing import Optional

from directory import read_text
from documents import parsed
from wire import Document

NAME = "settings.json"
_MOST = 65536


def read(root: str) -> Optional[Document]:
    """Return the settings by name; None where the host has none, or none that can be read."""
    text = read_text(os.path.join(root, NAME)) or ""
    if len(text) > _MOST:
        return None
    try:
        found = parsed(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
