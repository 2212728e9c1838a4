"""Mutated inputs for every parser of bytes from outside: a value, or an error of its own, within two seconds.

`FUZZ_INPUTS` is the number of inputs for each parser, `FUZZ_SEED` the seed. The same two numbers give the same inputs.
hypothesis makes the first thirtieth, 1,000 at most, and shrinks one that fails; a seeded generator makes the others ten
times as fast. `make fuzz` takes 100,000 for each.
"""

from __future__ import annotations

import json
import os
import time
from random import Random

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz.mutation import STEP, mutated
from tests.fuzz.parser import Parser, packed
from tests.fuzz.parsers import PARSERS
from toolkit.errors import ToolkitError

VARIED = 1000
USUAL = 3000
INPUTS = int(os.environ.get("FUZZ_INPUTS", USUAL))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
SECONDS = 2.0
MOST_WORDS = 8000


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.name)
def test_good_inputs_are_read(parser: Parser) -> None:
    for text in parser.seeds:
        outcome_of(parser, text)
    parser.run(parser.seeds[0])


@pytest.mark.timeout(24 * 3600)
@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.name)
def test_no_input_breaks_a_parser(parser: Parser) -> None:
    fuzz(parser, USUAL // 10 if parser.slow and INPUTS == USUAL else INPUTS)


def fuzz(parser: Parser, inputs: int) -> None:
    varied = min(max(inputs // 30, 1), VARIED)

    @seed(SEED)
    @settings(
        max_examples=varied,
        database=None,
        deadline=None,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.binary(min_size=1 + STEP, max_size=1 + 6 * STEP))
    def one(program: bytes) -> None:
        outcome_of(parser, mutated(parser.seeds, program))

    one()
    chance = Random(SEED)
    for _ in range(inputs - varied):
        program = chance.randbytes(1 + STEP * chance.randint(1, 6))
        try:
            outcome_of(parser, mutated(parser.seeds, program))
        except Exception as error:
            raise AssertionError(f"{parser.name}: program {program!r}") from error


def outcome_of(parser: Parser, text: bytes) -> None:
    """Fail where the parser raises an error that is not its own, takes too long, or gives what cannot be printed."""
    # Of this thread alone: other work of the machine is no fault of the parser's, and no parser waits.
    started = time.thread_time()
    try:
        said = json.dumps(parser.run(text), ensure_ascii=False, allow_nan=False, default=str)
    except parser.errors as error:
        said = error.message + error.hint if isinstance(error, ToolkitError) else str(error)
        assert len(said) < MOST_WORDS, f"an error of {len(said)} characters"
    said.encode()
    taken = time.thread_time() - started
    assert taken < SECONDS, f"{taken:.1f} s for {len(text)} bytes"


NAIVE = {
    "deep texts": lambda data: json.loads(data),
    "numbers without a bound": lambda data: int(json.loads(data)["w"]["shape"][0]),
    "loops over a number": lambda data: [0] * min(10**12, json.loads(data)["w"]["shape"][0]) and "",
}


@pytest.mark.parametrize("name", NAIVE)
def test_a_parser_without_bounds_does_not_pass(name: str) -> None:
    header = packed({"w": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}})
    parser = Parser(name, NAIVE[name], (header,), (json.JSONDecodeError, UnicodeDecodeError))
    with pytest.raises((Exception, BaseExceptionGroup)):
        fuzz(parser, 1000)
