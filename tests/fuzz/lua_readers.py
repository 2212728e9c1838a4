"""Runs the router's readers in Lua on inputs: HAProxy loads a driver of them while it checks a configuration."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz.parser import REPOSITORY

ROLE = REPOSITORY / "playbooks/roles/router/files"


def rows_of(directory: Path, driver: str, pairs: Sequence[tuple[bytes, bytes]]) -> list[list[str]]:
    """Return the columns that the `driver`, a file beside this one, writes of each pair; its head names them."""
    bodies, found = directory / "bodies", directory / "found"
    bodies.write_bytes(
        b"".join(len(each).to_bytes(4, "big") + each for pair in pairs for each in pair)
    )
    configuration = directory / "haproxy.cfg"
    place = Path(__file__).with_name(driver)
    configuration.write_text(f"global\n    lua-load {place}\nbackend none\n    mode http\n")
    names = {"DIRECTORY": ROLE, "BODIES": bodies, "FOUND": found}
    done = subprocess.run(
        ["/usr/sbin/haproxy", "-c", "-f", str(configuration)],
        env={**os.environ, **{f"PARSERS_{name}": str(path) for name, path in names.items()}},
        capture_output=True,
        check=False,
    )
    rows = [line.split(",") for line in found.read_text().splitlines()]
    assert len(rows) == len(pairs), done.stderr.decode()
    return rows
