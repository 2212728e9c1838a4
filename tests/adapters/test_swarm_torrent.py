"""The torrent of a swarm describes its files piece by piece, and only members can take part."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import libtorrent
import pytest

from toolkit.adapters.distribution.swarm_certificates import Authority
from toolkit.adapters.distribution.swarm_torrent import (
    encode,
    hash_pieces,
    kept_hashes,
    piece_length,
    shares,
    torrent,
)
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
    # The pieces of the other files stay.
    assert _missing(wanted, tmp_path, authority.admit()) == first


@pytest.mark.parametrize(
    ("size", "length"),
    [(0, 2**17), (2**31, 2**17), (2**31 + 1, 2**18), (140 * 2**30, 2**24)],
)
def test_pieces_grow_with_the_tree(size: int, length: int) -> None:
    assert piece_length(size) == length


def test_bencoding_orders_keys() -> None:
    assert encode({b"b": 1, b"a": [b"yz", {}]}) == b"d1:al2:yzdee1:bi1ee"


def test_pieces_go_to_whoever_is_allowed(tmp_path: Path) -> None:
    assert _comes(tmp_path, seed=None, peer=None) == 3 * LENGTH + 10
    assert _comes(tmp_path, seed=None, peer=None, allowed="127.0.0.9") == 0


def test_with_certificates_pieces_go_to_members_alone(tmp_path: Path) -> None:
    authority = Authority()
    assert _comes(tmp_path, authority, authority) == 3 * LENGTH + 10
    assert _comes(tmp_path, authority, Authority()) == 0
    assert _comes(tmp_path, authority, None) == 0


def _comes(
    top: Path, seed: Authority | None, peer: Authority | None, allowed: str = LOOPBACK
) -> int:
    """Return how many bytes a peer gets from a seed that allows one address, until it is done or cut off."""
    shutil.rmtree(top / "copy", ignore_errors=True)
    wanted = _made(top, {"a": 3 * LENGTH, "b": 10}, seed.certificate if seed else b"")
    giver = new_session(libtorrent, ["127.0.0.1:0"], [allowed], 0, tls=bool(seed))
    _add(giver, wanted, top / "T", seed and seed.admit(), True)
    taker = new_session(libtorrent, [], [LOOPBACK], 0, tls=bool(peer))
    taking = _add(taker, wanted, top / "copy/T", peer and peer.admit(), False)
    taker.apply_settings({"alert_mask": libtorrent.alert.category_t.all_categories})
    taking.connect_peer((LOOPBACK, giver.ssl_listen_port() if seed else giver.listen_port()))
    until, ended = time.monotonic() + 60, False
    while not taking.status().is_finished and not ended and time.monotonic() < until:
        taker.wait_for_alert(100)
        cut_off = libtorrent.peer_disconnected_alert
        ended = any(isinstance(each, cut_off) for each in taker.pop_alerts())
    assert taking.status().is_finished or ended
    return int(taking.status().total_done)


def _made(top: Path, sizes: dict[str, int], authority: bytes = b"-") -> bytes:
    for number, (path, size) in enumerate(sizes.items()):
        (top / "T" / path).parent.mkdir(parents=True, exist_ok=True)
        (top / "T" / path).write_bytes(bytes([number]) * size)
    hashes = {path: hash_pieces(top / "T" / path, LENGTH) for path in sizes}
    return torrent("T", sizes, hashes, LENGTH, authority)


def _missing(wanted: bytes, top: Path, member: tuple[bytes, bytes]) -> int:
    """Return how many bytes of the directory T libtorrent does not find."""
    session = new_session(libtorrent, [], [LOOPBACK], 0, tls=True)
    handle = _add(session, wanted, top / "T", member, False)
    checking = (
        libtorrent.torrent_status.checking_files,
        libtorrent.torrent_status.checking_resume_data,
    )
    until = time.monotonic() + 60
    while (status := handle.status()).state in checking and time.monotonic() < until:
        time.sleep(0.02)
    return int(status.total_wanted - status.total_wanted_done)


def _add(
    session: Any, wanted: bytes, directory: Path, member: tuple[bytes, bytes] | None, seed: bool
) -> Any:
    directory.mkdir(parents=True, exist_ok=True)
    return add_torrent(libtorrent, session, wanted, str(directory), member, seed)


def test_each_piece_is_the_share_of_one_of_those_who_lack_it() -> None:
    sizes = {"a": 3 * LENGTH, "b": 2 * LENGTH + 1, "c": 5}
    found = shares(sizes, LENGTH, [{"a", "b"}, {"a", "b"}, {"b"}])
    words = ["".join("x" if each else "." for each in share) for share in found]
    # Three pieces of a, three of b, and one of c, which no host lacks.
    assert words == ["x.xx...", ".x..x..", ".....x."]


@pytest.mark.parametrize("left", [b"", b"x" * 20, b"x" * 61], ids=["empty", "cut", "odd"])
def test_kept_hashes_that_a_lost_power_damaged_are_made_anew(tmp_path: Path, left: bytes) -> None:
    path, kept = tmp_path / "weights", tmp_path / "kept"
    path.write_bytes(bytes(range(256)) * 2**12 * 3)
    kept.write_bytes(left)
    right = hash_pieces(path, LENGTH)
    assert kept_hashes(kept, path, LENGTH, lambda: None) == right == kept.read_bytes()
    kept.write_bytes(b"y" * len(right))
    assert kept_hashes(kept, path, LENGTH, lambda: None) == b"y" * len(right)
