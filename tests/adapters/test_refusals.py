"""An sshd that drops connections for now is asked again, for a bounded time, and no other failure is."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.adapters.hosts import refusals
from toolkit.adapters.hosts.client import HostClient
from toolkit.adapters.hosts.refusals import PATIENCE_SECONDS, pauses, refuses_for_now
from toolkit.adapters.hosts.ways import OverSsh
from toolkit.domain.hosts.fleet import Host
from toolkit.errors import HostError

DROPPED = "kex_exchange_identification: Connection closed by remote host"
# Drops the connection as often as the file of counts says, then answers as a host does.
SSH = """\
#!/bin/sh
echo "$$" >> {place}/tries
[ "$(wc -l < {place}/tries)" -le {refusals} ] && {{ echo "{words}" >&2; exit 255; }}
IFS= read -r request
echo '{{"result": {{"kept": true}}}}'
"""


@pytest.mark.parametrize(
    ("words", "code", "again"),
    [
        (DROPPED, 255, True),
        ("kex_exchange_identification: read: Connection reset by peer", 255, True),
        ("ssh_exchange_identification: Connection closed by remote host", 255, True),
        # a program on the host says so, not ssh
        (DROPPED, 1, False),
        ("Connection to 10.0.0.5 closed by remote host.", 255, False),
        ("ssh: connect to host 10.0.0.5 port 22: Connection refused", 255, False),
        ("ops@10.0.0.5: Permission denied (publickey).", 255, False),
    ],
)
def test_what_passes_is_told_from_what_stays(words: str, code: int, again: bool) -> None:
    assert refuses_for_now(words, code) is again


def test_pauses_grow_and_end() -> None:
    longest = list(pauses(lambda _, most: most))
    assert longest[:4] == [0.4, 0.8, 1.6, 3.0]
    assert sum(longest) == pytest.approx(PATIENCE_SECONDS)
    drawn = list(pauses())
    assert sum(drawn) == pytest.approx(PATIENCE_SECONDS)
    assert drawn != list(pauses())


@pytest.mark.parametrize("times", [0, 3])
def test_a_host_that_drops_connections_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    monkeypatch.setattr(refusals, "_FIRST_SECONDS", 0.01)
    assert ask(tmp_path, monkeypatch, times, DROPPED) == {"kept": True}
    assert len((tmp_path / "tries").read_text().splitlines()) == times + 1


@pytest.mark.parametrize(
    ("words", "tries", "told"),
    [
        (DROPPED, range(2, 40), "gpu1: its sshd takes no further connections now"),
        ("ssh: connect to host h port 22: Connection refused", range(1, 2), "nothing listens"),
    ],
)
def test_patience_ends_and_other_failures_get_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, tries: range, told: str
) -> None:
    monkeypatch.setattr(refusals, "PATIENCE_SECONDS", 0.5)
    with pytest.raises(HostError, match=told):
        ask(tmp_path, monkeypatch, 1000, words)
    assert len((tmp_path / "tries").read_text().splitlines()) in tries


def ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int, words: str
) -> dict[str, object]:
    ssh = tmp_path / "ssh"
    ssh.write_text(SSH.format(place=tmp_path, refusals=times, words=words))
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    # This ssh listens nowhere, so the path may be long.
    monkeypatch.setattr("toolkit.adapters.disk._SOCKET_DIRECTORY", 1000)
    client = HostClient(OverSsh(Host("gpu1", "ssh", "10.0.0.5"), tmp_path / "run"))
    return client.ask("keep-head", head=None)
