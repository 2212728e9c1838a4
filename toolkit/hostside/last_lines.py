"""Read a file of lines from its end."""

from __future__ import annotations

import os
from collections.abc import Iterator

_BLOCK = 2**20


def blocks(handle: int, most: int) -> Iterator[list[bytes]]:
    """Yield whole lines in parts, the newest line first, from the last `most` bytes of the file; closes `handle`.

    A half line at the end of the file is being written, and is left out.
    """
    with open(handle, "rb") as file:
        end = file.seek(0, os.SEEK_END)
        least = max(0, end - most)
        rest, at_end = b"", True
        while end > least:
            start = max(least, end - _BLOCK)
            file.seek(start)
            data = file.read(end - start) + rest
            end = start
            if at_end:
                data = data[: data.rfind(b"\n") + 1]
                at_end = not data
            # The first line may have begun before.
            cut = data.find(b"\n") + 1 if start else 0
            rest = data[:cut] if cut else (data if start else b"")
            if cut or not start:
                yield data[cut:].splitlines()[::-1]
