"""Limits of an address: by IPv6 whoever has one has 2^64 of them, so the router counts such a network as one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.hostside.router_lab import REPO

# In a network of its own, where whole networks of addresses are this machine's.
_APART = """
ip link set lo up
ip -6 route add local fd00::/16 dev lo
echo 1 >/proc/sys/net/ipv6/ip_nonlocal_bind
exec "$0" -c "$1"
"""
_CROWD = """
import contextlib, socket
from tests.hostside.keyed import ring
from tests.hostside.router_lab import free_port, lab, until
from tests.hostside.test_router_door import is_kept

port = free_port()

def held(stack, sources):
    made = []
    for source in sources:
        to = "::1" if ":" in source else "127.0.0.1"
        with contextlib.suppress(ConnectionError):
            made.append(stack.enter_context(socket.create_connection((to, port), 60, (source, 0))))
    return made

limits = {"router_head_timeout": "120s", "router_connections_per_address": 20}
with lab(router_bind=f"[::]:{port}", **limits) as running, contextlib.ExitStack() as stack:
    running.give(ring())
    crowd = held(stack, [f"fd00:1::{number:x}" for number in range(1, 61)])
    others = [held(stack, [source] * 15) for source in ("fd00:1:0:1::1", "127.0.0.5", "127.0.0.6")]
    until(lambda: sum(map(is_kept, crowd)) <= 20)
    print(sum(map(is_kept, crowd)), *(sum(map(is_kept, each)) for each in others))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a network of its own")
def test_a_network_of_ipv6_counts_as_one_address_and_ipv4_does_not() -> None:
    done = subprocess.run(
        ["unshare", "--net", "sh", "-ec", _APART, sys.executable, _CROWD],
        env={**os.environ, "PYTHONPATH": str(REPO)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stdout.split() == ["20", "15", "15", "15"], done.stderr
