"""Mutated answers of other hosts for the readers of the router that are written in Lua: of health and of limits.

HAProxy itself runs them, see `peer_driver.lua`. Whatever another host answers, they read no more of it than they need.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fuzz.lua_readers import rows_of
from tests.fuzz.mutation import mutated
from tests.fuzz.test_parsers import INPUTS, SECONDS
from tests.fuzz.test_router_parsers import batches

HEALTHS = (
    b"HTTP/1.1 200 OK\r\ncontent-length: 53\r\ncontent-type: text/plain\r\n\r\n"
    b"200 model.tiny/b.blue 404 model.tiny/b.green 200 x/y ",
    b"HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n299 model.tiny/b.blue ",
    b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\ncache-control: no-cache\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 72\r\n\r\n"
    b"200 model.tiny/b.blue ;model.tiny/b.blue=v1|3#5e;model.tiny/b.green=v1|2",
)
LIMITS = (
    b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\nRetry-After: 12\r\n\r\n",
)
SEEDS = {"healths": HEALTHS, "limits": LIMITS}
# Of one answer: a head and a body, and what a head needs to tell a wait.
MOST = {"healths": 65_536 + 2048, "limits": 512}


@dataclass(frozen=True)
class Heard:
    """What a reader made of an answer, and how many bytes of it it read."""

    said: str
    error: bytes
    read: int
    seconds: float


def heard(directory: Path, reader: str, answers: Sequence[bytes]) -> list[Heard]:
    """Return what a reader makes of answers; after each the connection ends."""
    rows = rows_of(directory, "peer_driver.lua", [(reader.encode(), each) for each in answers])
    return [
        Heard(bytes.fromhex(said).decode("latin-1"), bytes.fromhex(error), int(read), float(taken))
        for said, error, read, taken in rows
    ]


def test_good_answers_are_read(tmp_path: Path) -> None:
    blue, withdrawn, gone, woken = (
        each.said.split() for each in heard(tmp_path, "healths", HEALTHS)
    )
    assert sorted(blue) == ["nolb", "up"]
    assert sorted(withdrawn) == ["model.tiny/b.blue", "nolb", "up", "withdrawn"]
    assert gone == []
    noted = ["tiny/b.blue", "tiny/b.blue/woken", "tiny/b.green"]
    assert [each for each in woken if "/b." in each] == noted
    assert [each.said for each in heard(tmp_path, "limits", LIMITS)] == ["nil", "12"]


@pytest.mark.parametrize("reader", SEEDS)
def test_no_mutated_answer_breaks_its_reader(tmp_path: Path, reader: str) -> None:
    for batch in batches(INPUTS):
        answers = [mutated(SEEDS[reader], program) for program in batch]
        for program, each in zip(batch, heard(tmp_path, reader, answers), strict=True):
            assert not each.error, (program, each.error)
            assert each.seconds < SECONDS, program
            assert each.read <= MOST[reader], program
            if reader == "limits":
                assert re.fullmatch("nil|[1-9]|[1-5][0-9]|60", each.said), (program, each.said)


@pytest.mark.parametrize("reader", SEEDS)
def test_of_an_answer_without_an_end_little_is_read(tmp_path: Path, reader: str) -> None:
    long = b"x" * 2**20
    answers = [
        long,
        b"HTTP/1.1 200 " + long,
        b"HTTP/1.1 200 OK\r\n" + long,
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 2**17,
        b"HTTP/1.1 200 OK\r\ncontent-length: 1048576\r\n\r\n" + long,
        b"HTTP/1.1 429 Too Many Requests\r\n" + long,
        b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: " + b"9" * 2**20,
    ]
    assert max(each.read for each in heard(tmp_path, reader, answers)) <= MOST[reader]
