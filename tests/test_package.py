"""`pip install .` gives a working toolkit: playbooks, registry and engine locks travel inside the wheel."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.wheel import ROOT, build_wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


def test_everything_a_deployment_needs_is_inside(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    tracked = subprocess.run(
        [
            "git",
            "ls-files",
            "playbooks",
            "toolkit/documents",
            "toolkit/engines",
            "toolkit/hostside",
            "toolkit/prices",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    wanted = {each.replace("playbooks/", "toolkit/_shipped/playbooks/", 1) for each in tracked}
    assert wanted - inside == set()
    assert {"toolkit/_shipped/model_registry.yaml"} <= inside
    assert {name.split("/")[0] for name in inside if ".dist-info/" not in name} == {"toolkit"}


def test_the_installed_toolkit_works_away_from_the_checkout(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    install = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(site)]
    subprocess.run([sys.executable, *install, str(wheel)], check=True, timeout=120)
    environment = {**os.environ, "PYTHONPATH": str(site), "TOOLKIT_HOME": str(tmp_path / "home")}
    place = tmp_path / "elsewhere"
    place.mkdir()

    def toolkit(*words: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "toolkit.cli.main", *words],
            cwd=place,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout

    toolkit("registry", "init")
    assert (place / "model_registry.yaml").exists()
    assert "qwen-7b" in toolkit("registry", "list")
    assert "vllm-0.32.0-cpu" in toolkit("engine", "list")
    shown = subprocess.run(
        [sys.executable, "-c", "import toolkit.adapters.ansible.playbooks as p; print(p.playbook_directory())"],
        cwd=place, env=environment, capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    assert shown == str(site / "toolkit" / "_shipped" / "playbooks")
    assert (Path(shown) / "provision.yml").exists()
