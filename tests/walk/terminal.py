"""A login at a host as a person has it: a terminal, a shell that keeps its variables, questions that are answered."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import pexpect

from tests.fleet.machine import Machine

SECONDS = 600
WIDTH = 120
# The shell's prompt tells how the command ended.
_PROMPT = r"\n?<<ready (\d+)>> "
_QUESTION = r"\[y/N\]: ?"
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Said:
    """What a command printed on the terminal, without colours, and how it ended."""

    command: str
    code: int
    text: str

    def __str__(self) -> str:
        return f"$ {self.command}\n{self.text}\n(exit code {self.code})"


class Terminal:
    """One login; `variables` are set in it first."""

    def __init__(self, machine: Machine, variables: Mapping[str, str]) -> None:
        words = ["-tt", *machine.ssh_options, machine.address, "exec bash --noprofile --norc -i"]
        self._shell = pexpect.spawn(
            "ssh", words, encoding="utf-8", timeout=SECONDS, dimensions=(50, WIDTH), echo=False
        )
        self._shell.delaybeforesend = None
        self._shell.expect(r"\$ ")
        self._shell.sendline("stty -echo; bind 'set enable-bracketed-paste off'; PS2=")
        self._shell.sendline("PS1='\\n<<ready $?>> '")
        self._shell.expect(_PROMPT)
        self.type(" ".join(["export", *(f"{name}={value}" for name, value in variables.items())]))

    def type(self, command: str, *, answer: str = "y", until: str = "") -> Said:
        """Type a command, answer its questions, and return what it said; with `until`, Ctrl-C once this text is there.

        Raises AssertionError where it does not end in time.
        """
        self._shell.sendline(command)
        said = ""
        awaited = [_PROMPT, _QUESTION, pexpect.TIMEOUT, pexpect.EOF]
        while True:
            found = self._shell.expect([*awaited, until] if until else awaited)
            said += self._shell.before or ""
            if found == 0:
                break
            assert found not in (2, 3), f"{command}: it does not end\n{said}"
            said += self._shell.after
            if found == 1:
                self._shell.sendline(answer)
            else:
                until = ""
                self._shell.sendintr()
        return Said(command, int(self._shell.match.group(1)), seen(said))

    def close(self) -> None:
        """Hang up."""
        self._shell.close(force=True)


def seen(said: str) -> str:
    """Return what stays on a terminal: without colours, and a line that was written over as it ended."""
    lines = re.sub(r"\r+\n", "\n", _COLOURS.sub("", said).rstrip("\r\n")).split("\n")
    return "\n".join(line.rpartition("\r")[2] for line in lines).strip("\n")
