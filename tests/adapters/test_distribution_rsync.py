"""The command line of rsync, and the reading of its output."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from toolkit.adapters.distribution import rsync
from toolkit.adapters.distribution.delivery import Delivery, Need, Throttle
from toolkit.adapters.distribution.port import Progress, Tree
from toolkit.adapters.distribution.rsync import can_rsync, send_by_rsync
from toolkit.adapters.hosts.client import Clients
from toolkit.adapters.interruption import Interruption
from toolkit.domain.files.snapshot import FileDigest
from toolkit.domain.hosts.fleet import Host
from toolkit.errors import HostError

FILES = (FileDigest("a", 1000, "0" * 64), FileDigest("sub/b c", 500, "1" * 64))
RSYNC = f"""#!{sys.executable}
import json, sys
with open(__file__ + ".called", "w") as file:
    json.dump({{"argv": sys.argv[1:], "list": sys.stdin.read()}}, file)
sys.stdout.write("\\r            400  26%    1.00MB/s    0:00:01  \\r          1,500 not this")
sys.stdout.write("\\n          1600 100%    1.00MB/s    0:00:00 (xfr#2, to-chk=0/2)\\n")
print("ssh: it has said no", file=sys.stderr)
sys.exit(CODE)
"""


class Finished(Delivery):
    """A delivery to a host on which every file is right."""

    def finish(self, host: Host) -> None:
        self.report(Progress(host.name, words="finished"))

    def drop_pieces(self, host: Host) -> None:
        self.report(Progress(host.name, words="without the pieces of a swarm"))


class Called:
    """A host to which a program of the tests, named rsync, sends."""

    def __init__(self, path: Path, address: str) -> None:
        self.path, self.heard = path, list[Progress]()
        options = ("-o", "ProxyCommand=ssh -W %h:%p jump")
        self.host = Host("gpu1", "ssh", address, ssh_options=options)
        self.need = Need(self.host, FILES, {}, "3.11", "x86_64", (), "/srv/snapshots/in", True)
        interruption = Interruption()
        self.delivery = Finished(
            Tree("snapshots", "v1", "/store/v1", FILES),
            Clients(path / "run"),
            Throttle(0, interruption.sleep),
            self.heard.append,
            interruption,
        )

    def send(self, limit: int = 0, code: int = 0) -> tuple[list[str], list[str]]:
        """Return rsync's arguments and the paths on its input."""
        program = self.path / "rsync"
        program.write_text(RSYNC.replace("CODE", str(code)))
        program.chmod(0o755)
        send_by_rsync(self.delivery, self.need, limit)
        called = json.loads((self.path / "rsync.called").read_text())
        return called["argv"], called["list"].split("\0")


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> Iterator[Called]:
    # Short: a directory for sockets lies below it, and with a long name it would lie outside, where it stays.
    place = Path(tempfile.mkdtemp(prefix="tkr-"))
    monkeypatch.setenv("PATH", f"{place}:/usr/bin:/bin")
    yield Called(place, "10.0.0.1")
    shutil.rmtree(place)


def test_it_sends_what_is_missing_and_tells_how_far_it_is(called: Called) -> None:
    words, paths = called.send()
    assert paths == ["a", "sub/b c"]
    assert words[-2:] == ["/store/v1/", "10.0.0.1:/srv/snapshots/in/"]
    assert "'ProxyCommand=ssh -W %h:%p jump'" in words[words.index("--rsh") + 1]
    assert not any("bwlimit" in word for word in words)
    assert [each.done for each in called.heard] == [400, 1500, 1500, 0]
    assert called.heard[-1].words == "finished"


@pytest.mark.parametrize(("limit", "word"), [(4 * 2**20, "--bwlimit=4096"), (100, "--bwlimit=1")])
def test_a_limit_is_told_in_kibibytes(called: Called, limit: int, word: str) -> None:
    words, _ = called.send(limit=limit)
    assert word in words


def test_what_a_swarm_has_left_gives_its_room_back_first(called: Called) -> None:
    called.need = replace(called.need, pieces=True)
    called.send()
    assert called.heard[0].words == "without the pieces of a swarm"
    assert [each.words for each in called.heard[1:]] == ["", "", "", "finished"]


def test_an_ipv6_address_is_no_path(called: Called) -> None:
    words, _ = Called(called.path, "fd00::1").send()
    assert words[-1] == "[fd00::1]:/srv/snapshots/in/"


def test_its_failure_is_the_hosts(called: Called) -> None:
    with pytest.raises(HostError, match="gpu1: ssh: it has said no"):
        called.send(code=12)
    assert called.heard[-1].words == ""


@pytest.mark.timeout(60)
def test_a_host_that_says_nothing_is_given_up(
    called: Called, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rsync itself ends, here the real one over an ssh that hangs."""
    if shutil.which("rsync", path="/usr/bin:/bin") is None:
        pytest.skip("no rsync on this machine")
    monkeypatch.setattr(rsync, "SILENT_SECONDS", 1.0)
    hangs = called.path / "ssh"
    hangs.write_text("#!/bin/sh\nexec sleep 600\n")
    hangs.chmod(0o755)
    with pytest.raises(HostError, match=r"gpu1: .*timeout"):
        send_by_rsync(called.delivery, called.need, 0)


def test_it_takes_both_ends(called: Called, monkeypatch: pytest.MonkeyPatch) -> None:
    called.send()
    assert can_rsync(called.need)
    monkeypatch.setenv("PATH", "/nowhere")
    assert not can_rsync(called.need)
