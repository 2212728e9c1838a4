"""The torrent of a swarm describes its files, piece by piece, and only members may take part."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import libtorrent
import pytest

from toolkit.adapters.swarm_certificates import Authority, Member
from toolkit.adapters.swarm_torrent import encode, hash_pieces, piece_length, shares, torrent
from toolkit.hostside.swarm_settings import LOOPBACK, add_torrent, new_session

LENGTH = 2**20
CASES = {
    "one block": {"a": 2**14},
    "less than a block": {"a": 5},
    "a piece and more": {"a": LENGTH + 1},
    "many": {"sub/b": 5 * LENGTH + 17, "c": 1000, "empty": 0, "e": LENGTH, "g": 40000},
}


@pytest.mark.parametrize("sizes", CASES.values(), ids=CASES.keys())
def test_libtorrent_finds_in_the_files_what_the_torrent_says(
    tmp_path: Path, sizes: dict[str, int]
) -> None:
    authority = Authority()
    wanted = _made(tmp_path, sizes, authority.certificate)
    assert _missing(wanted, tmp_path, authority.admit()) == 0
    (tmp_path / "T" / next(iter(sizes))).write_bytes(bytes([99]) * next(iter(sizes.values())))
    first = next(iter(sizes.values()))
    # Pieces of the other files are not touched by it.
    assert _missing(wanted, tmp_path, authority.admit()) == first


@pytest.mark.parametrize(
    ("size", "length"), [(0, 2**20), (2**34, 2**20), (2**34 + 1, 2**21), (140 * 2**30, 2**24)]
)
def test_pieces_grow_with_the_tree(size: int, length: int) -> None:
    assert piece_length(size) == length


def test_bencoding_orders_keys() -> None:
    assert encode({b"b": 1, b"a": [b"yz", {}]}) == b"d1:al2:yzdee1:bi1ee"


@pytest.mark.parametrize("stranger", [False, True], ids=["member", "stranger"])
def test_pieces_go_to_members_alone(tmp_path: Path, stranger: bool) -> None:
    authority = Authority()
    wanted = _made(tmp_path, {"a": 3 * LENGTH, "b": 10}, authority.certificate)
    seed = new_session(libtorrent, ["127.0.0.1:0"], [LOOPBACK], 0)
    _add(seed, wanted, tmp_path / "T", authority.admit(), True)
    admitted = (Authority() if stranger else authority).admit()
    peer = new_session(libtorrent, [], [LOOPBACK], 0)
    taking = _add(peer, wanted, tmp_path / "copy/T", admitted, False)
    until = time.monotonic() + 20
    taking.connect_peer((LOOPBACK, seed.ssl_listen_port()))
    ended = libtorrent.peer_disconnected_alert
    peer.apply_settings({"alert_mask": libtorrent.alert.category_t.all_categories})
    refused = False
    while not taking.status().is_finished and not refused and time.monotonic() < until:
        peer.wait_for_alert(100)
        refused = stranger and any(isinstance(each, ended) for each in peer.pop_alerts())
    assert (taking.status().is_finished, refused) == (not stranger, stranger)
    assert taking.status().total_done == (0 if stranger else 3 * LENGTH + 10)


def _made(top: Path, sizes: dict[str, int], authority: bytes = b"-") -> bytes:
    for number, (path, size) in enumerate(sizes.items()):
        (top / "T" / path).parent.mkdir(parents=True, exist_ok=True)
        (top / "T" / path).write_bytes(bytes([number]) * size)
    hashes = {path: hash_pieces(top / "T" / path, LENGTH) for path in sizes}
    return torrent("T", sizes, hashes, LENGTH, authority)


def _missing(wanted: bytes, top: Path, member: Member) -> int:
    """Return how many bytes libtorrent misses in the directory T."""
    session = new_session(libtorrent, [], [LOOPBACK], 0)
    handle = _add(session, wanted, top / "T", member, False)
    checking = (
        libtorrent.torrent_status.checking_files,
        libtorrent.torrent_status.checking_resume_data,
    )
    until = time.monotonic() + 20
    while (status := handle.status()).state in checking and time.monotonic() < until:
        time.sleep(0.02)
    return int(status.total_wanted - status.total_wanted_done)


def _add(session: Any, wanted: bytes, directory: Path, member: Member, seed: bool) -> Any:
    directory.mkdir(parents=True, exist_ok=True)
    pair = (member.certificate, member.key)
    return add_torrent(libtorrent, session, wanted, str(directory), pair, seed)


def test_each_piece_is_the_share_of_one_of_those_who_lack_it() -> None:
    sizes = {"a": 3 * LENGTH, "b": 2 * LENGTH + 1, "c": 5}
    found = shares(sizes, LENGTH, [{"a", "b"}, {"a", "b"}, {"b"}])
    words = ["".join("x" if each else "." for each in share) for share in found]
    # three pieces of a, three of b, and one of c, which nobody lacks
    assert words == ["x.xx...", ".x..x..", ".....x."]
