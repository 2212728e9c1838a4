"""The memory of this host, as its kernel counts it. This module imports no sibling: plans keep the same reserve."""

from __future__ import annotations

import contextlib

# Bytes that the host keeps for itself when replicas take system memory.
SYSTEM_RESERVE = 512 * 2**20


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
