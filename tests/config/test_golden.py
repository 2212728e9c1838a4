"""Files of golden prompts: what they ask, and which answers are as they expect."""

# One row of a table is one line, however long.
# ruff: noqa: E501

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests.config.golden_file import read
from toolkit.adapters.matching.matching import matching
from toolkit.config.yaml_dump import dump_yaml
from toolkit.domain.bounds import GOLDEN, GOLDEN_PROMPTS
from toolkit.domain.gates.golden import Expectation, Fit, Fits, Range, ToolCall
from toolkit.domain.gates.kind import Kind
from toolkit.errors import InputError

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def chat(text: str = "hi", **more: Any) -> dict[str, Any]:
    return {
        "messages": [{"role": "user", "content": text}],
        "max_tokens": 256,
        "temperature": 0,
        **more,
    }


WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


@pytest.mark.parametrize(
    ("written", "payload", "expect"),
    [
        ("prompt: hi, expect: {exact: hello}", chat(), Expectation(exact="hello")),
        ("prompt: hi, expect: {contains: a}", chat(), Expectation(contains=("a",))),
        ("prompt: hi, expect: {contains: [a, b], lacks: c}", chat(), Expectation(contains=("a", "b"), lacks=("c",))),
        ("prompt: hi, expect: {regex: '^[0-9]+$'}", chat(), Expectation(regex="^[0-9]+$")),
        ("prompt: hi, expect: {regex: '[[a]'}", chat(), Expectation(regex="[[a]")),
        ("prompt: hi, expect: {choice: [a, b]}", chat(), Expectation(choice=("a", "b"))),
        ("prompt: hi, expect: {json_schema: {type: object}}", chat(), Expectation(json_schema={"type": "object"})),
        ("prompt: hi, expect: {refusal: true}", chat(), Expectation(refusal=True)),
        ("prompt: hi, expect: {refusal: false, length: {most: 9}}", chat(), Expectation(refusal=False, length=Range(None, 9))),
        ("prompt: hi, max_tokens: 9, expect: {tokens: {least: 1, most: 9}}", chat(max_tokens=9), Expectation(tokens=Range(1, 9))),
        ("prompt: hi, sampling: {temperature: 0.7, seed: 1}, expect: {contains: a}", chat(temperature=0.7, seed=1), Expectation(contains=("a",))),
        (f"prompt: hi, tools: [{json.dumps(WEATHER)}], expect: {{tool_call: {{name: weather, arguments: {{city: Paris}}}}}}", chat(tools=[WEATHER]), Expectation(tool_call=ToolCall("weather", {"city": "Paris"}))),
        ("kind: completion, prompt: hi, expect: {contains: a}", {"prompt": "hi", "max_tokens": 256, "temperature": 0}, Expectation(contains=("a",))),
        ("kind: embedding, prompt: hi, expect: {dimensions: 8, norm: {least: 0.9}, similarity: 0.99}", {"input": "hi"}, Expectation(dimensions=8, norm=Range(0.9), similarity=0.99)),
        ("kind: rerank, prompt: hi, documents: [a, b], expect: {order: [1, 0]}", {"query": "hi", "documents": ["a", "b"]}, Expectation(order=(1, 0))),
    ],
)  # fmt: skip
def test_a_prompt_asks_and_expects(
    tmp_path: Path, fits: Fits, written: str, payload: dict[str, Any], expect: Expectation
) -> None:
    (prompt,) = read(tmp_path, fits, f"- {{{written}}}\n")
    assert (prompt.name, prompt.place) == ("line 1", "x.yaml:1")
    assert (dict(prompt.payload), prompt.expect) == (payload, expect)


def test_several_turns_follow_the_system_prompt(tmp_path: Path, fits: Fits) -> None:
    turns = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    ]
    text = json.dumps(
        {"name": "turns", "system": "be brief", "messages": turns, "expect": {"contains": ["d"]}}
    )
    (prompt,) = read(tmp_path, fits, f"\n{text}\n", "x.jsonl")
    assert (prompt.name, prompt.place) == ("turns", "x.jsonl:2")
    assert prompt.payload["messages"] == [{"role": "system", "content": "be brief"}, *turns]


