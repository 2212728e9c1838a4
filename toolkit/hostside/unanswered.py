"""The requests that got no answer from the router of this host, and no line in its log.

Where a replica, or the link to its host, is lost before an answer begins, HAProxy 2.6 sends 502 on the first request of
a connection of HTTP/1.1 alone. It closes the connection of a later request, and resets a stream of HTTP/2, because it
takes the client for one that sends such a request again. Its counters alone tell.
"""

from __future__ import annotations

import os
from collections.abc import Hashable
from typing import Generic, Optional, TypeVar

import router_socket
import routes_file

_Key = tuple[int, str]
Key = TypeVar("Key", bound=Hashable)


class Risen(Generic[Key]):
    """Tells how far counts have risen since they were last read, where one reading alone may be too high.

    HAProxy reads its counters one by one, so a difference of them may count a request that ends just then.
    """

    def __init__(self) -> None:
        self._read: Optional[dict[Key, int]] = None
        self._told: dict[Key, int] = {}

    def since(self, now: dict[Key, int]) -> dict[Key, int]:
        """Return by how much each count has risen, by this reading `now` and by the one before; at first by nothing."""
        before, self._read = self._read, now
        told, self._told = self._told, {}
        found = {}
        for key, count in now.items():
            sure = count if before is None else min(count, before.get(key, 0))
            self._told[key] = max(sure, told.get(key, 0))
            if before is not None and self._told[key] > told.get(key, 0):
                found[key] = self._told[key] - told.get(key, 0)
        return found


class Unanswered:
    """Counts those requests for each model, from one look to the next."""

    def __init__(self, root: str) -> None:
        self._directory = os.path.join(root, "router")
        self._risen = Risen[_Key]()

    def look(self) -> dict[str, int]:
        """Return {model: requests} that are new; those of the last moments come with the next look.

        The first look counts nothing, and neither does one at a router that does not answer.
        """
        try:
            risen = self._risen.since(self._counts())
        except router_socket.RouterError:
            return {}
        found: dict[str, int] = {}
        for (_, backend), count in risen.items():
            model = routes_file.model(backend)
            found[model] = found.get(model, 0) + count
        return found

    def _counts(self) -> dict[_Key, int]:
        workers = router_socket.processes(self._directory)
        return {
            (pid, backend): count
            for pid in workers["current"] + workers["old"]
            for backend, count in router_socket.unanswered(self._directory, pid).items()
            if backend.startswith(routes_file.PREFIX)
        }
