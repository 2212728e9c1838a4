"""Mutations of a parser's good inputs, driven by a string of bytes, so that a failing one shrinks to a short string."""

from __future__ import annotations

import re
from collections.abc import Sequence

STEP = 5
# Where a value begins or ends: words, numbers and quoted texts are replaced whole.
_VALUES = re.compile(rb'"(?:[^"\\]|\\.){0,80}"|[A-Za-z0-9_.+-]{1,40}')
HOSTILE = (
    b"-1", b"0", b"1e999", b"-1e999", b"NaN", b"Infinity", b"1.5", b"true", b"null", b'""', b"[]", b"{}",
    b"9" * 25, b"9" * 5000, b"9007199254740993", b"18446744073709551616", b"2147483648", b"1000000000",
    "\u0663\u0664".encode(), "\u00b2".encode(), b'"\\ud800"', b'"\\u0000"', b"\\", b'"', b"\0", b"\n", b"\r\n",
    b"\xff", b"\xc3", b"[" * 200, b'{"a":' * 200, b"[" * 5000, b"]", b"}", b",", b":", b"=", b"/", b"../", b"/etc/x",
    b"a/../b", b"%00", b"x" * 2000, b"\x1b[2J", "\u202e".encode(), "\x9b".encode(), b"\\u2028", b"__metadata__",
    b"version https://git-lfs",
)  # fmt: skip


def mutated(seeds: Sequence[bytes], program: bytes) -> bytes:
    """Return one of `seeds` after the changes of `program`: its first byte chooses, each five more are a change."""
    if not program:
        return seeds[0]
    text = seeds[program[0] % len(seeds)]
    for start in range(1, len(program) - STEP + 1, STEP):
        kind, high, low, more, least = program[start : start + STEP]
        place = (high * 256 + low) * (len(text) + 1) // 65536
        text = _changed(text, kind % 8, place, (more, least), seeds)
    return text


def _changed(
    text: bytes, kind: int, place: int, choice: tuple[int, int], seeds: Sequence[bytes]
) -> bytes:
    more, least = choice
    hostile = HOSTILE[more % len(HOSTILE)]
    if kind == 0:
        return text[:place] + hostile + text[place:]
    if kind == 1:
        return text[:place] + text[place + 1 + more % 40 :]
    if kind == 2:
        return (
            text[:place]
            + text[place : place + 1 + more] * (2 + least % 3)
            + text[place + 1 + more :]
        )
    if kind == 3 and place < len(text):
        return text[:place] + bytes([text[place] ^ (1 << least % 8)]) + text[place + 1 :]
    if kind == 4:
        return text[:place]
    if kind == 5:
        other = seeds[least % len(seeds)]
        return text[:place] + other[more * len(other) // 256 :]
    # Two of eight: the most useful change puts another value in the place of one.
    found = _VALUES.search(text, place) or _VALUES.search(text)
    return text if found is None else text[: found.start()] + hostile + text[found.end() :]
