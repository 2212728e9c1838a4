"""Logins that are less than open: sudo with a password from a vault, an sshd that takes one connection at a time."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.fleet.base import LOGIN
from tests.fleet.lab import FleetLab, fleet_lab
from tests.fleet.machine import Machine, require_hosts
from tests.system.beside import beside
from tests.system.waiting import until
from toolkit.adapters.ansible import standing_process

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

# The module whose process runs playbooks.
RUNS_PLAYBOOKS = standing_process.__name__
# No other process, file or log may have them. Another run of the tests on this machine has others.
SECRET = f"sudo-canary-{secrets.token_hex(4)}"
VAULT = f"vault-canary-{secrets.token_hex(4)}"


@pytest.fixture(scope="module")
def lab() -> Iterator[FleetLab]:
    require_hosts()
    with fleet_lab(("asks", "busy")) as lab:
        yield lab


@pytest.fixture(autouse=True)
def _afresh(lab: FleetLab) -> Iterator[None]:
    yield
    lab.hang_up()
    shutil.rmtree(lab.directory / "group_vars", ignore_errors=True)


def test_sudo_gets_its_password_from_the_vault_and_nobody_else_sees_it(lab: FleetLab) -> None:
    asks = lab["asks"]
    set_password(asks, SECRET)
    refused = lab.toolkit("provision", "asks", "--yes", check=False)
    assert refused.returncode == 7
    assert "--ask-become-pass" in refused.stderr

    vault = put_in_vault(lab, SECRET)
    with Search() as search:
        done = lab.toolkit(
            "provision", "asks", "--yes", "--json", ANSIBLE_VAULT_PASSWORD_FILE=str(vault)
        )
    result = json.loads(done.stdout)["hosts"]["asks"]
    assert result["result"] == "converged", result
    assert search.looked > 1000 and search.programs >= {RUNS_PLAYBOOKS, "sudo", "ssh"}
    assert search.leaks == set()
    assert SECRET not in done.stdout + done.stderr
    kept = [path for path in lab.directory.rglob("*") if path.is_file() and path != vault]
    assert len(kept) > 3
    assert not [path for path in kept if has_secret(path)]
    for place in ("/var/log", "/etc/haproxy", "/var/lib/toolkit", "/tmp", "/root", "/home"):
        assert asks.run("grep", "-rlE", f"{SECRET}|{VAULT}", place, check=False) == ""
    assert SECRET not in asks.run("journalctl", "--no-pager")

    # The requests of other commands go through the same sudo.
    seen = lab.toolkit("status", "--json", ANSIBLE_VAULT_PASSWORD_FILE=str(vault))
    assert json.loads(seen.stdout)["hosts"]["asks"]["router"]["running"]


def test_a_wrong_password_is_told_as_such(lab: FleetLab) -> None:
    set_password(lab["asks"], "another")
    vault = put_in_vault(lab, SECRET)
    done = lab.toolkit("hosts", "--json", check=False, ANSIBLE_VAULT_PASSWORD_FILE=str(vault))
    error = (
        json.loads(done.stdout)["hosts"].get("asks")
        or json.loads(done.stdout)["unreachable"]["asks"]
    )
    assert "sudo refuses the password of the login" in json.dumps(error)
    assert SECRET not in done.stdout + done.stderr


def test_an_sshd_that_takes_few_connections_is_asked_again(lab: FleetLab) -> None:
    busy = lab["busy"]
    busy.run(
        "sh",
        "-c",
        "printf 'MaxStartups 1:100:1\nLoginGraceTime 600\n' >>/etc/ssh/sshd_config && systemctl restart ssh",
    )
    with (
        occupied(busy) as leave,
        beside(*lab.command("provision", "busy", "--dry-run")) as command,
    ):
        until(
            lambda: busy.run("journalctl", "--unit=ssh", "--no-pager"),
            60,
            lambda said: "beginning MaxStartups throttling" in said and command.goes_on(),
        )
        leave()
        assert command.end(300) == 0, command.said
    lab.hang_up()
    with occupied(busy):
        done = lab.toolkit("provision", "busy", "--dry-run", check=False)
        assert done.returncode == 7
        assert "its sshd takes no further connections now" in done.stdout + done.stderr
        assert "MaxStartups" in done.stdout + done.stderr


@contextmanager
def occupied(machine: Machine) -> Iterator[Callable[[], None]]:
    """Hold the one connection that its sshd takes before a login; yields what gives it free before the context ends."""
    with socket.create_connection((machine.address, 22), timeout=60) as connection:
        assert connection.recv(8) == b"SSH-2.0-"
        yield connection.close


def set_password(machine: Machine, password: str) -> None:
    script = (
        f"echo '{LOGIN}:{password}' | chpasswd; "
        f"printf 'Defaults timestamp_timeout=0\\n{LOGIN} ALL=(ALL) ALL\\n' >/etc/sudoers.d/{LOGIN}"
    )
    machine.run("sh", "-c", script)


def put_in_vault(lab: FleetLab, password: str) -> Path:
    """Write group variables in a vault beside the inventory; return the file with the vault's password."""
    file = lab.directory / "vault-password"
    file.write_text(VAULT)
    words = ["encrypt", "--vault-password-file", str(file), "--output", "-", "-"]
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "vault", *words],
        input=f"sudo_of_ops: {password}\n",
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
    variables = lab.directory / "group_vars" / "all"
    variables.mkdir(parents=True, exist_ok=True)
    (variables / "vault.yml").write_text(done.stdout)
    (variables / "main.yml").write_text("ansible_become_password: '{{ sudo_of_ops }}'\n")
    return file


def has_secret(path: Path) -> bool:
    try:
        content = path.read_bytes()
    except OSError:
        return False
    return SECRET.encode() in content or VAULT.encode() in content


class Search:
    """Looks at the arguments and environments of all processes, here and on the hosts, until its context ends."""

    def __init__(self) -> None:
        self.looked, self.programs, self.leaks = 0, set[str](), set[str]()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._search)

    def __enter__(self) -> Search:
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._ended.set()
        self._thread.join()

    def _search(self) -> None:
        while not self._ended.wait(0.02):
            for process in Path("/proc").glob("[0-9]*"):
                self._look(process)

    def _look(self, process: Path) -> None:
        for name in ("cmdline", "environ"):
            if has_secret(process / name):
                self.leaks.add(f"{name} of {process.name}")
        try:
            words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            return
        self.looked += 1
        self.programs.update(Path(word).name for word in words[:4])
