"""The module of Ansible that starts programs under supervisord, which starts them by itself too."""

from __future__ import annotations

import xmlrpc.client

import pytest

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
