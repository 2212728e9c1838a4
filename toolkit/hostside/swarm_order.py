"""The order in which a host requests the pieces of a tree, and its progress."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

# libtorrent's priorities: not at all, in order, and before all pieces in order.
NEVER, IN_TURN, FIRST = 0, 4, 7
# Enough pieces to fill libtorrent's request queue, so that it requests no others meanwhile.
SHARE_AHEAD = 32


class Order:
    """The order of the pieces of `files`, number -> pieces, for host `index` of `count`.

    Pieces come from front to back, so that most are hashed when the last one comes. Each host requests its share, every
    `count`th piece, before all others, because the other hosts get those pieces from it.
    """

    def __init__(self, files: Mapping[int, range], index: int, count: int) -> None:
        self._pieces = [(number, piece) for number, pieces in files.items() for piece in pieces]
        self._starts = {number: pieces.start for number, pieces in files.items()}
        self._share = deque(piece for _, piece in self._pieces if piece % count == index)
        self._first: set[int] = set()
        self._came: set[int] = set()
        self._at = 0

    def priorities(self, pieces: int) -> list[int]:
        """Return the priority of each of the torrent's pieces, `pieces` in number. Those in `due` get FIRST later."""
        wanted = {piece for _, piece in self._pieces}
        return [IN_TURN if piece in wanted else NEVER for piece in range(pieces)]

    def advance(self, pieces: Iterable[int]) -> dict[int, int]:
        """Note that `pieces` have come; return file -> number of its pieces before the first gap, if that has grown."""
        self._came.update(pieces)
        grown = {}
        while self._at < len(self._pieces) and self._pieces[self._at][1] in self._came:
            number, piece = self._pieces[self._at]
            grown[number] = piece - self._starts[number] + 1
            self._at += 1
        return grown

    def due(self) -> list[int]:
        """Return the next pieces of the share to request before all others. Each is returned once."""
        self._first -= self._came
        fresh: list[int] = []
        while self._share and len(self._first) + len(fresh) < SHARE_AHEAD:
            piece = self._share.popleft()
            if piece not in self._came:
                fresh.append(piece)
        self._first.update(fresh)
        return fresh
