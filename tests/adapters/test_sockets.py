"""Where ssh's sockets lie: in the home, unless ssh cannot take a path from there."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from toolkit.adapters.disk import sockets_of
from toolkit.adapters.hosts.ssh import master_options
from toolkit.domain.hosts.fleet import Host

HOST = Host("gpu1", "ssh", "127.0.0.1", ssh_options=("-o", "Port=1"))
LONGEST = Path("/tmp/" + "x" * 44)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The temporary directory of this machine, where neither of the directories of a session is."""
    top = Path(tempfile.mkdtemp(prefix="t-", dir="/tmp"))
    monkeypatch.setattr("toolkit.adapters.disk.tempfile.gettempdir", lambda: str(top))
    is_dir = Path.is_dir
    monkeypatch.setattr(
        Path, "is_dir", lambda self: is_dir(self) and not str(self).startswith(("/run/", "/dev/"))
    )
    yield top
    shutil.rmtree(top)


@pytest.mark.parametrize(
    "scratch",
    [
        LONGEST.parent / (LONGEST.name + "x"),
        Path("/h/a b"),
        Path("/h/100%"),
        Path('/h/"a'),
        Path("/h/$A"),
    ],
)
def test_a_name_that_ssh_does_not_take_is_another_directorys(
    scratch: Path, elsewhere: Path
) -> None:
    found = sockets_of(scratch)
    assert found.parent == elsewhere
    assert found.stat().st_mode & 0o777 == 0o700
    assert sockets_of(scratch) == found
    assert sockets_of(scratch.parent / "other long name") != found


def test_any_other_directory_keeps_its_own_sockets(elsewhere: Path) -> None:
    for scratch in (LONGEST, Path("/h/müller/.toolkit/run")):
        assert sockets_of(scratch) == scratch
    assert list(elsewhere.iterdir()) == []


def test_where_no_name_fits_ssh_says_so(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.adapters.disk._SOCKET_DIRECTORY", 5)
    assert sockets_of(LONGEST) == LONGEST
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("name", ["y" * 90, "a b", "100%"])
def test_ssh_takes_what_it_is_given_for_a_home_of_any_name(name: str, elsewhere: Path) -> None:
    if shutil.which("ssh") is None:
        pytest.skip("no ssh here")
    words = ["ssh", *master_options(HOST, Path("/home") / name / "run"), HOST.address, "true"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert "Connection refused" in done.stderr
