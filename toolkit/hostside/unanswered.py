"""The requests that got no answer from the router of this host, and no line in its log.

Where a replica, or the link to its host, is lost before an answer begins, HAProxy 2.6 sends 502 on the first request of
a connection of HTTP/1.1 alone. It closes the connection of a later request, and resets a stream of HTTP/2, because it
takes the client for one that sends such a request again. Its counters alone tell.
"""

from __future__ import annotations

import os
from typing import Optional

import router_socket
import routes_file

_Key = tuple[int, str]


class Unanswered:
    """Counts those requests for each model, from one look to the next."""

    def __init__(self, root: str) -> None:
        self._directory = os.path.join(root, "router")
        self._seen: Optional[dict[_Key, int]] = None
        self._counted: dict[_Key, int] = {}

    def look(self) -> dict[str, int]:
        """Return {model: requests} that are new; those of the time since the last look come with the next one.

        The first look counts nothing, and neither does one at a router that does not answer.
        """
        try:
            now = self._read()
        except router_socket.RouterError:
            return {}
        before, self._seen = self._seen, now
        found: dict[str, int] = {}
        counted = {}
        for key, number in now.items():
            # HAProxy reads its counters one by one: what only one of two looks has seen may not have ended then.
            known = number if before is None else min(number, before.get(key, 0))
            counted[key] = max(known, self._counted.get(key, 0))
            new = 0 if before is None else counted[key] - self._counted.get(key, 0)
            if new:
                model = routes_file.model(key[1])
                found[model] = found.get(model, 0) + new
        self._counted = counted
        return found

    def _read(self) -> dict[_Key, int]:
        workers = router_socket.processes(self._directory)
        return {
            (pid, backend): number
            for pid in workers["current"] + workers["old"]
            for backend, number in router_socket.unanswered(self._directory, pid).items()
            if backend.startswith(routes_file.PREFIX)
        }
