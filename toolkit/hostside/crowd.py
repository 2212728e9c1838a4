"""What holds clients up at this host's router: a crowd that fills its limits, in words."""

from __future__ import annotations

import os
import re

import router_files
import router_socket

# Fewer connections a second that get no request in are clients that changed their mind, or handshakes under way.
_CLOSED = 50
_NAMED = 3
_OWN = ("127.0.0.1", "::1")
# The limits in the base configuration.
_LIMITS = {
    "strangers": r"fe_conn gt (\d+)",
    "of_address": r"reject if !is_own_address \{ var\(sess\.strangers\) -m int gt (\d+)",
    "of_host": r"reject if is_own_address \{ var\(sess\.strangers\) -m int gt (\d+)",
    "lines": r"table_http_req_rate\(strangers\) lt (\d+)",
}


def words(directory: str, pid: int) -> str:
    """Return what is at its limit in the worker `pid`; empty where nothing is. Raises RouterError."""
    base = router_files.read(os.path.join(directory, "haproxy.cfg")) or ""
    found = {name: re.search(form, base) for name, form in _LIMITS.items()}
    limits = {name: int(each.group(1)) for name, each in found.items() if each}
    if len(limits) < len(_LIMITS):
        # Of an older toolkit, or damaged.
        return ""
    door = router_socket.frontend(directory, pid, "api")
    said = []
    if door.get("scur", 0) >= limits["strangers"]:
        said.append(f"{door['scur']} of {door.get('slim', 0)} connections are taken")
    if crowded := _at_their_limit(directory, pid, limits):
        more = f" and {len(crowded) - _NAMED} more" if len(crowded) > _NAMED else ""
        said.append(f"at the limit of connections: {', '.join(crowded[:_NAMED])}{more}")
    if (closed := door.get("conn_rate", 0) - door.get("rate", 0)) >= _CLOSED:
        said.append(f"{closed} connections a second are closed before a request")
    lines = router_socket.table(directory, pid, "strangers", "http_req_rate")
    if sum(lines.values()) >= limits["lines"]:
        said.append("the log leaves out requests without a valid key")
    if lost := router_socket.lost_lines(directory, pid):
        said.append(f"{lost} lines of the log were lost, which `requests` and `slo` lack")
    return "; ".join(said)


def _at_their_limit(directory: str, pid: int, limits: dict[str, int]) -> list[str]:
    least = min(limits["of_address"], limits["of_host"])
    held = router_socket.table(directory, pid, "addresses", "conn_cur", least)
    if not held:
        return []
    with_key = router_socket.table(directory, pid, "addresses_with_key", "conn_cur", 1)
    return [
        address
        for address, count in sorted(held.items(), key=lambda each: -each[1])
        if count - with_key.get(address, 0)
        >= limits["of_host" if address in _OWN else "of_address"]
    ]
