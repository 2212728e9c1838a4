"""A torrent of files whose pieces never span two of them.

It is one of BitTorrent's first version, whose pieces have SHA-1: libtorrent 2.1.1 passes on a piece of the second
version only seconds after it has come. What counts is each file's SHA-256, looked at when all of it is there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

Value = int | bytes | Sequence["Value"] | Mapping[bytes, "Value"]


def piece_length(size: int) -> int:
    """Return bytes in a piece, for files of `size` bytes in all: some hundreds to some ten thousands of pieces."""
    length = 2**19
    while size > length * 2**14:
        length *= 2
    return length


def torrent(
    name: str,
    sizes: Mapping[str, int],
    pieces: Mapping[str, bytes],
    length: int,
    authority: bytes,
) -> bytes:
    """Return the torrent of files, path -> size, with their pieces' hashes as `hash_pieces` gives them.

    With an `authority` (a certificate in PEM) its members speak TLS and have certificates that this one has signed.
    """
    files: list[Value] = []
    for path, size in sizes.items():
        files.append({b"length": size, b"path": [part.encode() for part in path.split("/")]})
        if padding := -size % length:
            filler = [b".pad", str(padding).encode()]
            files.append({b"attr": b"p", b"length": padding, b"path": filler})
    info: dict[bytes, Value] = {
        b"files": files,
        b"name": name.encode(),
        b"piece length": length,
        b"pieces": b"".join(pieces[path] for path in sizes),
        b"private": 1,
    }
    if authority:
        info[b"ssl-cert"] = authority
    return encode({b"info": info})


def shares(
    sizes: Mapping[str, int], length: int, wanted: Sequence[Collection[str]]
) -> list[list[bool]]:
    """Return for each of several hosts which pieces are its share: all that any wants, each in one share.

    `sizes` are those of the torrent's files, `wanted` the paths that each host lacks.
    """
    found: list[list[bool]] = [[] for _ in wanted]
    for path, size in sizes.items():
        takers = [number for number, paths in enumerate(wanted) if path in paths]
        for _ in range(-(-size // length)):
            owner = takers[len(found[0]) % len(takers)] if takers else None
            for number, share in enumerate(found):
                share.append(number == owner)
    return found


def hash_pieces(
    path: Path, length: int, check: Callable[[], None] = lambda: None, workers: int = 4
) -> bytes:
    """Return the hashes of a file's pieces, one after the other; the last is filled up with zeros.

    `check` is called before each piece, and ends it by raising.
    """

    def hash_piece(start: int) -> bytes:
        check()
        return _hash_piece(path, start, length)

    with ThreadPoolExecutor(workers) as pool:
        return b"".join(pool.map(hash_piece, range(0, path.stat().st_size, length)))


def encode(value: Value) -> bytes:
    """Return `value` in bencoding."""
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, Mapping):
        return b"d" + b"".join(encode(key) + encode(value[key]) for key in sorted(value)) + b"e"
    return b"l" + b"".join(encode(each) for each in value) + b"e"


def _hash_piece(path: Path, start: int, length: int) -> bytes:
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        data = file.read(length)
    summary = hashlib.sha1(data, usedforsecurity=False)
    summary.update(bytes(length - len(data)))
    return summary.digest()
