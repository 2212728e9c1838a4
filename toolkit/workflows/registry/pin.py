"""Pin a model: replace a branch by its commit, and write the digest of every file into the lock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from toolkit.adapters.hub.port import OpenHub, RepoInfo
from toolkit.adapters.sources.model_files import CONFIG
from toolkit.config.registry.edit import (
    draft_version,
    with_revision,
    with_version,
    write_registry,
)
from toolkit.config.registry.lock_file import Lock, change_lock, read_lock
from toolkit.config.registry.reading import RegistryFile, read_registry
from toolkit.config.yaml_text import Where
from toolkit.domain.bounds import CONFIG as CONFIG_BYTES
from toolkit.domain.files.capabilities import ModelFacts
from toolkit.domain.files.snapshot import FileDigest, Snapshot, content_revision
from toolkit.domain.files.weight_files import index_of
from toolkit.domain.outside import parse_mapping
from toolkit.domain.quantity import format_size
from toolkit.domain.registry.model import HubSource, LocalSource, Model, Version
from toolkit.errors import InputError, IntegrityError, RefusedError, SourceError
from toolkit.planning.release.adapter_files import adapter_fault, config_file, files_of
from toolkit.planning.release.file_choice import FileChoice, settle, unreliable
from toolkit.planning.release.licence_policy import licence_verdict
from toolkit.planning.release.model_facts import read_facts, telling_files
from toolkit.planning.upkeep.adapter_currency import same_company
from toolkit.workflows.registry.directory import hash_directory, start_of
from toolkit.workflows.registry.found import Found, named_gone
from toolkit.workflows.registry.pin_names import FULL, bare, default_name, waiting_version
from toolkit.workflows.registry.pin_reading import RepositoryReading, code_note
from toolkit.workflows.tools import Begin, unrecorded

Report = Callable[[str], None]
# (the repository in the registry, the Hub's name for it, which has another owner) -> whether that one is meant.
Accept = Callable[[str, str], bool]


@dataclass(frozen=True, slots=True)
class Pinned:
    """The outcome of a pin. `registry_changed` and `lock_changed` say which files were written.

    `gated` is whether the repository is gated today, None where it was not asked.
    """

    version: Version
    snapshot: Snapshot
    left_out: Mapping[str, str]
    notes: tuple[str, ...]
    registry_changed: bool
    lock_changed: bool
    gated: bool | None = None

    @property
    def changed(self) -> bool:
        """Whether anything was written."""
        return self.registry_changed or self.lock_changed


def pin_version(
    registry_path: Path,
    model: str,
    ref: str = "",
    *,
    name: str = "",
    open_hub: OpenHub,
    report: Report,
    accept: Accept | None = None,
    begin: Begin | None = unrecorded,
) -> Pinned:
    """Pin what `ref` means today (default: what the source tracks) as the last version of `model`, and return it.

    The version is recorded under the Hub's own name of the repository; `accept` is asked where its owner differs.
    Where a version's revision in the file still is that branch or tag, the commit replaces it.
    `begin` is called before a file is written; without it the pin is a dry run. The registry is written last, so that a
    version never stands in it without its digests.
    Raises InputError for faults in files and arguments, RefusedError where policy forbids the
    licence or a file or another owner is not accepted, SourceError and IntegrityError for answers of the Hub.
    """
    file = read_registry(registry_path, unpinned=True)
    pinning = Pinning(file, read_lock(registry_path), open_hub, report, accept, begin)
    return _pin(registry_path, pinning, model, ref, name)


def pin_candidate(
    registry_path: Path,
    model: str,
    *,
    name: str = "",
    open_hub: OpenHub,
    report: Report,
    accept: Accept | None = None,
    begin: Begin | None = unrecorded,
) -> Pinned:
    """Pin what the source of `model` tracks as its last version, a candidate; like `pin_version` in all else.

    A version that is pinned already stays what it is. The new one has the settings of the newest version; a candidate
    of the same revision with another engine or adapters counts as none, since it would bring back older ones.
    """
    file = read_registry(registry_path, unpinned=True)
    pinning = Pinning(file, read_lock(registry_path), open_hub, report, accept, begin)
    return _pin(registry_path, pinning, model, "", name, candidate=True)


def _pin(
    registry_path: Path,
    pinning: Pinning,
    model: str,
    ref: str,
    name: str,
    *,
    candidate: bool = False,
) -> Pinned:
    file = pinning.file
    registry_model = file.registry.model(bare(model))
    waiting = waiting_version(file, registry_model.name, ref, name)
    if waiting:
        draft = registry_model.version(waiting)
        ref = file.unpinned[registry_model.name, waiting]
    else:
        draft = draft_version(file, registry_model.name)
    found = pinning.observe(draft, ref)
    for version in _comparable(registry_model) if candidate else registry_model.versions:
        same = version.source.key in (draft.source.key, found.repo)
        if same and version.revision == found.revision and not waiting:
            return pinning.lock(version, found)
    title = waiting or name or default_name(ref, found.revision, registry_model.versions)
    repo = found.repo if found.repo != draft.source.key else ""
    where = (file, registry_model.name, title, found.revision, repo)
    after = with_revision(*where) if waiting else with_version(*where, candidate=candidate)
    version = after.registry.model(registry_model.name).version(title)
    pinned = pinning.lock(version, found)
    if pinning.begin:
        pinning.begin()
        write_registry(registry_path, file, after)
    return replace(pinned, registry_changed=True)


def _comparable(model: Model) -> tuple[Version, ...]:
    """Return the versions that a new candidate could repeat, the newest first."""
    if not model.versions:
        return ()
    newest = model.newest
    return (
        newest,
        *(each for each in model.versions if not each.candidate or same_company(each, newest)),
    )


def lock_versions(
    registry_path: Path,
    spec: str,
    *,
    open_hub: OpenHub,
    report: Report,
    accept: Accept | None = None,
    begin: Begin | None = unrecorded,
) -> tuple[Pinned, ...]:
    """Write the digests of `MODEL@VERSION`, or of all versions of `MODEL`, into the lock.

    A single version is read again even where the lock has it, because a change of its permission
    changes its files. The registry stays as it is. Raises what `pin_version` raises,
    and IntegrityError where a file of the same revision has other bytes than those pinned.
    """
    file = read_registry(registry_path, unpinned=True)
    model = file.registry.model(bare(spec, at_allowed=True))
    versions = (file.registry.version(spec),) if "@" in spec else model.versions
    if not versions:
        raise InputError(f"{model.name} has no version", hint=f"toolkit registry pin {model.name}")
    done = []
    for version in versions:
        if (model.name, version.name) in file.unpinned:
            raise InputError(
                f"{version.title} is not pinned: its revision is {version.revision!r}",
                hint=f"toolkit registry pin {model.name} {version.revision}",
            )
        lock = read_lock(registry_path)
        pinning = Pinning(file, lock, open_hub, report, accept, begin)
        read = lock.has(version) and lock.snapshot_of(version).facts is not None
        if read and "@" not in spec:
            done.append(Pinned(version, lock.snapshot_of(version), {}, (), False, False))
            continue
        try:
            found = pinning.observe(version, version.revision)
        except SourceError as error:
            if not (error.gone and lock.has(version)):
                raise
            note = f"{error.message}; its digests stay in the lock as they are"
            done.append(Pinned(version, lock.snapshot_of(version), {}, (note,), False, False))
            continue
        done.append(pinning.lock(version, found, again=True))
    return tuple(done)


@dataclass(frozen=True, slots=True)
class Pinning:
    """Pins versions of one registry; `pins` is its lock. Without `begin` it is a dry run, and writes nothing."""

    file: RegistryFile
    pins: Lock
    open_hub: OpenHub
    report: Report
    accept: Accept | None = None
    begin: Begin | None = unrecorded

    def observe(self, version: Version, ref: str) -> Found:
        """Return the commit that `ref` means today, or the present files of a directory.

        Raises InputError for a `ref` of a directory, and SourceError where the Hub does not know `ref`.
        """
        if isinstance(version.source, LocalSource):
            if ref and ref != version.revision:
                raise InputError(
                    f"{version.model} is a directory, which has no {ref!r}",
                    hint=f"toolkit registry pin {version.model}",
                )
            choice, files, facts = hash_directory(version, version.source, self.report)
            return Found(content_revision(files), files=files, choice=choice, facts=facts)
        ref = ref or version.source.track
        self.report(f"asking the Hub what {ref} of {version.source.repo} is")
        with named_gone(version, ref):
            info: RepoInfo = self.open_hub().resolve(version.source.repo, ref)
        if not FULL.match(info.revision) or (FULL.match(ref) and info.revision != ref):
            raise SourceError(
                f"the Hub answered {info.revision!r} for {ref} of {version.source.repo}",
                hint="check HF_ENDPOINT",
            )
        repo = info.name or version.source.repo
        return Found(
            info.revision,
            info.licence,
            info.gated,
            repo=repo,
            notes=self._moved(version.source.repo, repo),
        )

    def _moved(self, asked: str, repo: str) -> tuple[str, ...]:
        """Return the remark about a repository that has another name on the Hub than the one that was asked for."""
        if repo == asked:
            return ()
        same_owner = _owner(repo) == _owner(asked)
        if not same_owner and not (self.accept and self.accept(asked, repo)):
            raise RefusedError(
                f"the Hub leads from {asked} to {repo}, which is another owner's",
                hint=f"where that is the one that is meant: --source {repo}",
            )
        return (f"{asked} is {repo} on the Hub",)

    def lock(self, version: Version, found: Found, *, again: bool = False) -> Pinned:
        """Return `version` with its digests: those of the lock, else those of its source, which then go to the lock.

        Raises IntegrityError where a directory is no longer what was pinned.
        """
        self._check_licence(version, found)
        if found.revision != version.revision:
            raise IntegrityError(
                f"the directory of {version.title} is no longer what was pinned",
                hint=f"toolkit registry pin {version.model}",
            )
        if self._reads_nothing_new(version) and not again:
            pinned = self.pins.snapshot_of(version)
            return Pinned(version, pinned, {}, found.notes, False, False, found.gated)
        notes = [*found.notes]
        if not found.licence and not found.choice:
            notes.append("the repository names no licence")
        if found.gated:
            notes.append("gated: its terms have to be accepted on the Hub by the token's account")
        if isinstance(version.source, HubSource):
            choice, files, facts = self._read_hub(version, notes)
        else:
            choice, files, facts = found.choice or FileChoice(()), found.files, found.facts
            if version.adapter_of:
                directory = Path(version.source.path)
                self._require_fit(version, start_of(directory / config_file(version)))
        snapshot = Snapshot(version.source.key, version.revision, files, facts)
        self.report(f"{len(files)} files, {format_size(snapshot.size)}")
        changed = not self.pins.has(version) or _differs(
            version, self.pins.snapshot_of(version), snapshot
        )
        if changed and self.begin:
            self.begin()
            self._write(version, snapshot)
        return Pinned(version, snapshot, choice.left_out, tuple(notes), False, changed, found.gated)

    def _write(self, version: Version, snapshot: Snapshot) -> None:
        """Add the digests to the lock as it is now; raises IntegrityError where it has other ones meanwhile."""

        def added(lock: Lock) -> Lock:
            if lock.has(version):
                _differs(version, lock.snapshot_of(version), snapshot)
            return lock.plus(snapshot)

        change_lock(self.file.document.path, added)

    def _reads_nothing_new(self, version: Version) -> bool:
        """Whether the lock has the files of a version, and what they say: an older toolkit did not read that."""
        if not self.pins.has(version):
            return False
        return bool(version.adapter_of) or self.pins.snapshot_of(version).facts is not None

    def _read_hub(
        self, version: Version, notes: list[str]
    ) -> tuple[FileChoice, tuple[FileDigest, ...], ModelFacts | None]:
        """Return the choice among the files of a repository, their digests, and what they say; adds to `notes`.

        Raises SourceError, by name, where its weights are not whole or contradict each other.
        """
        hub, repo, revision = self.open_hub(), version.source.key, version.revision
        listed = {each.path: each for each in hub.files(repo, revision)}
        reading = RepositoryReading(hub, repo, revision, listed, self.report)
        choice = files_of(version, listed)
        index = index_of(choice.kept)
        choice = settle(repo, choice, reading.read(index) if index else None)
        files = reading.digests(choice.kept)
        if version.adapter_of:
            self._require_fit(version, reading.read(config_file(version)))
        if CONFIG in choice.kept and not version.permission.trust_remote_code:
            notes.extend(code_note(reading.read(CONFIG)))
        if fault := reading.weights_fault(choice.kept):
            raise unreliable(repo, fault)
        if version.adapter_of:
            return choice, files, None
        texts = {path: reading.read(path) for path in telling_files(choice.kept)}
        return choice, files, read_facts(choice.kept, texts)

    def _require_fit(self, version: Version, config: bytes) -> None:
        """Raise InputError where an adapter with such a configuration belongs to another base, or does not load."""
        try:
            read = parse_mapping(config, CONFIG_BYTES)
        except ValueError as error:
            raise unreliable(version.source.key, f"{config_file(version)}: {error}") from None
        for base, adapter in self.file.registry.adapters(version.model):
            message, hint = adapter_fault(base, adapter, read)
            if message:
                where = place_of(self.file, base, adapter.name)
                raise self.file.document.fault(
                    (*where, "source"), f"{adapter.name}: {message}", hint=hint
                )

    def _licence_place(self, version: Version) -> Where:
        spans = self.file.document.spans
        if version.adapter_of:
            base, _ = self.file.registry.adapters(version.model)[-1]
            return (*place_of(self.file, base, version.model), "licence")
        own: Where = ("models", version.model, "versions", version.name, "licence")
        return own if own in spans else ("models", version.model, "licence")

    def _check_licence(self, version: Version, found: Found) -> None:
        if found.licence and found.licence != version.licence:
            raise self.file.document.fault(
                self._licence_place(version),
                f"{version.source.key} says its licence is {found.licence!r}, "
                f"and the registry says {version.licence!r}",
                hint=f"read the licence, then write `licence: {found.licence}`",
            )
        verdict = licence_verdict(version, self.file.registry.policy)
        if not verdict.allowed:
            raise RefusedError(verdict.reason, hint=verdict.hint)


def place_of(file: RegistryFile, base: Version, adapter: str) -> Where:
    """Return where the adapter of a version stands: in the version, or in its model."""
    own: Where = ("models", base.model, "versions", base.name, "adapters", adapter)
    return own if own in file.document.spans else ("models", base.model, "adapters", adapter)


def _owner(repo: str) -> str:
    return repo.partition("/")[0].lower()


def _differs(version: Version, pinned: Snapshot, found: Snapshot) -> bool:
    """Whether the choice of files or their facts differ; raises IntegrityError where a pinned file itself changed."""
    digests = {file.path: file.sha256 for file in pinned.files}
    for file in found.files:
        if digests.get(file.path, file.sha256) != file.sha256:
            raise IntegrityError(
                f"{file.path} of {version.title} is not what was pinned at this revision",
                hint="a commit never changes: the server or its mirror is not to be trusted",
            )
    same = digests == {file.path: file.sha256 for file in found.files}
    return not same or pinned.facts != found.facts
