"""What comes from outside is read within bounds, or refused with its reason."""

from __future__ import annotations

import json
import re
import struct
from typing import Any

import pytest

from toolkit.domain import bounds
from toolkit.domain.files.tensors import header_length, parse_header
from toolkit.domain.outside import parse_json, parse_mapping, plainly, shown, whole


def test_every_bound_stands_in_the_table_of_bounds() -> None:
    names = {name for name in vars(bounds) if name.isupper()} - {"MIB"}
    assert set(re.findall(r"^\| `([A-Z_]+)` \|", bounds.__doc__ or "", re.M)) == names


def deep(levels: int) -> str:
    return "[" * levels + "]" * levels


BAD_JSON = [
    ("", "empty"),
    ("{} x", "no JSON from line 1, column 4"),
    (deep(65), "deeper than 64"),
    (deep(200_000), "deeper than 64"),
    ('{"a":' * 100_000 + "1" + "}" * 100_000, "deeper than 64"),
    ("NaN", "no finite number"),
    ("[-Infinity]", "no finite number"),
    ("[1e999]", "no finite number"),
    ("1" * 5000, "digits"),
    # A comparison takes such a number, and `float` does not.
    ('{"at": 1%s}' % ("0" * 400), "no finite number"),
    ("[-1%s]" % ("0" * 400), "no finite number"),
    ('{"a": 1, "b": 2, "a": 3}', "'a' stands twice"),
    ('["\\ud800"]', "surrogate"),
    ('{"\\uDFFF": 1}', "surrogate"),
    (b"\xff\xfe", "UTF-8"),
    ("[" + "[]," * 3_000_000 + "0]", "more than 5000000 parts"),
    ('"' + "a" * 1000 + '"', "larger than 1000 bytes"),
]


@pytest.mark.parametrize(("text", "why"), BAD_JSON, ids=range(len(BAD_JSON)))
def test_json_beyond_its_bounds_is_refused(text: str | bytes, why: str) -> None:
    most = 1000 if why.startswith("larger") else 10**7
    with pytest.raises(ValueError, match=why):
        parse_json(text, most)


def test_json_within_its_bounds_is_read() -> None:
    assert parse_json(deep(64), 1000) is not None
    assert parse_json('["\\ud83d\\ude00", 1.5, -3]', 1000) == ["\U0001f600", 1.5, -3]
    assert parse_json(json.dumps([10**300, "1" * 400]), 1000) == [10**300, "1" * 400]
    assert parse_mapping(b'{"a": {"b": []}}', 1000) == {"a": {"b": []}}
    with pytest.raises(ValueError, match="not a mapping"):
        parse_mapping("[]", 1000)


BAD_NUMBERS = [True, 1.0, "1", None, -1, 11, 10**5000, [1], {"a": 1}]


@pytest.mark.parametrize("value", BAD_NUMBERS, ids=range(len(BAD_NUMBERS)))
def test_only_a_whole_number_within_its_bounds_is_one(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^layers is .* not a whole number from 0 to 10$"):
        whole(value, "layers", most=10)


def test_a_message_shows_one_short_line_of_a_value() -> None:
    assert shown("a\nb\x1b[2J") == "'a\\nb\\x1b[2J'"
    assert len(shown("x" * 10_000)) == 60


def header(**changed: Any) -> bytes:
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changed}
    return json.dumps({"w": entry}).encode()


