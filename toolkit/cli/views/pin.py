"""The questions and the outcome of a pin, for people and programs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from toolkit.cli.terminal.output import note, say
from toolkit.cli.views.plan import confirmed
from toolkit.domain.excerpt import plain
from toolkit.domain.quantity import format_size

if TYPE_CHECKING:
    from toolkit.workflows.registry.pin import Pinned


# A repository may have any number of files that no engine needs.
_SHOWN = 40


def accept_owner(source: str) -> Callable[[str, str], bool]:
    """Return a function that accepts a repository of another owner: by `source`, else it asks a person."""

    def accept(asked: str, repo: str) -> bool:
        if source:
            return repo == source
        return confirmed(f"the Hub leads from {asked} to {repo}, of another owner; pin that one?")

    return accept


def pin_json(pinned: Pinned) -> dict[str, Any]:
    """Return the JSON form of a pin."""
    return {
        "model": pinned.version.model,
        "version": pinned.version.name,
        "source": pinned.version.source.key,
        "revision": pinned.version.revision,
        "licence": pinned.version.licence,
        "files": len(pinned.snapshot.files),
        "size": pinned.snapshot.size,
        "left_out": dict(pinned.left_out),
        "notes": list(pinned.notes),
        "registry_changed": pinned.registry_changed,
        "lock_changed": pinned.lock_changed,
    }


def say_pin(pinned: Pinned, *, dry_run: bool) -> None:
    """Print what a pin did."""
    version = pinned.version
    for path, reason in [*pinned.left_out.items()][:_SHOWN]:
        note(f"left out {plain(path)}: {reason}")
    if (more := len(pinned.left_out) - _SHOWN) > 0:
        note(f"left out {more} more; --json names all")
    for remark in pinned.notes:
        note(f"note: {remark}")
    what = (
        f"{version.source.key} {version.revision} ({version.licence}, "
        f"{len(pinned.snapshot.files)} files, {format_size(pinned.snapshot.size)})"
    )
    if not pinned.changed:
        say(f"{version.title} is pinned already: {what}; nothing was changed")
    elif dry_run:
        say(f"would pin {version.title}: {what}; nothing was written")
    else:
        say(f"pinned {version.title}: {what}")
