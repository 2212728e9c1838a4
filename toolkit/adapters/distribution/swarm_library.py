"""Pinned wheels of libtorrent for the Pythons of hosts. A host unpacks its wheel for the swarm alone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from toolkit.adapters.engines.wheelhouse import Wheelhouse
from toolkit.adapters.interruption import Interruption
from toolkit.adapters.store.files import replace_text
from toolkit.domain.accelerator import Accelerator
from toolkit.domain.engines.engine import EngineLock
from toolkit.errors import ToolkitError

VERSION = "2.1.1"
PINS = {
    "3.9": "1e1d59aa8df8ea33491d29c243cc20150cb88b1e9f50e6bf8d3351cda15d8806",
    "3.10": "d54a0de00d98261f90d970d7572b024a0fc90939e241df61dd134513801ff8ac",
    "3.11": "36c823ddd89283cd37f03a8cc0dae17f096ba45247e029713ee0f8f00b8ecf08",
    "3.12": "90c11511a67c118e2fd6043c717d42663e60da03ab8d4851b2ad5a500a5e0134",
    "3.13": "c81d768e04915c1627ac108a6abfa64c740bdd1a1634d5fffcdc56ed6e6d915f",
}
MACHINE = "x86_64"


def library_name(python: str) -> str:
    """Return the library's directory name on a host with that Python: `libtorrent-2.1.1-cp311`."""
    return f"libtorrent-{VERSION}-cp{python.replace('.', '')}"


class Wheels:
    """The wheels under `home`, each downloaded when first needed. A failed download is not repeated.

    `pins` is Python version -> sha256 of its wheel.
    """

    def __init__(
        self,
        home: Path,
        interruption: Interruption | None = None,
        pins: Mapping[str, str] = PINS,
    ) -> None:
        self._home, self._pins = home, pins
        self._wheelhouse = Wheelhouse(home, interruption=interruption)
        self._found: dict[str, Path] = {}
        self._lacking: dict[str, str] = {}

    def lacking(self, python: str, machine: str = MACHINE) -> str:
        """Return why there is no wheel for such a host, empty if there is one; downloads it."""
        if machine != MACHINE:
            return f"no libtorrent for {machine}"
        if python not in self._pins:
            return f"no libtorrent for Python {python}"
        if python not in self._found and python not in self._lacking:
            try:
                directory = self._wheelhouse.fill(self._written(python))
                self._found[python] = next(directory.glob("*.whl"))
            except (ToolkitError, OSError) as error:
                self._lacking[python] = str(error)
        return self._lacking.get(python, "")

    def wheel(self, python: str) -> tuple[Path, str]:
        """Return the wheel for a Python for which `lacking` is empty, and its sha256."""
        return self._found[python], self._pins[python]

    def wants(self, sha256: str) -> bool:
        """Whether `sha256` belongs to a wheel that is not here yet; downloads nothing."""
        python = self._python_of(sha256)
        return bool(python) and not self._wheelhouse.complete(self._lock(python))

    def take_in(self, wheel: Path, sha256: str) -> None:
        """Copy the file `wheel`, for which `wants` is true, to the wheels; raises IntegrityError on other bytes."""
        self._wheelhouse.take_in(self._written(self._python_of(sha256)), [wheel], lambda _: None)

    def recheck(self) -> tuple[str, ...]:
        """Hash the wheels on this machine, remove the wrong ones, and return their names."""
        return tuple(
            name for python in self._found for name in self._wheelhouse.recheck(self._lock(python))
        )

    def _python_of(self, sha256: str) -> str:
        return next((each for each, digest in self._pins.items() if digest == sha256), "")

    def _written(self, python: str) -> EngineLock:
        """Return the wheel's lock, and write its text to the disk."""
        lock = self._lock(python)
        path = Path(lock.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Another command may read it now.
        replace_text(path, self._text(python), mode=0o644)
        return lock

    def _lock(self, python: str) -> EngineLock:
        return EngineLock(
            name="libtorrent",
            version=VERSION,
            accelerator=Accelerator.CPU,
            python=python,
            digest=hashlib.sha256(self._text(python).encode()).hexdigest(),
            path=str(self._home / "wheelhouse" / f".{library_name(python)}.txt"),
            packages=1,
        )

    def _text(self, python: str) -> str:
        return f"libtorrent=={VERSION} --hash=sha256:{self._pins[python]}\n"
