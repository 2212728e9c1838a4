"""The libtorrent settings of a swarm, for hosts and for the ops machine, which imports this module too."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

LOOPBACK = "127.0.0.1"
# libtorrent's number for no limit.
EVERY_PEER = -1
# The protocol's own encryption is RC4, which protects nothing today.
_NO_ENCRYPTION = 2

# The group ffdhe2048 of RFC 7919. libtorrent requires a group, but current TLS does not use it.
_DH = b"""-----BEGIN DH PARAMETERS-----
MIIBCAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz
+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a
87VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7
YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi
7MA0BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaD
ssbzSibBsu/6iGtCOGEoXJf//////////wIBAg==
-----END DH PARAMETERS-----
"""


def new_session(
    libtorrent: Any,
    listen: Iterable[str],
    allowed: Iterable[str],
    limit: int,
    *,
    tls: bool,
    threads: int = 4,
    served: int = EVERY_PEER,
) -> Any:
    """Return a session that listens at `listen` (ADDRESS:PORT) and connects to the `allowed` addresses only.

    It uses TCP alone and no peer discovery. It sends at most `limit` bytes a second, 0 for no limit, to at most
    `served` peers at a time.
    """
    session = libtorrent.session(
        {
            "listen_interfaces": ",".join(f"{each}s" if tls else each for each in listen),
            "max_retry_port_bind": 0,
            "listen_system_port_fallback": False,
            "enable_dht": False,
            "enable_lsd": False,
            "enable_upnp": False,
            "enable_natpmp": False,
            "enable_outgoing_utp": False,
            "enable_incoming_utp": False,
            "in_enc_policy": _NO_ENCRYPTION,
            "out_enc_policy": _NO_ENCRYPTION,
            # All tunnels from the ops machine end at the loopback address.
            "allow_multiple_connections_per_ip": True,
            "mixed_mode_algorithm": 0,
            "auto_sequential": False,
            # Priorities alone decide the order of pieces, from the first piece on.
            "initial_picker_threshold": 0,
            "whole_pieces_threshold": 0,
            # A short queue, because near the end libtorrent requests every queued piece from a second peer as well.
            # The limit of the serving side is the effective one.
            "max_out_request_queue": 128,
            "max_allowed_in_request_queue": 128,
            # In seconds. A peer over a slow link keeps what is requested of it from the others so long.
            "request_queue_time": 1,
            "request_timeout": 10,
            "upload_rate_limit": limit,
            "smooth_connects": False,
            "connection_speed": 500,
            "connections_limit": 2000,
            # All hosts connect to a host at the moment at which it joins.
            "listen_queue_size": 2000,
            "torrent_connect_boost": 255,
            "peer_connect_timeout": 5,
            "handshake_timeout": 10,
            "min_reconnect_time": 1,
            "max_failcount": 20,
            "send_buffer_watermark": 2 * 2**20,
            "aio_threads": threads,
            "hashing_threads": 2,
            "alert_mask": libtorrent.alert.category_t.error_notification
            | libtorrent.alert.category_t.status_notification
            | libtorrent.alert.category_t.storage_notification
            | libtorrent.alert.category_t.file_progress_notification
            | libtorrent.alert.category_t.piece_progress_notification,
        }
    )
    rules = libtorrent.ip_filter()
    rules.add_rule("0.0.0.0", "255.255.255.255", 1)  # noqa: S104 (all that is not allowed below)
    rules.add_rule("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 1)
    for address in allowed:
        rules.add_rule(address, address, 0)
    session.set_ip_filter(rules)
    serve(session, served, limit)
    return session


def serve(session: Any, served: int, limit: int) -> None:
    """Make a session send to at most `served` peers at a time from now on, and `limit` bytes a second to all."""
    session.apply_settings({"unchoke_slots_limit": served})
    # Private addresses have a peer class of their own, to which the session's limits do not apply.
    local = session.get_peer_class(session.local_peer_class_id)
    limited = {**local, "upload_limit": limit, "ignore_unchoke_slots": served == EVERY_PEER}
    session.set_peer_class(session.local_peer_class_id, limited)


def add_torrent(
    libtorrent: Any,
    session: Any,
    torrent: bytes,
    directory: str,
    member: tuple[bytes, bytes] | None,
    seed: bool,
    only: Sequence[bool] = (),
) -> Any:
    """Return the handle of a torrent with its files in `directory`, whose name is the torrent's.

    `member` is the certificate and the key, if the torrent names an authority. With `seed`, all files are there. With
    `only`, a flag for every piece, the torrent gives others these pieces alone.
    """
    flags = libtorrent.torrent_flags
    wanted = libtorrent.add_torrent_params()
    wanted.ti = libtorrent.torrent_info(libtorrent.bdecode(torrent))
    wanted.save_path = os.path.dirname(directory)
    wanted.flags &= ~(flags.auto_managed | flags.paused)
    if only:
        # In upload mode the torrent requests no pieces, so it stays without the others.
        wanted.have_pieces = list(only)
        wanted.flags |= flags.no_verify_files | flags.upload_mode
    elif seed:
        wanted.flags |= flags.seed_mode
    else:
        wanted.flags |= flags.sequential_download
    handle = session.add_torrent(wanted)
    if member is not None:
        handle.set_ssl_certificate_buffer(*member, _DH)
    return handle


def rest(handle: Any) -> None:
    """Pause a torrent whose files are checked. It refuses connections until `connect`."""
    handle.pause()


def connect(handle: Any, peers: Iterable[tuple[str, int]]) -> None:
    """Connect to `peers`, each an address and a port: at once if the torrent is paused, else within a second.

    libtorrent connects to new peers once a second, and to all peers of a torrent that it resumes.
    """
    for peer in peers:
        handle.connect_peer(peer)
    handle.resume()
