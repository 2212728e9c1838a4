"""The values of a row of use that a host hands out: the host's side makes it, the ops machine reads it.

This module imports no sibling, so that the ops machine uses it too.
"""

# The names of a row's values, in their order: seven kinds, then sums over all records of these kinds.
ROW = (
    "day",
    "key",
    "model",
    "base",
    "version",
    "release",
    "ended",
    "requests",
    "tokens_in",
    "cached",
    "tokens_out",
    "reasoning",
    "unknown",
    "audio_seconds",
)
