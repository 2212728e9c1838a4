"""The wheel goes into Python 3.11 to 3.13 by `uv tool`, pipx and pip, and works in an empty directory."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.wheel import UV, VERSIONS, build_wheel, interpreter

PIPX = "pipx==1.9.0"
# Each way of installing and each version of Python. pipx and pip take 20 s each, so each of them has one version.
WAYS = [*(("uv tool", version) for version in VERSIONS), ("pipx", "3.12"), ("pip", "3.13")]


def by_uv_tool(wheel: Path, python: Path, place: Path) -> Path:
    environment = {"UV_TOOL_DIR": f"{place}/tools", "UV_TOOL_BIN_DIR": f"{place}/bin"}
    run([str(UV), "tool", "install", "--python", str(python), str(wheel)], environment)
    return place / "bin" / "toolkit"


def by_pipx(wheel: Path, python: Path, place: Path) -> Path:
    environment = {"PIPX_HOME": f"{place}/pipx", "PIPX_BIN_DIR": f"{place}/bin"}
    run(
        [str(UV), "tool", "run", "--quiet", PIPX, "install", "--python", str(python), str(wheel)],
        environment,
    )
    return place / "bin" / "toolkit"


def by_pip(wheel: Path, python: Path, place: Path) -> Path:
    run([str(python), "-m", "venv", f"{place}/venv"])
    run([f"{place}/venv/bin/pip", "install", "--quiet", str(wheel)])
    return place / "venv" / "bin" / "toolkit"


INSTALL: dict[str, Callable[[Path, Path, Path], Path]] = {
    "uv tool": by_uv_tool,
    "pipx": by_pipx,
    "pip": by_pip,
}


def run(command: list[str], environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        command,
        # The machine's certificates, as pip has them: an index may be a mirror with a certificate of its own.
        # Modules that no command loads need not be compiled.
        env={
            **os.environ,
            "UV_SYSTEM_CERTS": "true",
            "PIP_COMPILE": "0",
            **(environment or {}),
        },
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.mark.parametrize(("way", "version"), WAYS, ids=lambda each: each.replace(" ", "-"))
def test_an_installed_toolkit_works_in_an_empty_directory(
    wheel: Path, tmp_path: Path, way: str, version: str
) -> None:
    program = INSTALL[way](wheel, interpreter(version), tmp_path)
    elsewhere = tmp_path / "empty"
    elsewhere.mkdir()
    # Nothing of the test's own environment helps: the installed program finds all of its parts itself.
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path / "home"),
        "TOOLKIT_HOME": str(tmp_path / "home" / ".toolkit"),
    }

    def toolkit(*words: str, code: int = 0) -> str:
        done = subprocess.run(
            [program, *words],
            cwd=elsewhere,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    assert "Deploy open-weights models" in toolkit("--help")
    toolkit("registry", "list", code=2)
    assert list(elsewhere.iterdir()) == []
    toolkit("registry", "init")
    listed = json.loads(toolkit("registry", "list", "--json"))
    assert "qwen-7b" in {each["model"] for each in listed["models"]}
    assert "vllm-0.32.0-cpu" in toolkit("engine", "list")
    assert {"model_registry.yaml"} <= {each.name for each in elsewhere.iterdir()}
    answered = json.loads(toolkit("status", "--json"))
    assert set(answered) >= {"hosts"}
    assert _plays(program.resolve().parent, environment) == 0


def _plays(binaries: Path, environment: dict[str, str]) -> int:
    """Return the exit code of Ansible's check of the playbook that is inside the installed package."""
    asked = (
        "import subprocess, sys, pathlib\n"
        "from toolkit.adapters.ansible.playbooks import playbook_directory\n"
        "place = pathlib.Path(playbook_directory())\n"
        "program = pathlib.Path(sys.executable).parent / 'ansible-playbook'\n"
        "command = [program, '--syntax-check', '-i', 'localhost,', place / 'provision.yml']\n"
        "sys.exit(subprocess.run(command, cwd=place).returncode)\n"
    )
    # Ansible asks for a locale of UTF-8.
    environment = {**environment, "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        [binaries / "python", "-c", asked], env=environment, capture_output=True, timeout=120
    ).returncode
