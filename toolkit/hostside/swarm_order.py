"""In which order a host asks for the pieces of a tree."""

from __future__ import annotations

from collections.abc import Collection, Mapping

# libtorrent's: none at all, and from last to first.
NEVER, LATER, SOON, SHARE_LATER, SHARE = 0, 1, 4, 6, 7
# Asked for in any order, or hosts would have nothing to give each other.
AHEAD = 256


def priorities(
    pieces: int,
    files: Mapping[int, range],
    whole: Collection[int],
    index: int,
    count: int,
) -> list[int]:
    """Return how urgent each of the torrent's `pieces` is to host `index` of `count`.

    `files` are the wanted ones with their pieces, `whole` those that have come. They come one after the other, so that
    each can be hashed while the next ones come; and before all each host gets its share, every `count`th piece, which
    the others get from it. What is in no wanted file is not asked for.
    """
    order, room = [NEVER] * pieces, AHEAD
    for number, its_pieces in files.items():
        own, others = (SHARE, SOON) if room > 0 else (SHARE_LATER, LATER)
        for piece in its_pieces:
            order[piece] = own if piece % count == index else others
        if number not in whole:
            room -= len(its_pieces)
    return order
