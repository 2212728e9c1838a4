"""The lock of a host, and a client that knows whether the command still has it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from toolkit.adapters.hosts import heartbeat
from toolkit.adapters.hosts.client import HostClient, Report, silent
from toolkit.adapters.hosts.facts import in_lines, owner_from_json, understood
from toolkit.adapters.hosts.heartbeat import Heartbeat, beating
from toolkit.adapters.hosts.port import Named
from toolkit.domain.replicas.probe import LockOwner
from toolkit.errors import BusyError, HostError, InputError, WithdrawnError

# The locks that this command has or asks for, by their tokens.
_OWN: dict[str, LockOwner] = {}


class Held(Named):
    """A host reached through a client, and the lock that the command has of it."""

    def __init__(self, client: HostClient) -> None:
        self.host = client.host
        self._client = client
        names = {"hang": "toolkit_hang_seconds", "stall": "toolkit_stall_seconds"}
        settings = self.host.settings
        self._limits = {each: settings[name] for each, name in names.items() if name in settings}
        self._held: tuple[str, Heartbeat] | None = None

    def _ask(self, name: str, report: Report = silent, /, **request: Any) -> dict[str, Any]:
        """Return the answer to a request; no line ends in its texts, since commands show them within their own."""
        answer = self._client.ask(name, lambda event: report(in_lines(event)), **request)
        lines: dict[str, Any] = in_lines(answer)
        return lines

    @contextmanager
    def lock(self, owner: LockOwner) -> Iterator[None]:
        token, silence = secrets.token_hex(8), heartbeat.SILENCE_SECONDS
        named = {**asdict(owner), "token": token}
        _OWN[token] = owner
        try:
            with self._client.open("lock", owner=named, silence=silence) as dialog:
                first = next(dialog.events())
                with understood(self.name):
                    told = first.get("result", first)
                    held, other = bool(told["held"]), dict(told.get("owner") or {})
                if not held:
                    raise _held(self.name, other, owner)
                with beating(dialog, silence) as beat:
                    self._held = (token, beat)
                    try:
                        yield
                    finally:
                        self._held = None
        finally:
            del _OWN[token]

    def require_lock(self) -> None:
        if self._held and self._held[1].lost:
            raise lock_lost()

    def _change(self, name: str, report: Report = silent, /, **request: Any) -> dict[str, Any]:
        """Ask for a change; raises HostError where the lock was lost, because another command may have it now."""
        self.require_lock()
        return self._ask(name, report, **request)

    def _holder(self) -> str:
        self.require_lock()
        return self._held[0] if self._held else ""


def _held(host: str, other: Mapping[str, Any], owner: LockOwner) -> BusyError | InputError:
    """Return the error for `owner`, who does not get the lock of a host that the `other` has."""
    token = other.get("token")
    if isinstance(token, str) and _OWN.get(token) == owner:
        # It would wait for itself.
        return InputError(
            f"{host} is the machine of another host of the inventory: this command has its lock already",
            hint="leave one of the two names in the inventory; look at their addresses",
        )
    return busy(host, other)


def busy(host: str, owner: Mapping[str, Any]) -> BusyError:
    """Return the error that names the holder of a host, the time and the command."""
    holder = owner_from_json(owner)
    from toolkit.domain.moment import moment_text

    since = moment_text(holder.since)
    return BusyError(
        f"{host} is held by {holder.actor} (pid {holder.pid}) since {since}: {holder.command}",
        hint="the same command with --wait 10min waits for it; toolkit status shows it; a holder that lost its link "
        f"gives up within {heartbeat.SILENCE_SECONDS:.0f} s",
    )


def withdrawn(host: str, target: str, number: int) -> WithdrawnError:
    """Return the error of routes that give traffic to `target`, whose release the host's guard has withdrawn."""
    return WithdrawnError(
        f"{host}: {target} gets no traffic: the guard of this host has withdrawn release {number}",
        hint="toolkit status, then the same command again",
    )


def lock_lost() -> HostError:
    """Return the error of a command that lost the lock of a host."""
    return HostError(
        "the deployment lock was lost: this machine or its link was silent for too long",
        hint="the same command again, here or elsewhere: it ends what was begun",
    )
