"""LoRA adapters of a running replica: what differs between two releases, and how it changes without a restart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toolkit.domain.deployment.plan import Step, StepKind
from toolkit.domain.deployment.release import Deployment, Release, ReleaseAdapter
from toolkit.domain.gates.verdict import Unsure
from toolkit.domain.hosts.facts import SlotFacts

if TYPE_CHECKING:
    from toolkit.domain.gates.guard import Guard


@dataclass(frozen=True, slots=True)
class AdapterChanges:
    """The way from one release's adapters to another's in a replica: those that it loads anew, and names that end.

    Of the `loaded` ones, the names in `exchanged` had other weights before. The `checked` ones have the same files and
    other checks, which they must pass like those of a new adapter: the next start of a replica asks them.
    """

    loaded: tuple[ReleaseAdapter, ...]
    exchanged: tuple[str, ...]
    removed: tuple[str, ...]
    checked: tuple[ReleaseAdapter, ...] = ()

    @property
    def words(self) -> str:
        """The changes, for a plan."""
        added = [each.name for each in self.loaded if each.name not in self.exchanged]
        parts = (("add", added), ("upgrade", self.exchanged), ("remove", self.removed))
        words = [f"{verb} {', '.join(names)}" for verb, names in parts if names]
        again = ", ".join(each.name for each in self.checked)
        return "; ".join([*words, *([f"check {again} again"] if again else [])])


def adapter_changes(former: Release, wanted: Release) -> AdapterChanges:
    """Return the differences between the adapters of two releases; none where they are the same."""
    before = {each.name: each for each in former.adapters}
    kept = {name: each.snapshot for name, each in before.items()}
    loaded = tuple(each for each in wanted.adapters if kept.get(each.name) != each.snapshot)
    after = {each.name for each in wanted.adapters}
    return AdapterChanges(
        loaded,
        tuple(each.name for each in loaded if each.name in before),
        tuple(name for name in before if name not in after),
        tuple(
            each
            for each in wanted.adapters
            if each not in loaded and each.checks and each.checks != before[each.name].checks
        ),
    )


def internal_name(adapter: ReleaseAdapter) -> str:
    """Return the name under which an adapter is loaded before it has proven itself.

    No public name has an `@`, so the router leads no client to it.
    """
    return f"{adapter.name}@{adapter.snapshot[:12]}"


def can_adapt(current: SlotFacts, wanted: Release) -> bool:
    """Whether the replica in a slot can become `wanted` without a restart: nothing but adapters differs."""
    release = current.release
    if release is None or not current.healthy or current.drift:
        return False
    return release.adapters != wanted.adapters and release.runs_as(wanted)


def adapt_step(slot: SlotFacts, wanted: Release) -> Step:
    """Return the step that changes the adapters of the replica in `slot`."""
    assert slot.release is not None, "a replica that adapts has a release"
    words = adapter_changes(slot.release, wanted).words or "record the adapters anew"
    return Step(StepKind.ADAPT, f"{words}; the replica runs on", slot.slot)


def adapters_guard(changes: AdapterChanges, guards: Mapping[str, Guard]) -> Guard | None:
    """Return one guard for adapters that change together; None where none of them declares a bake.

    It is as long as the longest bake and as strict as the strictest guard. The gates of each are its own.
    """
    found = [guards[each.name] for each in changes.loaded if each.name in guards]
    watched = [each for each in found if each.bake is not None and not each.off]
    if not watched:
        return None
    strict = {
        name: min(getattr(each.tolerance, name) for each in watched)
        for name in ("slower", "errors", "growth")
    }
    goes_on = all(each.unsure is Unsure.GO_ON for each in watched)
    from toolkit.domain.gates.guard import Guard, Tolerance

    return Guard(
        bake=max(each.bake or 0.0 for each in watched),
        patience=min(each.patience for each in watched),
        unsure=Unsure.GO_ON if goes_on else Unsure.RETURN,
        tolerance=Tolerance(**strict),
    )


def was_adapted(deployment: Deployment, previous: Release | None, slot: SlotFacts | None) -> bool:
    """Whether an open deployment changed the adapters of the replica in its slot, and so started none."""
    if previous is None or slot is None or slot.release is None:
        return False
    started = any(step.kind == StepKind.START for step in deployment.steps)
    other = previous.number != deployment.release
    return other and not started and slot.healthy and slot.release.runs_as(previous)
