"""A host that takes a connection and then says nothing does not hold up a command for ever."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from toolkit.adapters.hosts import client, ssh
from toolkit.adapters.hosts.client import HostClient
from toolkit.adapters.hosts.ways import NO_HOSTSIDE, OverSsh
from toolkit.adapters.interruption import Interruption
from toolkit.domain.hosts.fleet import Host
from toolkit.errors import HostError

# Logged in, the host's disk hangs: at once, or where the host's side is to be placed.
HANGS = "#!/bin/sh\nexec sleep 600\n"
HANGS_LATER = f'#!/bin/sh\ncase "$*" in *converse*) exit {NO_HOSTSIDE};; esac\nexec sleep 600\n'


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "BRIEF_SECONDS", 1.0)
    monkeypatch.setattr(ssh, "RUN_SECONDS", 1.0)
    # This ssh listens nowhere, so the path may be long.
    monkeypatch.setattr("toolkit.adapters.disk._SOCKET_DIRECTORY", 1000)


def client_of(
    text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    interruption: Interruption | None = None,
) -> HostClient:
    program = tmp_path / "ssh"
    program.write_text(text)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    way = OverSsh(Host("gpu1", "ssh", "10.0.0.5"), tmp_path / "run")
    return HostClient(way, interruption)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("text", [HANGS, HANGS_LATER])
@pytest.mark.parametrize("ahead", [False, True])
def test_a_host_that_hangs_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, ahead: bool
) -> None:
    host = client_of(text, tmp_path, monkeypatch)
    if ahead:
        host.connect()
    with pytest.raises(HostError, match="gpu1: it did not answer within 1 s") as caught:
        host.ask("observe", label="gpu1")
    assert caught.value.hint.startswith("ssh ")


@pytest.mark.timeout(60)
def test_a_request_with_a_time_of_its_own_has_that_besides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = client_of(HANGS, tmp_path, monkeypatch)
    with pytest.raises(HostError, match="gpu1: it did not answer within 3 s"):
        host.ask("ask", port=1, path="/", payload={}, timeout=2.0)


@pytest.mark.timeout(60)
def test_a_second_request_at_once_is_bounded_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has a process of its own, since the other one is busy."""
    host = client_of(HANGS_LATER.replace("exit", "sleep 600; exit"), tmp_path, monkeypatch)
    with (
        host._conversation.turn(),
        pytest.raises(HostError, match="gpu1: it did not answer within 1 s"),
    ):
        host.ask("sample")


@pytest.mark.timeout(60)
def test_an_interruption_does_not_wait_for_the_placing_of_the_hosts_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "RUN_SECONDS", 600.0)
    monkeypatch.setattr(client, "BRIEF_SECONDS", 600.0)
    interruption = Interruption()
    host = client_of(HANGS_LATER, tmp_path, monkeypatch, interruption)
    timer = threading.Timer(1.0, interruption.begin)
    timer.start()
    began = time.monotonic()
    with pytest.raises(HostError, match="interrupted"):
        host.ask("observe", label="gpu1")
    assert time.monotonic() - began < 30
    timer.join()


@pytest.mark.timeout(60)
def test_a_host_that_takes_the_archive_slowly_gets_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "RUN_SECONDS", 60.0)
    text = f'#!/bin/sh\ncase "$*" in *mktemp*) sleep 1; exec cat >{tmp_path}/got;; esac\nexit 1\n'
    host = client_of(text, tmp_path, monkeypatch)
    host._way.place(time.sleep)
    assert (tmp_path / "got").read_bytes() == ssh._archive()
