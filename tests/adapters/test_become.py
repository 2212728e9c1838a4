"""Programs as root behind a sudo that asks for a password, that asks for none, or that refuses it."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from toolkit.adapters.ansible.password_file import read_password_file
from toolkit.adapters.ansible.secret_pipe import secret_pipe
from toolkit.adapters.hosts import become
from toolkit.adapters.hosts.become import as_root_words, sudo_input
from toolkit.adapters.hosts.ssh_faults import host_error
from toolkit.config.inventory.fleet import load_fleet
from toolkit.domain.hosts.fleet import Host
from toolkit.domain.secret import Secret
from toolkit.errors import InputError

PASSWORD = "Tr0ub4dor and '3' $HOME"
HOST = Host("gpu1", "ssh", "10.0.0.5", become_password=Secret(PASSWORD))
# Stands for sudo, which reads a password byte by byte, up to three times, or not at all.
SUDO = """\
#!/bin/sh
[ "$1 $2 $3" = "-S -p " ] || exit 9
shift 3
[ "$ASKS" = no ] && exec "$@"
for attempt in 1 2 3; do
  IFS= read -r given || exit 1
  [ -z "$given" ] && { echo "sudo: no password was provided" >&2; exit 1; }
  [ "$given" = "$RIGHT" ] && exec "$@"
  echo "Sorry, try again." >&2
done
exit 1
"""


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    sudo = tmp_path / "sudo"
    sudo.write_text(SUDO)
    sudo.chmod(0o755)
    # The shell that asks for its own user's number is told that it is not root.
    number = tmp_path / "id"
    number.write_text("#!/bin/sh\necho 1000\n")
    number.chmod(0o755)
    return {"PATH": f"{tmp_path}:{os.environ['PATH']}", "RIGHT": PASSWORD}


def run(environment: dict[str, str], host: Host = HOST) -> subprocess.CompletedProcess[bytes]:
    words = as_root_words(host, ["cat"])
    assert PASSWORD not in " ".join(words)
    return subprocess.run(
        words,
        input=sudo_input(host) + b"the request\n\0",
        capture_output=True,
        timeout=60,
        env=environment,
    )


@pytest.mark.parametrize("asks", ["yes", "no"])
def test_the_program_gets_its_own_input_alone(environment: dict[str, str], asks: str) -> None:
    done = run({**environment, "ASKS": asks})
    assert (done.returncode, done.stdout) == (0, b"the request\n\0")


def test_a_login_that_is_root_already_asks_nobody(environment: dict[str, str]) -> None:
    done = run({**environment, "PATH": os.environ["PATH"]})
    assert (done.returncode, done.stdout) == (0, b"the request\n\0")


def test_a_refused_password_ends_the_command_and_is_told(environment: dict[str, str]) -> None:
    done = run({**environment, "RIGHT": "another"})
    error = host_error(HOST, done.stderr.decode(), done.returncode)
    assert error.message.startswith("gpu1: sudo refuses the password of the login")
    assert "--ask-become-pass" in error.hint
    assert done.stdout == b""


def test_without_a_password_nothing_goes_before_the_request() -> None:
    plain = replace(HOST, become_password=None)
    assert sudo_input(plain) == b""
    assert become.as_root(plain, ["rsync"]).count("sudo -n") == 1


def test_no_representation_has_the_password() -> None:
    assert PASSWORD not in repr(HOST) + str(HOST.become_password)
    with pytest.raises(TypeError):
        asdict(HOST)
    with pytest.raises(TypeError):
        json.dumps(HOST.become_password)
    with pytest.raises(TypeError):
        pickle.dumps(HOST.become_password)


@pytest.mark.parametrize("name", ["ansible_become_password", "ansible_become_pass"])
def test_an_inventory_names_the_password_and_no_fault_repeats_it(tmp_path: Path, name: str) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_text(f"all: {{hosts: {{box: {{{name}: pa55word}}}}}}")
    (host,) = load_fleet(path).hosts
    assert host.become_password is not None
    assert host.become_password.reveal() == "pa55word"
    path.write_text(f"all: {{hosts: {{box: {{{name}: [pa55word]}}}}}}")
    with pytest.raises(InputError, match="must be text of one line; put it in quotes") as caught:
        load_fleet(path)
    assert "pa55word" not in caught.value.message


def test_a_pipe_gives_the_secret_once_and_leaves_nothing(tmp_path: Path) -> None:
    with secret_pipe(tmp_path / "secret", PASSWORD) as pipe:
        assert pipe.stat().st_size == 0
        assert pipe.read_text() == PASSWORD
    with secret_pipe(tmp_path / "unread", PASSWORD):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        ("pa55word\n", 0o600, ""),
        ("#!/bin/sh\necho pa55word\n", 0o700, ""),
        ("#!/bin/sh\nexit 3\n", 0o700, "it ended with 3"),
        ("", 0o600, "it has not one line of text"),
        ("a\nb\n", 0o600, "it has not one line of text"),
        ("x" * 5000, 0o600, "more than 4096 bytes"),
    ],
)
def test_a_password_file_is_read_as_ansible_reads_it(
    tmp_path: Path, text: str, mode: int, words: str
) -> None:
    path = tmp_path / "password"
    path.write_text(text)
    path.chmod(mode)
    if not words:
        assert read_password_file(path).reveal() == "pa55word"
        return
    with pytest.raises(InputError, match=words):
        read_password_file(path)
