"""Package files for hosts without a package source: of what this machine has installed, and stand-ins."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

_INFO = Path("/var/lib/dpkg/info")
_SCRIPTS = ("preinst", "postinst", "prerm", "postrm", "conffiles")


def repack(name: str, directory: Path) -> None:
    """Write the package file of an installed package into `directory`, with its own scripts.

    Raises RuntimeError where the package is not installed.
    """
    listed = subprocess.run(["dpkg", "--listfiles", name], capture_output=True, text=True)
    if listed.returncode:
        raise RuntimeError(f"{name} is not installed: scripts/system_packages.sh")
    tree = directory / f".{name}"
    tree.mkdir()
    for each in map(Path, listed.stdout.splitlines()):
        copy = tree / each.relative_to("/")
        if each.is_dir():
            copy.mkdir(parents=True, exist_ok=True)
        elif each.is_file() and "/usr/share/" not in str(each):
            shutil.copy2(each, copy)
    fields = "${Architecture} ${Version} ${Depends}"
    shown = subprocess.run(
        ["dpkg-query", "--show", f"--showformat={fields}", name], capture_output=True, text=True
    )
    architecture, version, depends = shown.stdout.split(" ", 2)
    _build(tree, name, version, architecture, depends)
    for script in _SCRIPTS:
        if (_INFO / f"{name}.{script}").is_file():
            shutil.copy2(_INFO / f"{name}.{script}", tree / "DEBIAN" / script)
    _pack(tree, directory, name)


def stand_in(name: str, directory: Path, files: Mapping[str, str] | None = None) -> None:
    """Write a package file of that name into `directory`; its files, path -> text, may all be executed."""
    tree = directory / f".{name}"
    for path, text in (files or {}).items():
        place = tree / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        place.chmod(0o755)
    _build(tree, name, "1", "all", "")
    _pack(tree, directory, name)


def _build(tree: Path, name: str, version: str, architecture: str, depends: str) -> None:
    (tree / "DEBIAN").mkdir(parents=True)
    needs = f"Depends: {depends}\n" if depends else ""
    (tree / "DEBIAN" / "control").write_text(
        f"Package: {name}\nVersion: {version}\nArchitecture: {architecture}\n{needs}"
        "Maintainer: tests <tests@localhost>\nDescription: for tests\n"
    )


def _pack(tree: Path, directory: Path, name: str) -> None:
    subprocess.run(
        ["dpkg-deb", "-Znone", "--root-owner-group", "--build", tree, directory / f"{name}.deb"],
        check=True,
        capture_output=True,
    )
    shutil.rmtree(tree)
