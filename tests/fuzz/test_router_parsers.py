"""Mutated bodies for the readers of bodies in the router, which are written in Lua: they name the model of a request.

HAProxy itself runs them. What a body names is compared with Python's own reading of JSON, which the engine uses.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import pytest

from tests.fuzz.lua_readers import rows_of
from tests.fuzz.mutation import STEP, mutated
from tests.fuzz.test_parsers import INPUTS, SECONDS, SEED

# Bodies of one run of HAProxy.
AT_ONCE = 10_000
BODIES = (
    b'{"model": "tiny", "messages": [{"role": "user", "content": "hi \\"there\\""}], "n": 1.5e3}',
    b' {"input": "x", "previous_response_id": "resp_1", "mod\\u0065l":"a\\/b", "model" : "t\xc3\xbc"}',
    b'{"a": {"model": "inner"}, "b": ["model", "x"], "conversation": {"id": 1}, "background": true}',
)
FORM = (
    b"--b1\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\nRIFF\r\n--b1\r\n"
    b"Content-Disposition: form-data; name=\"model\"\r\n\r\ntiny\r\n--b1--\r\n",
    b'--b1\r\ncontent-disposition: form-data; name=model\r\n\r\na\r\n--b1\r\n\r\nx\r\n--b1--\r\n',
)  # fmt: skip
KINDS = (
    b"multipart/form-data; boundary=b1",
    b'multipart/form-data; x="; boundary=c"; boundary="b1"',
)


class Found:
    """What a reader made of a body."""

    def __init__(self, row: Sequence[str]) -> None:
        model, fault, field, error, seconds = row
        self.model, self.fault = bytes.fromhex(model), bytes.fromhex(fault).decode()
        self.field, self.error = bytes.fromhex(field).decode(), bytes.fromhex(error)
        self.seconds = float(seconds)


def read(directory: Path, pairs: Sequence[tuple[bytes, bytes]]) -> list[Found]:
    """Return what the router's readers make of bodies, each with its content type; an empty one is that of JSON."""
    return [Found(each) for each in rows_of(directory, "router_driver.lua", pairs)]


def programs(inputs: int) -> Iterator[bytes]:
    chance = Random(SEED)
    for _ in range(inputs):
        yield chance.randbytes(1 + STEP * chance.randint(1, 6))


def batches(inputs: int) -> Iterator[list[bytes]]:
    made = list(programs(inputs))
    for start in range(0, len(made), AT_ONCE):
        yield made[start : start + AT_ONCE]


def named(body: bytes) -> str | None:
    """Return the model that Python reads in a body, empty for none; None where it reads no JSON of UTF-8."""
    try:
        # As for bytes, Python passes over a mark of the encoding.
        found = json.loads(body.decode("utf-8").removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return None
    model = found.get("model") if isinstance(found, dict) else None
    if not isinstance(model, str) or any(ord(each) < 32 or ord(each) == 127 for each in model):
        return ""
    if len(model) > 150 or any("\ud800" <= each <= "\udfff" for each in model):
        # Beyond what a name may have; six characters may stand for one.
        return None if len(model) > 150 else ""
    return model


def test_the_reader_of_json_agrees_with_python_on_mutated_bodies(tmp_path: Path) -> None:
    compared = 0
    for batch in batches(INPUTS):
        bodies = [mutated(BODIES, program) for program in batch]
        for program, body, found in zip(
            batch, bodies, read(tmp_path, [(b"", body) for body in bodies]), strict=True
        ):
            assert not found.error, (program, found.error)
            assert found.seconds < SECONDS, program
            assert bool(found.model) != bool(found.fault), program
            expected = named(body)
            if expected is not None:
                compared += 1
                assert found.model == expected.encode(), (program, body[:300])
    assert compared > INPUTS // 30


def test_a_body_that_python_reads_in_another_encoding_names_no_model(tmp_path: Path) -> None:
    # Byte by byte it names `tiny`, after a string that the quotes of UTF-16 begin and end elsewhere.
    before, after = (each.encode("utf-16-le") for each in ('{"x":"', '","model":"other"}'))
    body = before + b'a","model":"tiny","a' + after
    assert json.loads(body)["model"] == "other"
    assert b'"model":"tiny"' in body
    plain = '{"model":"tiny"}'
    others = [plain.encode(each) for each in ("utf-16", "utf-16-le", "utf-16-be", "utf-32-le")]
    assert all(json.loads(each) == {"model": "tiny"} for each in others)
    found = read(tmp_path, [(b"", each) for each in (body, *others)])
    assert [(each.model, each.fault) for each in found] == [(b"", "object")] * 5


def test_no_mutated_form_breaks_its_reader(tmp_path: Path) -> None:
    read_whole = 0
    for batch in batches(INPUTS):
        pairs = [(mutated(KINDS, program[::-1]), mutated(FORM, program)) for program in batch]
        pairs = [(kind or b"x", body) for kind, body in pairs]
        for program, found in zip(batch, read(tmp_path, pairs), strict=True):
            assert not found.error, (program, found.error)
            assert found.seconds < SECONDS, program
            assert bool(found.model) != bool(found.fault), program
            read_whole += bool(found.model)
    assert read_whole > INPUTS // 100


@pytest.mark.parametrize("kind", KINDS)
def test_good_bodies_are_read(tmp_path: Path, kind: bytes) -> None:
    found = read(tmp_path, [*((b"", body) for body in BODIES), *((kind, form) for form in FORM)])
    assert [each.model for each in found] == [b"tiny", "tü".encode(), b"", b"tiny", b"a"]
    assert [each.field for each in found][:2] == ["", "previous_response_id"]
