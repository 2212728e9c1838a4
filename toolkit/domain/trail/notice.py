"""A message about the outcome of a command. It has no prompt, no answer of a model, no key and no secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# The words for an outcome; others stand for themselves.
_WORDS = {
    "done": "done",
    "release-failed": "FAILED; the former release serves",
    "interrupted": "interrupted",
}


@dataclass(frozen=True, slots=True)
class Notice:
    """The outcome of the command `id`, at `at` in seconds since the epoch.

    `error` is the kind of the command's error, empty where it has none. `hosts` has the outcome on each host, `gates`
    host, gate and verdict. Reasons of gates stay out of it, since they may repeat what a model has answered.
    """

    id: str
    at: float
    command: str
    outcome: str
    model: str = ""
    releases: tuple[str, ...] = ()
    actor: str = ""
    machine: str = ""
    reason: str = ""
    error: str = ""
    hosts: Mapping[str, str] = field(default_factory=dict)
    gates: tuple[tuple[str, str, str], ...] = ()
    seconds: float = 0.0

    @property
    def title(self) -> str:
        """The message in one line."""
        what = ", ".join(self.releases) or self.model
        words = _WORDS.get(self.outcome, f"failed ({self.outcome})")
        return f"toolkit {self.command} {what}".rstrip() + f": {words}"

    @property
    def text(self) -> str:
        """The message for people."""
        by = f"by {self.actor} on {self.machine}" if self.actor else f"on {self.machine}"
        lines = [
            self.title,
            f"{by}, {self.seconds:.0f} s" + (f": {self.reason}" if self.reason else ""),
        ]
        lines += [f"{host}: {outcome}" for host, outcome in self.hosts.items()]
        lines += [
            f"{host}: gate {gate}: {verdict}"
            for host, gate, verdict in self.gates
            if verdict != "passed"
        ]
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """Return the form of a webhook's body, of the outbox and of the hook after a deployment."""
        data = {name: getattr(self, name) for name in self.__dataclass_fields__}
        data["gates"] = [list(each) for each in self.gates]
        data["releases"], data["hosts"] = list(self.releases), dict(self.hosts)
        return {**data, "title": self.title, "text": self.text}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Notice:
        """Return the notice whose `as_json` is `data`; raises KeyError, TypeError or ValueError for other data."""
        known = {name: data[name] for name in Notice.__dataclass_fields__}
        known["releases"] = tuple(str(each) for each in known["releases"])
        known["gates"] = tuple((str(a), str(b), str(c)) for a, b, c in known["gates"])
        return Notice(**known)
