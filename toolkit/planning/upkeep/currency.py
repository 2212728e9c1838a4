"""Whether a model is what its source holds now, and what else has changed there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from toolkit.domain.moment import moment_text
from toolkit.domain.quantity import format_age
from toolkit.domain.registry.model import HubSource, Model, Policy, Version
from toolkit.domain.registry.upstream import Upstream
from toolkit.planning.release.licence_policy import licence_verdict
from toolkit.planning.upkeep.adapter_currency import same_company

_NUMBERS = re.compile(r"([0-9]+)(?:\.([0-9]+))?(?:\.([0-9]+))?")

# In seconds.
_WRONG_CLOCK = 86_400.0


class State(StrEnum):
    """The distance of a model from its source.

    `CHANGED`: the revision is the pinned one, and something else about the source is not as it was.
    """

    CURRENT = "current"
    OUTDATED = "outdated"
    CHANGED = "changed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Currency:
    """A model beside its source: the newest version, what its source holds, and what changed there, in words.

    `candidate` is the version that has the source's revision pinned already and is not the newest, if any; it has the
    same engine and adapters as the newest, since it must not bring back older ones. `fault` is why the source is not
    known. `hint` is what to do about the fault, or about the first change where an update would not end it; else it is
    empty.
    """

    version: Version
    state: State
    upstream: Upstream | None
    changes: tuple[str, ...] = ()
    candidate: str = ""
    fault: str = ""
    hint: str = ""

    @property
    def base(self) -> str:
        """The model whose versions bring a newer revision: itself, or the base of an adapter."""
        return self.version.adapter_of or self.version.model

    @property
    def tracked(self) -> str:
        """The branch or tag that is followed; empty for a directory."""
        source = self.version.source
        return source.track if isinstance(source, HubSource) else ""

    def as_json(self, now: float) -> dict[str, Any]:
        """Return what `--json` prints; `now` is in seconds since the epoch."""
        found = self.upstream
        return {
            "version": self.version.name,
            "source": self.version.source.key,
            "revision": self.version.revision,
            "tracked": self.tracked,
            "state": str(self.state),
            "upstream": found.revision if found else "",
            "behind": found.behind if found else None,
            "age": _age(found.date if found else None, now),
            "pinned_age": _age(found.pinned_date if found else None, now),
            "seen_at": found.seen.at if found and found.seen else None,
            "candidate": self.candidate,
            "changes": list(self.changes),
            "fault": self.fault,
        }


@dataclass(frozen=True, slots=True)
class EngineCurrency:
    """An engine beside its package index: the highest locked version, and the newest that the index has.

    `models` use a version below the newest. `fault` is why the index is not known.
    """

    name: str
    accelerator: str
    locked: str
    newest: str
    models: tuple[str, ...] = ()
    fault: str = ""

    @property
    def state(self) -> State:
        """Whether the index has a newer one than is locked."""
        if self.fault:
            return State.UNKNOWN
        newer = version_order(self.newest) > version_order(self.locked)
        return State.OUTDATED if newer else State.CURRENT

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "name": self.name,
            "accelerator": self.accelerator,
            "locked": self.locked,
            "newest": self.newest,
            "state": str(self.state),
            "models": list(self.models),
            "fault": self.fault,
        }


def judge(
    model: Model, upstream: Upstream, pinned_formats: Sequence[str], policy: Policy
) -> Currency:
    """Return how the newest version of `model` stands to its source.

    `pinned_formats` are those of its pinned weights.
    """
    version = model.newest
    older = [
        each.name
        for each in model.versions
        if each.revision == upstream.revision != version.revision and not each.candidate
    ]
    changes = tuple(_changes(version, upstream, pinned_formats, policy))
    if _is_newer(version, upstream):
        state, hint = State.OUTDATED, ""
    else:
        state = State.CHANGED if changes else State.CURRENT
        hint = _way_out(version, upstream) if changes else ""
    for name in older[-1:]:
        changes = (*changes, f"its source is back at {name}, an older version")
        hint = f"toolkit upgrade {model.name} --to {name}, then take {version.name} out of the registry"
    waiting = [
        each.name
        for each in model.candidates
        if each.revision == upstream.revision != version.revision and same_company(each, version)
    ]
    return Currency(version, state, upstream, changes, waiting[-1] if waiting else "", hint=hint)


def age_of(upstream: Upstream, now: float) -> float | None:
    """Return how long the tracked revision is known to be there, in seconds; None where it was never seen before.

    A commit's date is its author's word, and a branch may be moved to an old commit. So a revision is as old as the
    time since this ops machine first saw it, and no older than its date says.
    """
    if upstream.seen is None:
        return None
    return max(0.0, now - max(upstream.seen.at, upstream.date or 0.0))


def of_the_future(upstream: Upstream, now: float) -> str:
    """Return the date of the tracked commit where it is still to come, else an empty text.

    Authors' clocks may be wrong by hours, or have the time of another zone.
    """
    date = upstream.date or 0.0
    return moment_text(date) if date > now + _WRONG_CLOCK else ""


def version_order(version: str) -> tuple[int, int, int]:
    """Return the sorting key of an engine's version: `0.32.0+cpu` -> (0, 32, 0)."""
    found = _NUMBERS.match(version)
    if found is None:
        return (0, 0, 0)
    first, second, third = (int(each or 0) for each in found.groups())
    return first, second, third


