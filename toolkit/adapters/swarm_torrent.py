"""A torrent of files (BitTorrent version 2): pieces never span two files, and each has a SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

BLOCK = 2**14
_ZERO = bytes(32)


def piece_length(size: int) -> int:
    """Return bytes in a piece, for files of `size` bytes in all: some hundreds to some ten thousands of pieces."""
    length = 2**20
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

    Its members speak TLS and have certificates that `authority` (a certificate in PEM) has signed.
    """
    tree: dict[bytes, object] = {}
    layers: dict[bytes, object] = {}
    for path, size in sizes.items():
        folder = tree
        for part in path.encode().split(b"/"):
            folder = folder.setdefault(part, {})  # type: ignore[assignment]
        entry: dict[bytes, object] = {b"length": size}
        if size:
            entry[b"pieces root"] = root = _root(pieces[path], size, length)
            if size > length:
                layers[root] = pieces[path]
        folder[b""] = entry
    info = {
        b"file tree": tree,
        b"meta version": 2,
        b"name": name.encode(),
        b"piece length": length,
        b"private": 1,
        b"ssl-cert": authority,
    }
    return encode({b"info": info, b"piece layers": layers})


def hash_pieces(paths: Sequence[Path], length: int, workers: int = 4) -> list[bytes]:
    """Return for each file the hashes of its pieces, one after the other; of a file within one piece, its own hash."""
    parts = [
        (number, start)
        for number, path in enumerate(paths)
        for start in range(0, path.stat().st_size, length)
    ]
    found = [bytearray() for _ in paths]
    with ThreadPoolExecutor(workers) as pool:
        hashes = pool.map(lambda part: _hash_piece(paths[part[0]], part[1], length), parts)
        for (number, _), digest in zip(parts, hashes, strict=True):
            found[number] += digest
    return [bytes(each) for each in found]


def encode(value: object) -> bytes:
    """Return `value` (int, bytes, or a dictionary of them) in bencoding."""
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    assert isinstance(value, dict)
    return b"d" + b"".join(encode(key) + encode(value[key]) for key in sorted(value)) + b"e"


def _hash_piece(path: Path, start: int, length: int) -> bytes:
    with path.open("rb", buffering=0) as file:
        whole = file.seek(0, 2) > length
        file.seek(start)
        data = memoryview(file.read(length))
    leaves = [
        hashlib.sha256(data[place : place + BLOCK]).digest() for place in range(0, len(data), BLOCK)
    ]
    # A file within one piece is a tree of its own blocks; of a longer one every piece counts as whole.
    width = length // BLOCK if whole else _power_of_two(len(leaves))
    return _merkle(leaves, width, _ZERO)


def _root(pieces: bytes, size: int, length: int) -> bytes:
    if size <= length:
        return pieces
    hashes = [pieces[start : start + 32] for start in range(0, len(pieces), 32)]
    absent = _merkle([], length // BLOCK, _ZERO)
    return _merkle(hashes, _power_of_two(len(hashes)), absent)


def _merkle(nodes: Sequence[bytes], width: int, absent: bytes) -> bytes:
    """Return the root over `nodes`, filled up to `width` (a power of two) with `absent`."""
    row = list(nodes)
    while width > 1:
        if len(row) % 2:
            row.append(absent)
        row = [hashlib.sha256(row[at] + row[at + 1]).digest() for at in range(0, len(row), 2)]
        absent = hashlib.sha256(absent + absent).digest()
        width //= 2
    return row[0] if row else absent


def _power_of_two(count: int) -> int:
    return 1 << max(0, count - 1).bit_length()
