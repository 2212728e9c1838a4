"""Lock files -> EngineLock. A lock made on this ops machine stands before a shipped one."""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from pathlib import Path

from toolkit.config.text_file import decoded, read_bytes
from toolkit.domain.accelerator import Accelerator
from toolkit.domain.bounds import SMALL_FILE
from toolkit.domain.engines.engine import ENGINES, EngineLock
from toolkit.domain.engines.requirements import parse_requirements
from toolkit.domain.registry.release_parts import EngineSpec
from toolkit.errors import InputError

SHIPPED = Path(__file__).parent.parent / "engines"
# Packages with which an engine decodes sound: those of its extra `audio`.
_DECODERS = ("av", "soundfile")
_FILE_NAME = re.compile(
    rf"^(?P<name>{'|'.join(ENGINES)})-(?P<version>[0-9][0-9a-z.]*)-(?P<accelerator>{'|'.join(Accelerator)})"
    r"-py(?P<major>3)(?P<minor>[0-9]+)\.lock$"
)


def lock_file_name(engine: EngineSpec, accelerator: Accelerator, python: str) -> str:
    """Return the file name of a lock: `vllm-0.32.0-cpu-py311.lock`."""
    return f"{engine.name}-{engine.version}-{accelerator}-py{python.replace('.', '')}.lock"


def local_directory(home: Path) -> Path:
    """Return where the ops machine keeps the locks it made itself."""
    return home / "engines"


def read_lock(path: Path) -> EngineLock:
    """Return the lock in `path`; raises InputError where name or text are not a lock's."""
    named = _FILE_NAME.match(path.name)
    if named is None:
        raise InputError(
            f"{path} is not named like an engine lock",
            hint=f"name it like {lock_file_name(EngineSpec('vllm', '0.32.0'), Accelerator.CPU, '3.11')}",
        )
    try:
        text = read_bytes(path, limit=SMALL_FILE)
        packages = parse_requirements(decoded(path, text))
    except (InputError, ValueError) as error:
        raise InputError(
            f"cannot read the engine lock {path}: {error}",
            hint=f"toolkit engine lock {named['version']} --accelerator {named['accelerator']}",
        ) from error
    return EngineLock(
        name=named["name"],
        version=named["version"],
        accelerator=Accelerator(named["accelerator"]),
        python=f"{named['major']}.{named['minor']}",
        digest=hashlib.sha256(text).hexdigest(),
        path=str(path),
        packages=len(packages),
        sound=any(each.name in _DECODERS for each in packages),
        names=frozenset(each.name for each in packages),
    )


def read_locks(home: Path) -> tuple[EngineLock, ...]:
    """Return every lock known here, local ones first, then the shipped, each ordered by name."""
    local: list[Path] = []
    # Of a home that this user may not enter nobody knows any; what needs the home says so.
    with suppress(PermissionError):
        local = sorted(local_directory(home).glob("*.lock"))
    return tuple(read_lock(path) for path in (*local, *sorted(SHIPPED.glob("*.lock"))))


def is_shipped(lock: EngineLock) -> bool:
    """Whether the lock came with the toolkit rather than from `toolkit engine lock`."""
    return Path(lock.path).parent == SHIPPED
