"""Engine locks and engines: resolve one anew, install one on a host."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from toolkit.config.engine_locks import local_directory, lock_file_name, read_lock
from toolkit.domain.accelerator import Accelerator
from toolkit.domain.engine import EngineLock
from toolkit.domain.facts import HostFacts
from toolkit.domain.model import EngineSpec
from toolkit.domain.requirements import parse_requirements
from toolkit.errors import NothingSuitableError, RefusedError
from toolkit.planning.release.engine_choice import PackageChange, compare_locks
from toolkit.workflows.change.send import engine_on_host
from toolkit.workflows.tools import Tools

# Version, accelerator, Python -> text of a lock.
Resolve = Callable[[str, Accelerator, str], str]


@dataclass(frozen=True, slots=True)
class Relocked:
    """A lock made anew. `before` is the one it was compared with, `written` whether a file changed."""

    lock: EngineLock
    before: EngineLock | None
    changes: tuple[PackageChange, ...]
    written: bool


def relock(
    version: str,
    accelerator: Accelerator,
    python: str,
    *,
    locks: Iterable[EngineLock],
    home: Path,
    resolve: Resolve,
) -> Relocked:
    """Resolve `version` anew and keep the lock under `home`; a shipped lock is never written to.

    Equal to the lock in use, it is not written at all. Raises SourceError where it does not resolve.
    """
    wanted = (version, accelerator, python)
    before = next((x for x in locks if (x.version, x.accelerator, x.python) == wanted), None)
    text = resolve(version, accelerator, python)
    old = Path(before.path).read_text() if before else ""
    changes = compare_locks(parse_requirements(old), parse_requirements(text))
    if before is not None and not changes:
        return Relocked(before, before, (), written=False)
    path = local_directory(home) / lock_file_name(EngineSpec("vllm", version), accelerator, python)
    _write(path, text)
    return Relocked(read_lock(path), before, changes, written=True)


@dataclass(frozen=True, slots=True)
class InstallPlan:
    """What installing an engine on a host would change, and why."""

    lock: EngineLock
    host: str
    reasons: tuple[str, ...]

    @property
    def empty(self) -> bool:
        """Whether the host has the engine and all it needs."""
        return not self.reasons


def plan_install(lock: EngineLock, facts: HostFacts) -> InstallPlan:
    """Return what is to do; raises NothingSuitableError where the lock is for another Python."""
    if lock.python != facts.python:
        raise NothingSuitableError(
            f"{lock.id} is for Python {lock.python}; {facts.name} has {facts.python}",
            hint=f"toolkit engine lock {lock.version} --accelerator {lock.accelerator} "
            f"--python {facts.python}",
        )
    reasons = []
    if lock.id not in facts.engines:
        reasons.append(f"{lock.packages} packages of {lock.id} are not on the host")
    if lock.accelerator is facts.accelerator and facts.missing_libraries:
        reasons.append(f"the host lacks {', '.join(facts.missing_libraries)}")
    return InstallPlan(lock, facts.name, tuple(reasons))


def install_engine(
    lock: EngineLock, tools: Tools, confirm: Callable[[InstallPlan], bool]
) -> InstallPlan:
    """Bring `lock` to the host: wheels to the ops machine first, then Ansible; nothing to do is fast.

    Raises RefusedError where `confirm` says no, SourceError, IntegrityError, HostError or BusyError.
    """
    facts = tools.host.observe()
    plan = plan_install(lock, facts)
    if plan.empty:
        return plan
    if not confirm(plan):
        raise RefusedError("not confirmed; nothing was changed", hint="add --yes to go ahead")
    with tools.host.lock(tools.owner):
        variables = engine_on_host(tools, lock.id, there=lock.id in facts.engines)
        tools.converge.run("engine", tools.host.host, variables, tools.say)
    return plan


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        file.write(text)
    fresh = Path(file.name)
    fresh.chmod(0o644)
    fresh.replace(path)
