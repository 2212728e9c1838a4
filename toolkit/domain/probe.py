"""What waiting for a replica and asking it brought back."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Waited:
    """How a wait ended. `log` holds the replica's last lines where it ended badly; where a start ended well,
    those in which the engine says what memory it took.
    """

    ok: bool
    reason: str = ""
    seconds: float = 0.0
    left: int = 0
    log: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Completion:
    """One completion as it came back; `status` is 0 where nothing did, `error` then says why."""

    status: int
    text: str
    finish_reason: str = ""
    seconds: float = 0.0
    error: str = ""


@dataclass(frozen=True, slots=True)
class LockOwner:
    """Who holds the fleet, since when (seconds since the epoch) and for what command."""

    actor: str
    command: str
    pid: int
    since: float = 0.0
