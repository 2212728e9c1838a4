"""Engine locks: resolve one anew, and compare what the toolkit uses of the engine with what its package has."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.adapters.store.files import replace_text
from toolkit.config.engine_locks import local_directory, lock_file_name, read_lock
from toolkit.domain.accelerator import Accelerator
from toolkit.domain.engines.engine import EngineLock
from toolkit.domain.engines.requirements import LockedPackage, parse_requirements
from toolkit.domain.registry.release_parts import EngineSpec
from toolkit.errors import RefusedError, SourceError
from toolkit.planning.engines import engine_named
from toolkit.planning.engines.port import Missing
from toolkit.planning.release.engine_choice import PackageChange, compare_locks

# Requirements, accelerator, Python -> text of a lock.
Resolve = Callable[[tuple[str, ...], Accelerator, str], str]
# Package at a version, accelerator, Python, patterns of files -> path -> text.
ReadSources = Callable[[str, Accelerator, str, Collection[str]], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Relocked:
    """A lock made anew. `before` is the one it was compared with, `written` whether a file changed.

    `missing` is what the toolkit uses and the engine's package lacks, `unchecked` why the package was not read. `unfit`
    is what among the locked packages does not fit together.
    """

    lock: EngineLock
    before: EngineLock | None
    changes: tuple[PackageChange, ...]
    written: bool
    missing: tuple[Missing, ...] = ()
    unchecked: str = ""
    unfit: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "id": self.lock.id,
            "path": self.lock.path,
            "written": self.written,
            "changes": [
                {"name": each.name, "before": each.before, "after": each.after}
                for each in self.changes
            ],
            "missing": [each.words for each in self.missing],
            "unchecked": self.unchecked,
            "unfit": list(self.unfit),
        }


def with_extras(resolve: Resolve, extras: Collection[str]) -> Resolve:
    """Return `resolve`, with `extras` of the engine's package: `vllm[audio]==0.32.0`."""
    if not extras:
        return resolve

    def extended(wanted: tuple[str, ...], accelerator: Accelerator, python: str) -> str:
        name, equals, version = wanted[0].partition("==")
        package = f"{name}[{','.join(sorted(set(extras)))}]{equals}{version}"
        return resolve((package, *wanted[1:]), accelerator, python)

    return extended


def relock(
    engine: EngineSpec,
    accelerator: Accelerator,
    python: str,
    *,
    locks: Iterable[EngineLock],
    home: Path,
    resolve: Resolve,
    read_sources: ReadSources,
    force: bool = False,
) -> Relocked:
    """Resolve `engine` anew and keep the lock under `home`; a shipped lock is never written to.

    Equal to the lock in use, it is not written at all. Raises SourceError where it does not resolve, and without
    `force` RefusedError where the engine lacks a flag, a variable or a metric that the toolkit uses, or where the
    packages do not fit together.
    """
    port = engine_named(engine.name)
    pin = f"{port.distributions[accelerator]}=={engine.version}"
    text = resolve((pin, *port.companions.get(accelerator, ())), accelerator, python)
    packages = parse_requirements(text)
    unfit = _unfit(engine.name, accelerator, packages)
    if unfit and not force:
        raise RefusedError(
            f"{engine.name} {engine.version} resolves to packages that do not fit together: {'; '.join(unfit)}; "
            "no lock was written",
            hint="lock another version, or this one all the same with --force",
        )
    missing, unchecked = _missing(engine, pin, accelerator, python, read_sources)
    needed = [each.words for each in missing if each.needed]
    if needed and not force:
        raise RefusedError(
            f"{engine.name} {engine.version} lacks what this toolkit uses: {', '.join(needed)}; no lock was written",
            hint="use a toolkit that knows this version, or lock it all the same with --force",
        )
    before = _lock_in_use(locks, engine, accelerator, python)
    old = Path(before.path).read_text() if before else ""
    changes = compare_locks(parse_requirements(old), packages)
    if before is not None and not changes:
        return Relocked(before, before, (), False, missing, unchecked, unfit)
    path = local_directory(home) / lock_file_name(engine, accelerator, python)
    _write(path, text)
    return Relocked(read_lock(path), before, changes, True, missing, unchecked, unfit)


def unfit_of(lock: EngineLock) -> tuple[str, ...]:
    """Return, in words, the packages of a lock that do not fit together."""
    return _unfit(lock.name, lock.accelerator, parse_requirements(Path(lock.path).read_text()))


def _unfit(
    name: str, accelerator: Accelerator, packages: Iterable[LockedPackage]
) -> tuple[str, ...]:
    versions = {each.name: each.version for each in packages}
    return engine_named(name).unfit_packages(accelerator, versions)


def _missing(
    engine: EngineSpec, pin: str, accelerator: Accelerator, python: str, read: ReadSources
) -> tuple[tuple[Missing, ...], str]:
    """Return the names that the package lacks, and why they are not known where they are not."""
    port = engine_named(engine.name)
    try:
        texts = read(pin, accelerator, python, port.sources)
        return port.missing_names(engine.version, texts), ""
    except (SourceError, SyntaxError) as error:
        return (), getattr(error, "message", "") or f"its sources are not understood: {error}"


def _lock_in_use(
    locks: Iterable[EngineLock], engine: EngineSpec, accelerator: Accelerator, python: str
) -> EngineLock | None:
    wanted = (engine.name, engine.version, accelerator, python)
    return next((x for x in locks if (x.name, x.version, x.accelerator, x.python) == wanted), None)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_text(path, text, mode=0o644)
