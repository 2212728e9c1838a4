"""uv: resolves an engine's version into a hash-locked requirement set."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import uv

from toolkit.domain.accelerator import Accelerator
from toolkit.domain.bounds import INDEX_MEMORY
from toolkit.domain.engines.requirements import LockedPackage, format_requirements
from toolkit.domain.excerpt import excerpt
from toolkit.domain.outside import plainly, text_of
from toolkit.errors import SourceError

# The oldest C library for which all wheels of the engine exist; hosts need this or a newer one.
PLATFORM = "x86_64-manylinux_2_31"
_LOCKS = Path(__file__).parents[2] / "engines"
# A set of two hundred packages takes a minute on a slow line. uv itself gives up a silent index, and never a slow one.
_SECONDS = 900
_TOO_MUCH = f"the package index gave more than uv reads in {INDEX_MEMORY // 2**30} GiB of memory"
_SETTING = re.compile(r"^(?P<section>[^.]+)\.(?P<key>[a-z-]+)=(?P<value>.*)$")


def resolve(wanted: Iterable[str], accelerator: Accelerator, python: str) -> str:
    """Return the text of a lock of the requirements `wanted` for hosts with the interpreter `python` (`3.12`).

    Asks the package index. The lock has only files that fit such hosts. Raises SourceError with uv's own words if
    the set does not resolve.
    """
    overrides = _LOCKS / f"overrides-{accelerator}.txt"
    options = ["--overrides", str(overrides)] if overrides.exists() else []
    text = _compile("".join(f"{each}\n" for each in wanted), accelerator, python, options)
    return format_requirements(
        LockedPackage(each.name, each.version, tuple(sha256 for _, sha256 in each.wheels))
        for each in _packages(text)
    )


def newest(package: str, accelerator: Accelerator, python: str) -> str:
    """Return the newest version of a package that has files for such hosts; raises SourceError."""
    text = _compile(f"{package}\n", accelerator, python, ["--no-deps"])
    return next((each.version for each in _packages(text)), "")


def locate(pin: str, accelerator: Accelerator, python: str) -> tuple[str, ...]:
    """Return the addresses of the files of one pinned package that fit such hosts; raises SourceError.

    Only uv knows how to select the index of some packages.
    """
    text = _compile(f"{pin}\n", accelerator, python, ["--no-deps"])
    return tuple(url for each in _packages(text) for url, _ in each.wheels)


class _Package(NamedTuple):
    """A package in uv's lock; `wheels` are pairs of address and SHA-256."""

    name: str
    version: str
    wheels: list[tuple[str, str]]


def _packages(text: str) -> list[_Package]:
    """Return the packages of a lock that uv wrote (PEP 751); raises SourceError where it is none."""
    try:
        return [
            _Package(
                text_of(each["name"], "a name"),
                text_of(each["version"], "a version"),
                [
                    (text_of(wheel["url"], "a URL"), text_of(wheel["hashes"]["sha256"], "a digest"))
                    for wheel in each["wheels"]
                ],
            )
            for each in tomllib.loads(text)["packages"]
        ]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SourceError(
            f"uv wrote a lock that cannot be read: {excerpt(plainly(error))}",
            hint="see whether the disk is full, and reinstall the toolkit, which brings its own uv",
        ) from error


def uv_binary() -> Path:
    """Return the uv executable that came with the toolkit; hosts get a copy of it."""
    return Path(uv.find_uv_bin())


def _compile(requirements: str, accelerator: Accelerator, python: str, options: list[str]) -> str:
    """Return the lock that uv writes, in TOML."""
    # fmt: off
    command = [
        *memory_bound(), str(uv_binary()), "pip", "compile", "-", "--quiet", "--no-header",
        "--format", "pylock.toml", "--only-binary", ":all:",
        "--python-version", python, "--python-platform", PLATFORM, *options,
    ]
    # fmt: on
    problems = []
    for extra, settings in _attempts(accelerator):
        try:
            done = subprocess.run(
                [*command, *extra],
                input=requirements,
                capture_output=True,
                text=True,
                env={**os.environ, **settings},
                check=False,
                timeout=_SECONDS,
            )
        except subprocess.TimeoutExpired:
            problems.append(f"the package index gave no whole answer within {_SECONDS:g} s")
            continue
        if done.returncode == 0:
            return done.stdout
        many = done.returncode < 0 and "memory allocation" in done.stderr
        problems.append(_TOO_MUCH if many else done.stderr.strip())
    wanted = f"{requirements.splitlines()[0]} for {accelerator} on Python {python}"
    raise SourceError(
        f"{wanted} does not resolve: {problems[0]}",
        hint="run this on an ops machine whose package index has wheels for that Python",
    )


def memory_bound() -> list[str]:
    """Return the words that bound the memory of a command behind them, where the system has a program for that.

    Neither uv nor pip has a bound on the pages of an index.
    """
    program = shutil.which("prlimit")
    return [program, f"--data={INDEX_MEMORY}"] if program else []


def _attempts(accelerator: Accelerator) -> Iterator[tuple[list[str], dict[str, str]]]:
    """Yield the places to look, nearest first: uv options and environment."""
    settings = pip_settings()
    links = settings.pop("UV_FIND_LINKS", "")
    if accelerator.traits.has_devices:
        # Without find-links: a CPU build there would count as the newer one.
        yield [], settings
        return
    if links:
        yield [], {**settings, "UV_FIND_LINKS": links}
    # Builds for the CPU alone live in an index of their own, which uv knows by this name.
    yield ["--torch-backend", "cpu"], settings


def pip_settings() -> dict[str, str]:
    """Return pip's own find-links and index as uv's environment: both look in the same places."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pip", "config", "list"],
        capture_output=True,
        text=True,
        check=False,
    )
    found: dict[str, str] = {}
    for line in done.stdout.splitlines():
        setting = _SETTING.match(line.strip())
        if setting is None:
            continue
        # pip writes a value as Python does, so lines of one that has several come as \n.
        try:
            text = str(ast.literal_eval(setting["value"]))
            value = text.encode().decode().split()
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if setting["key"] == "find-links":
            found["UV_FIND_LINKS"] = ",".join(value)
        if setting["key"] == "index-url":
            found["UV_DEFAULT_INDEX"] = "".join(value[:1])
    return {key: value for key, value in found.items() if value and key not in os.environ}
