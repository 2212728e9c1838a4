"""libtorrent for hosts: a pinned wheel for each Python that they may have, unpacked there for the swarm alone."""

from __future__ import annotations

import hashlib
from pathlib import Path

from toolkit.adapters.interruption import Interruption
from toolkit.adapters.wheelhouse import Wheelhouse
from toolkit.domain.engine import EngineLock
from toolkit.domain.model import Accelerator
from toolkit.errors import ToolkitError

VERSION = "2.1.1"
_SHA256 = {
    "3.9": "1e1d59aa8df8ea33491d29c243cc20150cb88b1e9f50e6bf8d3351cda15d8806",
    "3.10": "d54a0de00d98261f90d970d7572b024a0fc90939e241df61dd134513801ff8ac",
    "3.11": "36c823ddd89283cd37f03a8cc0dae17f096ba45247e029713ee0f8f00b8ecf08",
    "3.12": "90c11511a67c118e2fd6043c717d42663e60da03ab8d4851b2ad5a500a5e0134",
    "3.13": "c81d768e04915c1627ac108a6abfa64c740bdd1a1634d5fffcdc56ed6e6d915f",
}
_MACHINE = "x86_64"


def library_name(python: str) -> str:
    """Return the name of its directory on a host with that Python: `libtorrent-2.1.1-cp311`."""
    return f"libtorrent-{VERSION}-cp{python.replace('.', '')}"


class Wheels:
    """The wheels under `home`, each downloaded when first asked for, and asked for once."""

    def __init__(self, home: Path, interruption: Interruption | None = None) -> None:
        self._home, self._interruption = home, interruption
        self._found: dict[str, Path] = {}
        self._lacking: dict[str, str] = {}

    def lacking(self, python: str, machine: str) -> str:
        """Return why there is no wheel for such a host, or nothing where there is one now."""
        if machine != _MACHINE:
            return f"no libtorrent for {machine}"
        if python not in _SHA256:
            return f"no libtorrent for Python {python}"
        if python not in self._found and python not in self._lacking:
            try:
                self._found[python] = self._download(python)
            except (ToolkitError, OSError) as error:
                self._lacking[python] = str(error)
        return self._lacking.get(python, "")

    def wheel(self, python: str) -> tuple[bytes, str]:
        """Return the wheel for a Python that does not lack one, and its sha256."""
        return self._found[python].read_bytes(), _SHA256[python]

    def _download(self, python: str) -> Path:
        text = f"libtorrent=={VERSION} --hash=sha256:{_SHA256[python]}\n"
        path = self._home / "wheelhouse" / f".{library_name(python)}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        lock = EngineLock(
            name="libtorrent",
            version=VERSION,
            accelerator=Accelerator.CPU,
            python=python,
            digest=hashlib.sha256(text.encode()).hexdigest(),
            path=str(path),
            packages=1,
        )
        wheelhouse = Wheelhouse(self._home, interruption=self._interruption)
        return next(wheelhouse.fill(lock).glob("*.whl"))