def test_images_are_sent_as_data(tmp_path: Path, fits: Fits) -> None:
    (tmp_path / "dot.png").write_bytes(PNG)
    url = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    text = f"- {{prompt: what?, images: [dot.png, '{url}'], expect: {{contains: dot}}}}\n"
    (prompt,) = read(tmp_path, fits, text)
    image = {"type": "image_url", "image_url": {"url": url}}
    assert prompt.payload["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "what?"}, image, image]}
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.png", b"", "a.png is empty"),
        ("a.png", b"\xff\xd8\xff\xe0", "a.png does not begin like a file of type png"),
        ("a.JPG", PNG, "a.JPG does not begin like a file of type jpeg"),
        ("a.webp", b"RIFF\x04\0\0\0WAVE", "a.webp does not begin like a file of type webp"),
        ("a.gif", b"<html>", "a.gif does not begin like a file of type gif"),
        ("a.txt", b"hi", "'a.txt' is none of .png, .jpg, .jpeg, .webp, .gif"),
        ("a.png", b"\x89PNG\r\n\x1a\n" + bytes(GOLDEN), "the files here have more than 16 MiB together"),
        ("data:image/png;base64,aGk=", b"", "'data:image/png;base64,aGk=' does not begin like a file of type png"),
        ("data:image/jpg;base64,aGk=", b"", "'data:image/jpg;base64,aGk=' does not begin like a file of type jpeg"),
        ("data:image/jpg;base64,aGk", b"", "an image that is not in base64"),
    ],
    ids=["empty", "jpeg", "png", "wav", "page", "text", "large", "data", "jpg", "no base64"],
)  # fmt: skip
def test_an_image_of_another_type_is_refused(
    tmp_path: Path, fits: Fits, name: str, content: bytes, message: str
) -> None:
    if not name.startswith("data:"):
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        read(tmp_path, fits, f"- {{prompt: hi, images: ['{name}'], expect: {{exact: a}}}}\n")
    assert caught.value.message == f"{tmp_path / 'x.yaml'}:1:3: {message}"


@pytest.mark.parametrize("kind", ["jpg", "jpeg", "bmp"])
def test_an_image_may_stand_in_the_file(tmp_path: Path, fits: Fits, kind: str) -> None:
    url = f"data:image/{kind};base64,/9j/4A=="
    written = f"- {{prompt: hi, images: ['{url}'], expect: {{exact: a}}}}\n"
    (prompt,) = read(tmp_path, fits, written)
    assert prompt.payload["messages"][0]["content"][1]["image_url"]["url"] == url


def test_a_file_has_so_many_prompts(tmp_path: Path, fits: Fits) -> None:
    lines = [
        f'{{"prompt": "{number}", "expect": {{"exact": "a"}}}}' for number in range(GOLDEN_PROMPTS)
    ]
    assert len(read(tmp_path, fits, "\n".join(lines), "x.jsonl")) == GOLDEN_PROMPTS
    more = "\n".join([*lines, '{"prompt": "a", "expect": {"exact": "a"}}'])
    with pytest.raises(InputError) as caught:
        read(tmp_path, fits, more, "x.jsonl")
    assert caught.value.message == f"{tmp_path / 'x.jsonl'}:2001:1: more than 2000 prompts"


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ('{"prompt": "a"}', "entry 1 of the file has no 'expect'", "add `expect:` with a value"),
        ('{"prompt": 5, "expect": {"exact": "a"}}', "prompt: expected text, not the number 5", 'write it in quotes: "5"'),
        ('{"prompt": "a", "expect": "b"}', "expect: expected a mapping (`key: value` lines), not the text 'b'", "known here: choice"),
        ('{"prompt": "a", "expect": {"exat": "b"}}', "unknown field 'exat'", "did you mean 'exact'?"),
        ('{"prompt": "a", "expect": {"xyz": "b"}}', "unknown field 'xyz'", "known here: choice"),
        ('{"prompt": "a", "expect": {"length": {"most": "9"}}}', "length: expected a number, not the text '9'", "known here: least, most"),
        ("null", "entry 1 of the file has no value", "write one, or remove the line"),
    ],
)  # fmt: skip
def test_a_fault_of_a_line_of_json_names_the_field(
    tmp_path: Path, fits: Fits, line: str, message: str, hint: str
) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, fits, f"{line}\n", "x.jsonl")
    assert caught.value.message == f"{tmp_path / 'x.jsonl'}:1:1: {message}"
    assert caught.value.hint.startswith(hint)


def test_a_field_of_json_may_have_no_value(tmp_path: Path, fits: Fits) -> None:
    line = {"name": None, "prompt": "a", "system": None, "expect": {"exact": "b", "regex": None}}
    (prompt,) = read(tmp_path, fits, json.dumps(line), "x.jsonl")
    assert (prompt.name, prompt.expect) == ("line 1", Expectation(exact="b"))


def test_a_recording_is_sent_as_a_file(tmp_path: Path, fits: Fits) -> None:
    sound = b"RIFF\x04\0\0\0WAVE"
    (tmp_path / "a.wav").write_bytes(sound)
    (prompt,) = read(
        tmp_path, fits, "- {kind: transcription, audio: a.wav, expect: {contains: hello}}\n"
    )
    file = {"name": "a.wav", "type": "audio/wav", "data": base64.b64encode(sound).decode()}
    assert (prompt.kind, dict(prompt.payload)) == (
        Kind.TRANSCRIPTION,
        {"file": file, "temperature": 0},
    )


