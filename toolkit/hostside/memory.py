"""The memory of this host, as its kernel counts it."""

from __future__ import annotations

import contextlib


def total() -> int:
    """Return the bytes of memory that the host has; 0 where the kernel does not say."""
    return _field("MemTotal")


def available() -> int:
    """Return the bytes that programs can still have without swapping; 0 where the kernel does not say."""
    return _field("MemAvailable")


def _field(name: str) -> int:
    with contextlib.suppress(OSError), open("/proc/meminfo") as file:
        for line in file:
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
    return 0
