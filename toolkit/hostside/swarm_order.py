"""In which order the pieces of a tree come to a host, and how far they have come."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

# libtorrent's words for: not at all, one after the other, and before all of those.
NEVER, IN_TURN, FIRST = 0, 4, 7
# More than may be asked for ahead, so that nothing else is.
SHARE_AHEAD = 8


class Order:
    """Of the pieces of wanted `files`, number -> pieces, for host `index` of `count`.

    They come from front to back, so that most is hashed when the last ones come. Each host gets its share before
    others, every `count`th piece, in the same order: the others get that from it.
    """

    def __init__(self, files: Mapping[int, range], index: int, count: int) -> None:
        self._pieces = [(number, piece) for number, pieces in files.items() for piece in pieces]
        self._starts = {number: pieces.start for number, pieces in files.items()}
        self._share = deque(piece for _, piece in self._pieces if piece % count == index)
        self._first: set[int] = set()
        self._came: set[int] = set()
        self._at = 0

    def priorities(self, pieces: int) -> list[int]:
        """Return how urgent each of the torrent's `pieces` is, apart from those that are `due`."""
        wanted = {piece for _, piece in self._pieces}
        return [IN_TURN if piece in wanted else NEVER for piece in range(pieces)]

    def advance(self, pieces: Iterable[int]) -> dict[int, int]:
        """Note that these have come; return of each file that has more without a gap now how many pieces it has."""
        self._came.update(pieces)
        grown = {}
        while self._at < len(self._pieces) and self._pieces[self._at][1] in self._came:
            number, piece = self._pieces[self._at]
            grown[number] = piece - self._starts[number] + 1
            self._at += 1
        return grown

    def due(self) -> list[int]:
        """Return the pieces of the share that are to come first from now on; each is named once."""
        self._first -= self._came
        fresh: list[int] = []
        while self._share and len(self._first) + len(fresh) < SHARE_AHEAD:
            piece = self._share.popleft()
            if piece not in self._came:
                fresh.append(piece)
        self._first.update(fresh)
        return fresh
