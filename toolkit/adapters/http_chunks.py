"""The chunks of an answer over HTTP, as Python's own library reads them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException


@contextmanager
def possible_chunks() -> Iterator[None]:
    """Raise HTTPException where an answer states an impossible size of a chunk, such as -5.

    The library reads as many bytes as the other side says, and raises ValueError or OverflowError then (RFC 9112, 7.1:
    a size is hexadecimal digits alone).
    """
    try:
        yield
    except (ValueError, OverflowError) as error:
        raise HTTPException(f"it states an impossible size of a chunk: {error}") from error
