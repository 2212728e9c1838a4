"""One line of the difference between what runs and what a command makes of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that a plan changes: its `subject`, and its values in words, empty where it is absent.

    `turns_off` names the protection that the change ends, such as `tls`; a person agrees to it by that name. `hosts`
    are those that it concerns; empty where that is all hosts of the plan.
    """

    subject: str
    before: str
    after: str
    turns_off: str = ""
    hosts: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "subject": self.subject,
            "before": self.before,
            "after": self.after,
            "turns_off": self.turns_off,
            "hosts": list(self.hosts),
        }


def folded(changes: Mapping[str, Iterable[Change]]) -> tuple[Change, ...]:
    """Return the changes of all hosts, by host's name; equal changes of several hosts are one.

    A change that all hosts share names no host. The order is that in which hosts and changes come first.
    """
    found: dict[Change, list[str]] = {}
    for name, each in changes.items():
        for change in each:
            found.setdefault(change, []).append(name)
    return tuple(
        replace(change, hosts=() if len(names) == len(changes) else tuple(names))
        for change, names in found.items()
    )
