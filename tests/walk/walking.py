"""Walk through a document: type every command block in its order, and compare what the document shows.

What a walk does otherwise than the document says stands in tables, each line with its reason.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from tests.walk.blocks import COMMANDS, Block, blocks_of
from tests.walk.newcomer import Newcomer
from tests.walk.shown import like
from tests.walk.terminal import Said, Terminal

Row = TypeVar("Row")


@dataclass(frozen=True)
class LeftOut:
    """A block that is neither typed nor compared."""

    reason: str


@dataclass(frozen=True)
class Typed:
    """Another command in the place of the document's, or none where it is empty."""

    command: str
    reason: str


def quickly(*commands: str) -> dict[str, Typed]:
    """Return the row of each command that makes a release live: a second under traffic instead of ten."""
    reason = "a second of watching is enough for a stub"
    return {each: Typed(f"{each} --bake 1", reason) for each in commands}


@dataclass(frozen=True)
class Ended:
    """A command that goes on until Ctrl-C, which comes once it has said `after`."""

    after: str
    reason: str


@dataclass(frozen=True)
class Scene:
    """Where a walk is: the machines, the login, and the block."""

    newcomer: Newcomer
    terminal: Terminal
    block: Block

    def at(self, block: Block) -> Scene:
        """Return the same at another block."""
        return replace(self, block=block)

    def write(self, path: str, text: str) -> None:
        """Write a file as an editor in this login does."""
        packed = base64.b64encode(text.encode()).decode()
        said = self.terminal.type(f"echo {packed} | base64 -d > {path}")
        assert said.code == 0, said

    def type(self, command: str) -> str:
        """Type a command that must succeed; return what it says."""
        said = self.terminal.type(command)
        assert said.code == 0, f"{self.block}\n{said}"
        return said.text


@dataclass(frozen=True)
class First:
    """What happens in the place of a block, or before a command: by somebody else, or in an editor."""

    act: Callable[[Scene], object]
    reason: str


@dataclass(frozen=True)
class Says:
    """What a command says, as the document's sentences promise, as regular expressions; and its exit code."""

    patterns: tuple[str, ...]
    code: int = 0


@dataclass(frozen=True)
class Walk:
    """A document, and the tables.

    A block goes by its first line, or by `HEADING: FIRST LINE`; a command by its line, or by its beginning and `…`. One
    that comes in several blocks goes by `BLOCK / COMMAND`.
    """

    document: str
    left_out: Mapping[str, LeftOut] = field(default_factory=dict)
    files: Mapping[str, First] = field(default_factory=dict)
    first: Mapping[str, First] = field(default_factory=dict)
    typed: Mapping[str, Typed] = field(default_factory=dict)
    ended: Mapping[str, Ended] = field(default_factory=dict)
    says: Mapping[str, Says] = field(default_factory=dict)

    @property
    def blocks(self) -> tuple[Block, ...]:
        return blocks_of(self.document)

    def unknown(self) -> Iterator[str]:
        """Yield what the tables have and the document has no more, and blocks that no table has and nobody can type."""
        lines = [(block, line) for block in self.blocks for line, _ in commands_of(block)]
        for name in (*self.left_out, *self.files):
            count = sum(block.is_called(name) for block in self.blocks)
            if count != 1 and not (count and name in self.files):
                yield f"{self.document} has {count} blocks that begin with {name!r}"
        for table in (self.first, self.typed, self.ended, self.says):
            for line in table:
                if not any(names(line, *each) for each in lines):
                    yield f"{self.document} has no command {line!r}"
        for block in self.blocks:
            known = any(map(block.is_called, (*self.left_out, *self.files)))
            if not known and block.kind not in COMMANDS:
                yield f"{block}: neither typed nor named with a reason"

    def go(self, scene: Scene) -> None:
        """Do what the block says; raises AssertionError where it fails or the document shows something else."""
        block = scene.block
        if any(map(block.is_called, self.left_out)):
            return
        for key, written in self.files.items():
            if block.is_called(key):
                written.act(scene)
                return
        for command, shown in commands_of(block):
            if before := named(self.first, block, command):
                before.act(scene)
            if (instead := named(self.typed, block, command)) and not instead.command:
                continue
            said = self._type(scene, command)
            promised = named(self.says, block, command) or Says(())
            assert said.code == promised.code, f"{block}\n{said}"
            for pattern in promised.patterns:
                assert re.search(pattern, said.text), f"{block}: nothing like {pattern!r}\n{said}"
            assert not shown or like(shown, said.text), f"{block} shows\n{shown}\n\n{said}"

    def _type(self, scene: Scene, command: str) -> Said:
        block = scene.block
        instead = named(self.typed, block, command)
        ended = named(self.ended, block, command)
        return scene.terminal.type(
            instead.command if instead else command, until=ended.after if ended else ""
        )


def names(key: str, block: Block, command: str) -> bool:
    """Whether a key of a table means this command of this block."""
    if key.startswith(f"{block.name} / "):
        key = key.removeprefix(f"{block.name} / ")
    return command.startswith(key[:-1]) if key.endswith("…") else command == key


def named(table: Mapping[str, Row], block: Block, command: str) -> Row | None:
    """Return what a table has for a command of a block."""
    return next((row for key, row in table.items() if names(key, block, command)), None)


def commands_of(block: Block) -> Iterator[tuple[str, str]]:
    """Yield each command of a block with what the document shows of its output, empty where it shows none."""
    if block.kind != "console":
        yield from ((line, "") for line in block.commands)
        return
    shown = block.text.removeprefix("$ ").split("\n$ ")
    for each in shown:
        command, _, output = each.partition("\n")
        yield command, output