def test_several_tries_may_be_asked_for(tmp_path: Path, fits: Fits) -> None:
    one, two = read(
        tmp_path,
        fits,
        "- {prompt: hi, timeout: 5s, expect: {exact: a}}\n- {prompt: ho, tries: {least: 3, of: 5}, expect: {exact: b}}\n",
    )
    assert (one.tries, one.passes, one.timeout) == (1, 1, 5)
    assert (two.tries, two.passes, two.timeout) == (5, 3, 60)


@pytest.mark.parametrize(
    "words",
    [
        "if x:\n\treturn y",
        "Quoi\u00a0? 12\u202f000\u00a0\u20ac",
        "\u6771\u4eac\u3000\u99c5",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "\u0915\u094d\u200d\u0937",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "a\u00adb",
        "\u05d0\u200f!",
        # A sign of a Unicode that this Python may not know yet.
        "\U0001fae9",
    ],
    ids=["tab", "french", "japanese", "persian", "hindi", "family", "hyphen", "hebrew", "new"],
)
@pytest.mark.parametrize("name", ["x.yaml", "x.jsonl"])
def test_a_text_has_the_characters_of_its_language(
    tmp_path: Path, fits: Fits, words: str, name: str
) -> None:
    written = {"prompt": words, "expect": {"contains": words}}
    text = json.dumps(written) + "\n" if name == "x.jsonl" else dump_yaml([written])
    (prompt,) = read(tmp_path, fits, text, name)
    assert prompt.payload["messages"][0]["content"] == words
    assert prompt.expect.contains == (words,)


@pytest.mark.parametrize(
    "sign", ["\x00", "\x1b", "\r", "\x85", "\u2028", "\u202e", "\u2066", "\ud800"]
)
def test_a_text_has_no_character_that_commands_a_terminal(
    tmp_path: Path, fits: Fits, sign: str
) -> None:
    written = json.dumps({"prompt": f"a{sign}b", "expect": {"contains": "a"}})
    with pytest.raises(InputError) as caught:
        read(tmp_path, fits, written, "x.jsonl")
    # JSON may not have a half of a pair of surrogates at all.
    if sign != "\ud800":
        assert caught.value.message.endswith(f"a text with the control character {sign!r}")


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}}, "a", 1),
        ({"$ref": "#here", "$defs": {"a": {"$anchor": "here", "type": "string"}}}, "a", 1),
        ({"$ref": "#/$defs/a~1b%20c", "$defs": {"a/b c": {"type": "string"}}}, "a", 1),
        ({"$id": "http://a/b", "items": {"$ref": "#/$defs/a"}, "$defs": {"a": {"type": "string"}}}, ["a"], [1]),
        ({"$ref": "part", "$defs": {"a": {"$id": "part", "type": "string"}}}, "a", 1),
        ({"type": ["array", "null"], "items": {"$ref": "#"}}, [[], [None]], [1]),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"type": "null"}, {"required": ["next"], "properties": {"next": {"$ref": "#/$defs/a"}}}]}}}, {"next": None}, {}),
        ({"const": {"$ref": "http://a/b"}}, {"$ref": "http://a/b"}, 1),
    ],
)  # fmt: skip
def test_references_within_a_schema_are_followed(
    tmp_path: Path, schema: dict[str, Any], good: object, bad: object
) -> None:
    written = {"prompt": "hi", "expect": {"json_schema": schema}}
    with matching(seconds=10) as fits:
        (prompt,) = read(tmp_path, fits, json.dumps(written), "x.jsonl")
        assert prompt.expect.json_schema == schema
        assert fits(Fit(json.dumps(good), json_schema=schema)) == ""
        assert fits(Fit(json.dumps(bad), json_schema=schema))


@pytest.mark.parametrize(
    "written",
    [
        "kind: embedding, prompt: hi, sampling: {encoding_format: float, dimensions: 4}, expect: {dimensions: 4}",
        "kind: rerank, prompt: hi, documents: [a, b], sampling: {top_n: 0}, expect: {order: [0, 1]}",
        "prompt: hi, expect: {exact: ' Paris ', choice: [Paris], length: {most: 5}}",
    ],
)
def test_an_answer_that_can_be_as_expected_is_asked_for(
    tmp_path: Path, fits: Fits, written: str
) -> None:
    assert len(read(tmp_path, fits, f"- {{{written}}}\n")) == 1
