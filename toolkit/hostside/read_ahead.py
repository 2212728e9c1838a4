"""Have the kernel read the files of a snapshot while their engine still loads its own modules.

An engine opens its weights only once it has loaded its modules and looked at the device, which takes it most of a
minute on CUDA. Whatever the disk reads until then, the engine need not wait for.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

import memory
import slot_manifest
from snapshots import tree_name

# Smaller files take no time, and some are read long before the weights.
LEAST = 2**20
# The kernel reads no more at one word than its own reading ahead would, 128 KiB where nobody has set it.
STEP = 2**17


def start(root: str, program: str) -> None:
    """Start to read what the replica in this slot will load; this must not hold up who waits for it."""
    threading.Thread(target=_read_slot, args=(root, program), daemon=True).start()


def _read_slot(root: str, program: str) -> None:
    found = slot_manifest.read(root, program)
    if not slot_manifest.is_sound(found):
        return
    # The start of the replica reports files that cannot be read.
    with contextlib.suppress(OSError, ValueError):
        read(
            os.path.join(root, "snapshots", tree_name(found["release"]["snapshot"])),
            memory.available(),
        )


def read(directory: str, room: int) -> list[str]:
    """Ask the kernel to read the large files below `directory`; return their paths.

    It reads none of them where they take more than half of `room` bytes: files that push each other out of memory are
    read twice.
    """
    found = sorted(_large(directory))
    if sum(size for _, size in found) > room // 2:
        return []
    for path, size in found:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            for begin in range(0, size, STEP):
                os.posix_fadvise(descriptor, begin, STEP, os.POSIX_FADV_WILLNEED)
        finally:
            os.close(descriptor)
    return [path for path, _ in found]


def _large(directory: str) -> Iterator[tuple[str, int]]:
    for parent, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(parent, name)
            size = os.lstat(path).st_size
            if size >= LEAST and os.path.isfile(path) and not os.path.islink(path):
                yield path, size