BAD_HEADERS = [
    (header(data_offsets=[-8, 0]), "an offset is -8"),
    (header(data_offsets=[0, 2**60]), "an offset is"),
    (b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,1e999]}}', "no finite number"),
    (b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,Infinity]}}', "no finite number"),
    (header(data_offsets=[0.0, 8.0]), "an offset is 0.0"),
    (header(data_offsets=[8, 0]), "data from 8 to 0"),
    (header(data_offsets=[0, 8, 16]), "not two numbers"),
    (header(data_offsets=8), "not two numbers"),
    (header(data_offsets=[8, 16]), "leaves a gap"),
    (header(data_offsets=[0, 9]), "9 bytes for 2 elements of F32"),
    (header(shape=[-2]), "a side is -2"),
    (header(shape=[True, 2]), "a side is True"),
    (header(shape=["2"]), "a side is '2'"),
    (header(shape=[2**40, 2**40]), "elements"),
    (header(shape=[1] * 17), "at most 16 numbers"),
    (header(shape=2), "at most 16 numbers"),
    (header(dtype=["F32"]), "its type is a list"),
    (header(dtype="f32; rm"), "its type is"),
    (b'{"__metadata__": ["pt"]}', "its metadata are not texts by name"),
    (b'{"__metadata__": {"format": {"a": "pt"}}}', "its metadata are not texts by name"),
    (b'{"__metadata__": {"epoch": 3}}', "its metadata are not texts by name"),
    (header(extra=1), "not dtype, shape and data_offsets"),
    (b'{"w": []}', "not dtype, shape and data_offsets"),
    (b'{"w": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", "deeper than 64"),
    (b'{"w": {"dtype": "F32"}, "w": {"dtype": "F32"}}', "stands twice"),
    (json.dumps({"n" * 2000: {}}).encode(), "its name is"),
    (
        b'{"a":{"dtype":"I8","shape":[4],"data_offsets":[0,4]},'
        b'"b":{"dtype":"I8","shape":[4],"data_offsets":[2,6]}}',
        "'b' overlaps the data before it",
    ),
]


@pytest.mark.parametrize(("text", "why"), BAD_HEADERS, ids=range(len(BAD_HEADERS)))
def test_a_header_against_the_format_is_refused(text: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why) if "|" not in why else why):
        parse_header(text)


def test_a_header_for_another_size_is_refused() -> None:
    text = header()
    assert [tensor.size for tensor in parse_header(text, 8 + len(text) + 8)] == [8]
    for other in (0, 8 + len(text), 8 + len(text) + 9):
        with pytest.raises(ValueError, match="its tensors end at byte"):
            parse_header(text, other)


def test_a_pointer_of_git_lfs_is_named() -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 5\n"
    for size in (8, 20, len(pointer)):
        with pytest.raises(ValueError, match="pointer of Git LFS"):
            header_length(pointer[:size])
    with pytest.raises(ValueError, match="header of"):
        header_length(struct.pack("<Q", bounds.HEADER + 1))


WORDS = [
    ("", "empty, no JSON"),
    (" \n", "empty, no JSON"),
    ("<!DOCTYPE html>", "a web page, no JSON"),
    ('{"a": \n x}', "no JSON from line 2, column 2 on"),
    (b"\xef\xbb\xbf{}", "no JSON from line 1, column 1 on"),
    (b'"\xe9"', "no text in UTF-8: byte 2 is none of it"),
    ('["\\ud800"]', "half of a surrogate pair, which no text may have"),
    ("1" * 5000, "a number of more than 4000 digits"),
]


@pytest.mark.parametrize(("text", "why"), WORDS, ids=range(len(WORDS)))
def test_a_message_has_no_words_of_a_decoder(text: str | bytes, why: str) -> None:
    with pytest.raises(ValueError, match=f"^{why}$"):
        parse_json(text, 10**6)


def test_words_of_python_about_its_types_are_no_reason() -> None:
    assert plainly(KeyError("files")) == "it has no 'files'"
    assert plainly(TypeError("'int' object is not iterable")) == "it has another form"
    assert plainly(ValueError("a size is -1")) == "a size is -1"


@pytest.mark.parametrize("read", [int, float])
def test_what_is_no_number_is_shown_without_words_of_python(read: type) -> None:
    with pytest.raises(ValueError, match="x") as caught:
        read("x")
    assert plainly(caught.value) == "it has 'x' where a number is due"
