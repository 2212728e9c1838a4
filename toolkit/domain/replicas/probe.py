"""The results of waits for replicas, of requests to them and of locks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Waited:
    """The end of a wait, after `seconds`. `left` is the number of requests that still run.

    `log` has the replica's last lines after a failure, and the engine's lines about its memory after a good start.
    """

    ok: bool
    reason: str = ""
    seconds: float = 0.0
    left: int = 0
    log: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Completion:
    """A completion. `status` is the HTTP status, 0 without an answer, for which `error` has the reason."""

    status: int
    text: str
    finish_reason: str = ""
    seconds: float = 0.0
    error: str = ""


@dataclass(frozen=True, slots=True)
class LockOwner:
    """The owner of a lock and its command; `since` is in seconds since the epoch."""

    actor: str
    command: str
    pid: int
    since: float = 0.0
