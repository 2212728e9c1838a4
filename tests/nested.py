"""Directories that are nested deeper than Python's own functions follow them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def nested(top: Path, depth: int, *, within: Path) -> Iterator[None]:
    """Make so many directories in `top`, each in the one before: too many for a path.

    At the end all of `within` goes, wherever the tree is by then: pytest could not remove it either.
    """
    try:
        _nest(top, depth)
        yield
    finally:
        subprocess.run(["rm", "-rf", "--", *within.iterdir()], check=True)


def _nest(top: Path, depth: int) -> None:
    here = os.open(top, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
