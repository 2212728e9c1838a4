"""Ask the sources of models what they hold now, and the package index for newer engines; change nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePosixPath

from toolkit.adapters.hub.port import Commit, Hub, OpenHub
from toolkit.adapters.sightings import Sightings
from toolkit.config.registry.lock_file import Lock
from toolkit.domain.accelerator import Accelerator
from toolkit.domain.engines.engine import EngineLock
from toolkit.domain.files.snapshot import Snapshot, content_revision
from toolkit.domain.registry.model import HubSource, LocalSource, Model, Registry, Version
from toolkit.domain.registry.upstream import Sighting, Upstream
from toolkit.errors import SourceError, ToolkitError
from toolkit.planning.engines import engine_named
from toolkit.planning.release.adapter_files import files_of
from toolkit.planning.release.file_choice import OTHER_FORMATS, WEIGHTS
from toolkit.planning.upkeep.adapter_currency import adapter_models
from toolkit.planning.upkeep.currency import Currency, EngineCurrency, State, judge, version_order
from toolkit.workflows.registry.deadline import within
from toolkit.workflows.registry.directory import hash_directory

# Package, accelerator, Python -> the newest version that fits such hosts.
Newest = Callable[[str, Accelerator, str], str]


@dataclass(frozen=True, slots=True)
class Sources:
    """The places to ask: the Hub, the file of sightings, the lock; `clock` in seconds since the epoch."""

    open_hub: OpenHub
    sightings: Sightings
    lock: Lock
    clock: Callable[[], float]


def look_upstream(
    registry: Registry, models: Sequence[Model], sources: Sources, *, seconds: float
) -> dict[str, Currency]:
    """Return how each model stands to its source, by name, after at most `seconds`.

    A silent source is a state, not an error. Records what was seen for the first time.
    """
    questions = {model.name: partial(_ask, model, sources) for model in models}
    answers = within(seconds, questions)
    seen = _sighted(models, answers, sources)
    return {
        model.name: _judged(model, answers[model.name], seen, registry, sources.lock)
        for model in models
    }


def with_adapters(models: Sequence[Model]) -> list[Model]:
    """Return the models, and each LoRA adapter of their newest versions as a model."""
    return [*models, *(part for model in models for part in adapter_models(model))]


def look_engines(
    models: Sequence[Model],
    locks: Iterable[EngineLock],
    newest: Newest,
    *,
    seconds: float,
) -> tuple[EngineCurrency, ...]:
    """Return how each engine of `models` stands to its package index: one for each accelerator of these models.

    The locks that came with the toolkit are for more accelerators than a registry need have.
    """
    used = {
        (model.newest.engine.name, accelerator)
        for model in models
        for accelerator in model.newest.resources.accelerators
    }
    highest: dict[tuple[str, Accelerator], EngineLock] = {}
    for lock in locks:
        key = (lock.name, lock.accelerator)
        if key in used and (key not in highest or _order(lock) > _order(highest[key])):
            highest[key] = lock
    answers = within(
        seconds,
        {
            f"{name} {accelerator}": partial(
                newest, engine_named(name).distributions[accelerator], accelerator, lock.python
            )
            for (name, accelerator), lock in highest.items()
        },
    )
    return tuple(
        _engine(lock, answers[f"{name} {accelerator}"], models)
        for (name, accelerator), lock in highest.items()
    )


def _order(lock: EngineLock) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    return version_order(lock.version), version_order(lock.python)


def _engine(
    lock: EngineLock, answer: str | ToolkitError, models: Sequence[Model]
) -> EngineCurrency:
    if isinstance(answer, ToolkitError):
        return EngineCurrency(
            lock.name, str(lock.accelerator), lock.version, "", (), answer.message
        )
    older = tuple(
        model.name
        for model in models
        if model.newest.engine.name == lock.name
        and lock.accelerator in model.newest.resources.accelerators
        and version_order(model.newest.engine.version) < version_order(answer)
    )
    return EngineCurrency(lock.name, str(lock.accelerator), lock.version, answer, older)


def _ask(model: Model, sources: Sources) -> Upstream:
    version = model.newest
    if isinstance(version.source, LocalSource):
        return _ask_directory(version, version.source)
    return _ask_hub(version, version.source, sources.open_hub())


def _ask_hub(version: Version, source: HubSource, hub: Hub) -> Upstream:
    gone = False
    try:
        info = hub.resolve(source.repo, source.track)
        found = Upstream(info.revision, info.licence, info.gated, info.name or source.repo)
    except SourceError as error:
        if not error.missing:
            raise
        # The repository itself may be gone too: then this raises, and nothing is known.
        pinned = hub.resolve(source.repo, version.revision)
        return Upstream("", pinned.licence, pinned.gated, pinned.name or source.repo)
    commits: tuple[Commit, ...] = ()
    try:
        commits = hub.commits(source.repo, source.track)
    except SourceError as error:
        if not error.missing:
            raise
    dates = {each.revision: each.date for each in commits}
    order = [each.revision for each in commits]
    behind = order.index(version.revision) if version.revision in dates else None
    if found.revision == version.revision:
        behind = 0
    elif behind is None:
        gone = not _has(hub, source.repo, version.revision)
    found = replace(
        found,
        date=dates.get(found.revision),
        pinned_date=dates.get(version.revision),
        behind=behind,
        gone=gone,
    )
    if found.revision == version.revision:
        return found
    choice = files_of(version, (file.path for file in hub.files(source.repo, found.revision)))
    return replace(found, formats=_formats(choice.kept), refusal=choice.refusal)


def _has(hub: Hub, repo: str, revision: str) -> bool:
    try:
        hub.resolve(repo, revision)
    except SourceError as error:
        if not error.missing:
            raise
        return False
    return True


def _ask_directory(version: Version, source: LocalSource) -> Upstream:
    """Return the state of a directory, hashed whole: a model that was trained again has files of the same sizes."""
    _, files, _ = hash_directory(version, source, lambda _: None)
    revision = content_revision(files)
    formats = _formats(file.path for file in files)
    return Upstream(revision, formats=() if revision == version.revision else formats)


def _pinned(version: Version, lock: Lock) -> Snapshot | None:
    return lock.snapshot_of(version) if lock.has(version) else None


def _formats(paths: Iterable[str]) -> tuple[str, ...]:
    suffixes = {PurePosixPath(path).suffix.removeprefix(".") for path in paths}
    return tuple(sorted(suffixes & {WEIGHTS, *OTHER_FORMATS}))


def _sighted(
    models: Sequence[Model], answers: Mapping[str, Upstream | ToolkitError], sources: Sources
) -> dict[str, dict[str, Sighting]]:
    seen: dict[str, dict[str, Sighting]] = {}
    now = sources.clock()
    for model in models:
        answer = answers[model.name]
        if isinstance(answer, Upstream):
            entry = seen.setdefault(model.newest.source.key, {})
            for revision in filter(None, (answer.revision, model.newest.revision)):
                entry[revision] = Sighting(now, answer.gated, answer.licence)
    try:
        return sources.sightings.see(seen)
    except OSError:
        # A home that cannot be written to must not keep anybody from the answer; ages are unknown then.
        return {}


def _judged(
    model: Model,
    answer: Upstream | ToolkitError,
    seen: Mapping[str, Mapping[str, Sighting]],
    registry: Registry,
    lock: Lock,
) -> Currency:
    version = model.newest
    if isinstance(answer, ToolkitError):
        return Currency(version, State.UNKNOWN, None, fault=answer.message, hint=answer.hint)
    known = seen.get(version.source.key, {})
    answer = replace(
        answer, seen=known.get(answer.revision), seen_pinned=known.get(version.revision)
    )
    pinned = _pinned(version, lock)
    formats = _formats(file.path for file in pinned.files) if pinned else ()
    return judge(model, answer, formats, registry.policy)
