"""The tasks of a playbook that are announced to people: changes of the host, and long tasks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

# Ansible says within this time that a task is skipped, also on a busy machine. One that runs longer is shown meanwhile.
PATIENCE = 2.0
# Ansible's name of the check that every role makes of its arguments, which says nothing of the host.
_CHECK = "Validating arguments against arg spec"
_END = frozenset({"runner_on_failed", "runner_on_unreachable", "runner_retry"})


class Announced:
    """Calls `progress` with the name of each task that changes something or fails, once.

    A task's name is told when it ends, or after `patience` seconds where it runs longer, whatever comes of it. "Remove
    the firewall" would frighten people whose host has none.
    """

    def __init__(self, progress: Callable[[str], None], patience: float = PATIENCE) -> None:
        self._progress, self._patience = progress, patience
        self._lock = threading.Lock()
        self._waiting = ""
        self._timer: threading.Timer | None = None

    def take(self, kind: object, data: Mapping[str, Any]) -> None:
        """Take an event of Ansible's runner."""
        if kind == "playbook_on_task_start":
            self._drop()
            name = str(data.get("name") or data.get("task"))
            if _CHECK in name:
                return
            self._waiting = name
            self._timer = threading.Timer(self._patience, self._tell)
            self._timer.daemon = True
            self._timer.start()
        elif kind in ("runner_on_skipped", "playbook_on_stats", "ended"):
            self._drop()
        elif kind in _END or (kind == "runner_on_ok" and _changed(data)):
            self._tell()
        elif kind == "runner_on_ok":
            self._drop()

    def close(self) -> None:
        """Tell nothing more, and return once nothing is being told: a run that was interrupted has no later words."""
        self._drop()
        if self._timer is not None:
            self._timer.join()

    def _tell(self) -> None:
        with self._lock:
            name, self._waiting = self._waiting, ""
        if name:
            self._progress(name)

    def _drop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        with self._lock:
            self._waiting = ""


def _changed(data: Mapping[str, Any]) -> bool:
    result = data.get("res")
    return isinstance(result, Mapping) and bool(result.get("changed"))
