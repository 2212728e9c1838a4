"""The module of Ansible that starts programs under supervisord, which starts them by itself too."""

from __future__ import annotations

import subprocess
import xmlrpc.client
from pathlib import Path

import pytest
import yaml

from tests.adapters.own_modules import own_module

ALREADY_STARTED, SPAWN_ERROR = 60, 50


class Supervisor:
    """Says that the program is stopped, and by the time that it is told to start it has this fault."""

    def __init__(self, fault: int) -> None:
        self.fault = fault

    def getProcessInfo(self, name: str) -> dict[str, str]:
        return {"statename": "STOPPED"}

    def startProcess(self, name: str, wait: bool) -> None:
        raise xmlrpc.client.Fault(self.fault, f"FAULT: {name}")


def test_a_program_that_supervisord_starts_at_the_same_moment_is_no_failure() -> None:
    assert own_module("supervisor_program").start(Supervisor(ALREADY_STARTED), "tiny-blue") is False


def test_a_program_that_does_not_start_is_a_failure() -> None:
    with pytest.raises(xmlrpc.client.Fault, match="tiny-blue"):
        own_module("supervisor_program").start(Supervisor(SPAWN_ERROR), "tiny-blue")


@pytest.mark.parametrize("umask", [0o000, 0o077], ids=oct)
def test_the_log_of_supervisord_is_roots_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    role = Path(__file__).parents[2] / "playbooks/roles/host_base/tasks/supervisord.yml"
    (task,) = [each for each in yaml.safe_load(role.read_text()) if "Start" in each["name"]]
    log, stand_in = tmp_path / "supervisord.log", tmp_path / "supervisord"
    stand_in.write_text(f'#!/bin/sh\necho "$@" >>{log}\n')
    stand_in.chmod(0o755)
    argv = [
        each.replace("/usr/bin/supervisord", str(stand_in)).replace(
            "{{ toolkit_root }}/supervisor", str(tmp_path)
        )
        for each in task["ansible.builtin.command"]["argv"]
    ]
    for _ in range(2):
        subprocess.run(argv, check=True, umask=umask)
        assert log.stat().st_mode & 0o777 == 0o644
        # As an older toolkit left it.
        log.chmod(0o666)
    assert log.read_text() == f"-c {tmp_path}/supervisord.conf\n" * 2
