"""Addresses that are known by a key stay known at a reload: the last connections are theirs amid a flood."""

from __future__ import annotations

import json
import re
import time

from tests.hostside.keyed import ANN, TINY, ring
from tests.hostside.router_lab import Lab, router_socket, until
from tests.hostside.router_site import PATH, site_of
from tests.hostside.test_router_flood import sent

HOUR = 3600
# A worker that starts without a former one waits so long for what that one knew; before, it tells nothing itself.
FIRST_SECONDS = 12


def known(running: Lab) -> dict[str, int]:
    """Return the addresses that the newest worker knows by a key, with the milliseconds for which it will."""
    pid = router_socket.processes(running.directory)["current"][-1]
    (table,) = router_socket.tell(running.directory, pid, ["show table addresses_with_key"])
    return {
        address: int(left) for address, left in re.findall(r"key=::ffff:(\S+) .*exp=(\d+)", table)
    }


def test_a_reload_keeps_the_addresses_that_are_known_by_a_key() -> None:
    body = json.dumps(TINY).encode()
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nx-api-key: {ANN}\r\n"
    addresses = {f"127.0.3.{number}" for number in range(1, 6)}
    with site_of() as made:
        began = time.monotonic()
        made.lab.give(ring())
        for source in addresses:
            request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
            assert sent(made.lab, request, source).startswith(b"HTTP/1.1 200")
        time.sleep(FIRST_SECONDS)
        for _ in range(3):
            made.reload()
            found = until(lambda: known(made.lab))
            assert set(found) == addresses
            # Not an hour from now: from their last request with a key.
            passed = time.monotonic() - began
            assert all(
                HOUR - passed - 2 < left / 1000 < HOUR - FIRST_SECONDS + 2
                for left in found.values()
            )
