"""Long inputs for every parser of bytes from outside: two hundred thousand bytes take no longer than short ones may.

The mutated inputs are short, and a pattern that looks at each place anew is quick with them. Here a piece stands
many times at one place of a good input. `make fuzz` takes all pieces, other runs a few.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from random import Random

import pytest

from tests.fuzz.parser import Parser
from tests.fuzz.parsers import PARSERS
from tests.fuzz.test_parsers import INPUTS, SECONDS, SEED, USUAL

# Bytes of an input; slow parsers take a tenth of them.
LONG = 200_000
PIECES = (
    b"{", b"[", b"{{", b"{% ", b'"', b"'", b"\\", b"a", b"A.", b"a=", b'a="', b"1", b"1,", b"0.", b" ", b"\n", b"- ",
    b"\n\n", b"a: ", b"*", b"&a ", b"<think>", b"%", b"://", b"../", b"-", b"_", b"#", b"\xc3\xa9", b"[1]",
    b"data: {}\n", b"\x1b[",
)  # fmt: skip
FEW = 5


def lengthened(parser: Parser, chance: Random) -> Iterator[tuple[bytes, bytes]]:
    """Yield pieces, each with a good input that has it many times at one place."""
    size = LONG // 10 if parser.slow else LONG
    for piece in PIECES if INPUTS > USUAL else chance.sample(PIECES, FEW):
        text = chance.choice(parser.seeds)
        at = chance.randrange(len(text) + 1)
        yield piece, text[:at] + piece * (size // len(piece)) + text[at:]


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.name)
def test_no_long_input_takes_a_parser_long(parser: Parser) -> None:
    for piece, text in lengthened(parser, Random(f"{SEED} {parser.name}")):
        began = time.thread_time()
        with suppress(*parser.errors):
            parser.run(text)
        taken = time.thread_time() - began
        assert taken < SECONDS, f"{taken:.1f} s for {piece!r} many times"
