"""A torrent in which no piece spans two files.

It is a BitTorrent v1 torrent, whose pieces have SHA-1 hashes: libtorrent 2.1.1 passes a piece of a v2 torrent on only
seconds after it has come. The hosts check the SHA-256 of every whole file besides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from toolkit.adapters.store.files import replace_file

# Bytes of a piece's SHA-1.
HASH_BYTES = 20
Value = int | bytes | Sequence["Value"] | Mapping[bytes, "Value"]


def piece_length(size: int) -> int:
    """Return the bytes of a piece, from 128 KiB on, so that `size` bytes take 16,384 pieces at most.

    A host passes on whole pieces alone: small ones spread earlier.
    """
    length = 2**17
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
    """Return the torrent of files: `sizes` is path -> bytes, `pieces` is path -> result of `hash_pieces`.

    With an `authority` (a certificate in PEM) the members speak TLS with certificates that it has signed.
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
    """Return each host's share, a flag for every piece. Each piece that some host lacks is in one share.

    `sizes` is path -> bytes of the torrent's files, `wanted` has the paths that each host lacks.
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
    """Return the SHA-1 hashes of a file's pieces, joined; zeros fill the last piece.

    `check` is called before each piece, and ends the work by raising.
    """

    def hash_piece(start: int) -> bytes:
        check()
        return _hash_piece(path, start, length)

    with ThreadPoolExecutor(workers) as pool:
        return b"".join(pool.map(hash_piece, range(0, path.stat().st_size, length)))


def kept_hashes(kept: Path, path: Path, length: int, check: Callable[[], None]) -> bytes:
    """Return the hashes of a file's pieces from the file `kept`, which is written where it lacks them.

    A machine that lost its power may have kept the name alone.
    """
    pieces = -(-path.stat().st_size // length)
    found = kept.read_bytes() if kept.is_file() else b""
    if len(found) != pieces * HASH_BYTES:
        found = hash_pieces(path, length, check)
        replace_file(kept, found)
    return found


def encode(value: Value) -> bytes:
    """Return `value` bencoded."""
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
