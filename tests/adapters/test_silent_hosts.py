"""A host that takes a connection and then says nothing does not hold up a command for ever."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from toolkit.adapters.hosts import channel, client, ssh
from toolkit.adapters.hosts import dialog as dialog_of
from toolkit.adapters.hosts.client import HostClient
from toolkit.adapters.hosts.dialog import Dialog, running
from toolkit.adapters.hosts.ways import NO_HOSTSIDE, OverSsh
from toolkit.adapters.interruption import Interruption
from toolkit.domain.hosts.fleet import Host
from toolkit.errors import HostError
from toolkit.hostside.commands import COMMANDS

# Logged in, the host's disk hangs: at once, or where the host's side is to be placed.
HANGS = "#!/bin/sh\nexec sleep 600\n"
# Logged in, every other process works: the one of the command itself says nothing.
HANGS_AT_WORK = (
    '#!/bin/sh\ncase "$*" in *hostside-*\\ *|*\\ serve*) exec sleep 600;; esac\nexit 0\n'
)
HANGS_LATER = f'#!/bin/sh\ncase "$*" in *serve*) exit {NO_HOSTSIDE};; esac\nexec sleep 600\n'


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "BRIEF_SECONDS", 1.0)
    monkeypatch.setattr(client, "SILENT_SECONDS", 1.0)
    monkeypatch.setattr(dialog_of, "_TICK_SECONDS", 0.1)
    monkeypatch.setattr(ssh, "RUN_SECONDS", 1.0)
    monkeypatch.setattr(channel, "_SILENCE_SECONDS", 1.0)
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


@pytest.mark.timeout(60)
def test_no_command_waits_for_a_host_that_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its other processes work, and may take their time on a busy machine: there are dozens at once.
    monkeypatch.setattr(ssh, "RUN_SECONDS", 60.0)
    host = client_of(HANGS_AT_WORK, tmp_path, monkeypatch)
    names = [each for each, command in COMMANDS.items() if not command.brief]

    def words(name: str) -> str:
        with pytest.raises(HostError) as caught:
            host.ask(name)
        return caught.value.message

    with ThreadPoolExecutor(len(names)) as threads:
        assert set(threads.map(words, names)) == {"gpu1: it said nothing for 1 s"}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["tree-survey", "place"])
def test_a_host_that_takes_no_request_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """What a pipe does not hold waits for it, with a way of its own and in the channel."""
    monkeypatch.setattr(ssh, "RUN_SECONDS", 60.0)
    host = client_of(HANGS_AT_WORK, tmp_path, monkeypatch)
    with pytest.raises(HostError, match="gpu1: it said nothing for 1 s"):
        host.ask(name, files=["x" * 2**20])


class Looks(threading.Event):
    """The end of a watch that looks once for each of `states`, which sets a dialog before each look."""

    def __init__(self, dialog: Dialog, states: str) -> None:
        super().__init__()
        self._dialog, self._states = dialog, iter(states)

    def wait(self, timeout: float | None = None) -> bool:
        state = next(self._states, "")
        self._dialog._waits, self._dialog._sends = state in "wh", state == "s"
        self._dialog._heard += state == "h"
        return not state


@pytest.mark.parametrize(
    ("states", "given_up"),
    [
        # w: an answer is waited for, h: and a line came, s: a document is sent, -: the caller does something else
        ("w" * 7, True),
        ("ssssss", True),
        ("wwwwwhwwwww", False),
        ("wwwww-wwwww", False),
        ("----------", False),
    ],
)
def test_only_a_silence_that_somebody_waits_through_counts(
    tmp_path: Path, states: str, given_up: bool
) -> None:
    with running(["sleep", "600"], None) as dialog:
        dialog._bound(0.5, Looks(dialog, states))
        assert bool(dialog._silent) is given_up
        dialog.kill()


def test_signs_of_life_are_no_answers() -> None:
    text = """printf '{"event": {}}\\n{"event": {"line": "a"}}\\n{"event": {}}\\n{"result": {"a": 1}}\\n'"""
    with running(["sh", "-c", text], None) as dialog, dialog.bounded(600.0):
        assert list(dialog.answers()) == [{"event": {"line": "a"}}, {"result": {"a": 1}}]
