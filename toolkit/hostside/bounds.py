"""The bounds on what the program on a host reads of tools and engines; `toolkit/domain/bounds.py` has the others."""

from __future__ import annotations

import re
from typing import Optional

# Devices of one host, and characters of a tool's words about one.
DEVICES = 256
WORDS = 200
# Requests in work at one engine, as its own metrics count them.
LOAD = 10**9
# The highest value of an engine's counter.
COUNT = 1e15
# Buckets of a histogram.
BUCKETS = 128
# Characters of an answer's text that the gate looks at.
TEXT = 2**20
# Parts of a stream whose times are kept.
TOKENS = 16_384
# Requests that are sent in turn, two for each adapter of a model, and the seconds before the first.
CALLS = 1024
PAUSE = 5.0

_WHOLE = re.compile("[0-9]{1,12}\\Z")


def whole(text: str) -> Optional[int]:
    """Return the number that a tool wrote in ASCII digits, None where it wrote something else."""
    return int(text) if _WHOLE.match(text) else None
