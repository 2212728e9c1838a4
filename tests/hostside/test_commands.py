"""The table of the host's commands names functions that take what it says."""

from __future__ import annotations

import importlib
import inspect
import sys

import pytest

from tests.hostside.router_lab import REPO
from toolkit.hostside.commands import COMMANDS

assert str(REPO / "toolkit/hostside") in sys.path


@pytest.mark.parametrize("name", COMMANDS)
def test_the_function_of_a_command_takes_its_arguments(name: str) -> None:
    command = COMMANDS[name]
    function = getattr(importlib.import_module(command.module), command.function)
    inspect.signature(function).bind(*command.takes)
    assert not command.streams or "stream" in command.takes
    assert not (command.brief and command.streams)
