"""libtorrent for hosts: a pinned wheel for each Python that they may have, unpacked there for the swarm alone."""

from __future__ import annotations

import hashlib
from pathlib import Path

from toolkit.adapters.wheelhouse import Wheelhouse
from toolkit.domain.engine import EngineLock
from toolkit.domain.model import Accelerator

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


def unfit(python: str, machine: str) -> str:
    """Return why there is no wheel for such a host, or nothing."""
    if machine != _MACHINE:
        return f"no libtorrent for {machine}"
    return "" if python in _SHA256 else f"no libtorrent for Python {python}"


class SwarmLibrary:
    """The wheels under `home`, downloaded when first asked for."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def wheel(self, python: str) -> tuple[Path, str]:
        """Return the wheel for that Python and its sha256; raises SourceError or IntegrityError."""
        sha256 = _SHA256[python]
        text = f"libtorrent=={VERSION} --hash=sha256:{sha256}\n"
        path = self._home / "wheelhouse" / f".{library_name(python)}.lock.txt"
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
        directory = Wheelhouse(self._home).fill(lock)
        return next(directory.glob("*.whl")), sha256
