"""Directories that are nested deeper than Python's own functions follow them."""

from __future__ import annotations

import os
from pathlib import Path


def nest(top: Path, depth: int) -> None:
    """Make so many directories in `top`, each in the one before: too many for a path."""
    here = os.open(top, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
