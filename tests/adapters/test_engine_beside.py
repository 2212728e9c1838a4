"""The role `engine` with packages of its own: an engine is installed, changed by somebody, and installed beside."""

from __future__ import annotations

import hashlib
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.host_lab import HostLab
from toolkit.adapters.engines.packages import uv_binary
from toolkit.adapters.hosts.client import silent

ENGINE = "vllm-0.0.1-cpu-py3-00000000"
INFO = "vllm-0.0.1.dist-info"
FILES = {
    "vllm_stub.py": "def main():\n    print('0.0.1')\n",
    f"{INFO}/METADATA": "Metadata-Version: 2.1\nName: vllm\nVersion: 0.0.1\n",
    f"{INFO}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    f"{INFO}/entry_points.txt": "[console_scripts]\nvllm = vllm_stub:main\n",
}


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """A directory with the lock of an engine and its one package."""
    wheel = tmp_path / "vllm-0.0.1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as packed:
        for name, text in FILES.items():
            packed.writestr(name, text)
        packed.writestr(f"{INFO}/RECORD", "".join(f"{name},,\n" for name in (*FILES,)))
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (tmp_path / "requirements.lock").write_text(f"vllm==0.0.1 --hash=sha256:{digest}\n")
    return tmp_path


def test_an_engine_that_is_installed_beside_runs_in_its_place(
    real_host: HostLab, wheels: Path
) -> None:
    lab, place = real_host, Path(real_host.host.host.root, "engines", ENGINE)
    _install(lab, wheels)
    lab.host.seal_engine(ENGINE, silent)
    (script,) = place.glob("lib/*/site-packages/vllm_stub.py")
    script.write_text("def main():\n    print('leaked')\n")
    changed = lab.host.check_engine(ENGINE, silent).faults
    assert changed == (f"{script.relative_to(place)}: was changed",)

    # What an earlier repair left is no base for the next one.
    beside = place.with_name(f".{ENGINE}.anew")
    beside.mkdir()
    (beside / ".complete").touch()
    _install(lab, wheels, engine_beside=True)
    assert lab.host.check_engine(ENGINE, silent).faults == changed
    lab.host.swap_engine(ENGINE, silent)
    found = lab.host.check_engine(ENGINE, silent)
    assert (found.sealed, found.faults) == (True, ())
    assert ENGINE in lab.host.observe().engines
    assert not beside.exists()
    said = subprocess.run([place / "bin/vllm"], capture_output=True, text=True, check=True)
    assert said.stdout == "0.0.1\n"
    lab.host.remove("engines", ENGINE)
    assert [each for each in place.parent.iterdir() if ENGINE in each.name] == []


def test_what_an_installation_left_that_found_no_room_is_replaced(
    real_host: HostLab, wheels: Path
) -> None:
    lab, place = real_host, Path(real_host.host.host.root, "engines", ENGINE)
    # uv takes no directory for an environment in which it has not come to write `pyvenv.cfg`.
    (place / "bin").mkdir(parents=True)
    (place / "bin/python").symlink_to("/usr/bin/python3")
    _install(lab, wheels)
    assert ENGINE in lab.host.observe().engines
    said = subprocess.run([place / "bin/vllm"], capture_output=True, text=True, check=True)
    assert said.stdout == "0.0.1\n"


def _install(lab: HostLab, wheels: Path, **more: Any) -> None:
    python = lab.host.observe().python
    lab.play(
        "engine",
        {
            "engine_id": ENGINE,
            "engine_version": "0.0.1",
            "engine_system_packages": [],
            "engine_proof": ["vllm", "--version"],
            "engine_python": python,
            "engine_wheelhouse": str(wheels),
            "engine_uv": str(uv_binary()),
            **more,
        },
    )