def _age(date: float | None, now: float) -> float | None:
    return None if date is None else max(0.0, now - date)


def _is_newer(version: Version, upstream: Upstream) -> bool:
    return bool(upstream.revision) and upstream.revision != version.revision


def _changes(
    version: Version, upstream: Upstream, pinned_formats: Sequence[str], policy: Policy
) -> Iterator[str]:
    source = version.source
    if not upstream.revision and isinstance(source, HubSource):
        yield f"{source.track} is gone from {source.repo}"
    if upstream.gone:
        yield "its pinned commit is gone: keep its files, they cannot be downloaded again"
    if upstream.licence and upstream.licence != version.licence:
        allowed = licence_verdict(version, policy).allowed
        yield f"licence: {version.licence}{'' if allowed else ' (refused)'} -> {upstream.licence}"
    before = upstream.seen_pinned
    if before and before.licence and not upstream.licence and _is_newer(version, upstream):
        yield f"licence: {before.licence} -> none is named"
    if upstream.name and upstream.name != source.key:
        yield f"renamed: {source.key} -> {upstream.name}"
    if before and before.gated != upstream.gated and upstream.revision:
        yield (
            "gated now: its terms must be accepted on the Hub"
            if upstream.gated
            else "gated no more"
        )
    if upstream.refusal:
        yield f"formats: {upstream.refusal}"
    elif upstream.formats and pinned_formats and set(upstream.formats) != set(pinned_formats):
        yield f"formats: {', '.join(pinned_formats)} -> {', '.join(upstream.formats)}"


def _way_out(version: Version, upstream: Upstream) -> str:
    """Return the way out of the first of the `_changes` to a source that still has the pinned revision."""
    if not upstream.revision:
        return "write the branch or tag to follow as `track` in its `source`"
    if upstream.licence and upstream.licence != version.licence:
        return f"read the licence, then write `licence: {upstream.licence}`"
    if upstream.name and upstream.name != version.source.key:
        return (
            f"where {upstream.name} is meant, write `repo: {upstream.name}` in its `source`, "
            f"then toolkit registry pin {version.model} --lock-only"
        )
    terms = "accept its terms with the account of the token, then " if upstream.gated else ""
    return f"{terms}toolkit update {version.model}"


def behind_words(upstream: Upstream | None) -> str:
    """Return how far the pinned commit is behind: commits, and days between the two; `-` where that is not known."""
    if upstream is None or not upstream.behind:
        return "-"
    if upstream.date is None or upstream.pinned_date is None:
        return f"{upstream.behind}"
    return f"{upstream.behind}, {format_age(max(0.0, upstream.date - upstream.pinned_date))}"
