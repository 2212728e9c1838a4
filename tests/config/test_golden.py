"""Files of golden prompts: what they ask, and how a line that is no check is refused."""

# One row of a table is one line, however long.
# ruff: noqa: E501

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from toolkit.adapters.matching.matching import matching
from toolkit.config.golden.reading import read_golden
from toolkit.config.yaml_dump import dump_yaml
from toolkit.domain.bounds import GOLDEN, GOLDEN_PROMPTS
from toolkit.domain.gates.golden import Expectation, Fit, Fits, GoldenPrompt, Range, ToolCall
from toolkit.domain.gates.kind import Kind
from toolkit.errors import InputError

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture(scope="module")
def fits() -> Iterator[Fits]:
    with matching(seconds=0.05) as found:
        yield found


def read(tmp_path: Path, fits: Fits, text: str, name: str = "x.yaml") -> tuple[GoldenPrompt, ...]:
    (tmp_path / name).write_text(text, "utf-8")
    return read_golden(tmp_path / name, fits)


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
        "- {prompt: hi, timeout: 5s, expect: {exact: a}}\n- {prompt: hi, tries: {least: 3, of: 5}, expect: {exact: b}}\n",
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


FOR_EVER = (
    "do not repeat what is repeated or left out itself (write a+ for (a+)+), and use `.*` once"
)
EITHER = "change one of the two"
DEFS = "write one below `$defs`; within a part that has an `$id`, `#` is that part"
INTO = "refer to it below `properties` or `items`"


@pytest.mark.parametrize(
    ("written", "message", "hint"),
    [
        ("prompt: hi", ":1:3: entry 1 of the file has no 'expect'", "add `expect:` with a value"),
        ("prompt: hi, expect: {}", ":1:3: it expects nothing, and so is no check", "write for example `expect: {contains: Paris}`"),
        ("prompt: hi, expect: Paris", ":1:24: expect: expected a mapping (`key: value` lines), not the text 'Paris'", "known here: choice, contains, dimensions, exact, json_schema, lacks, length, norm, order, refusal, regex, similarity, tokens, tool_call"),
        ("promt: hi, expect: {exact: a}", ":1:4: unknown field 'promt'", "did you mean 'prompt'?"),
        ("expect: {exact: a}", ":1:3: a golden prompt has either a `prompt` or, for several turns, `messages`", "write `prompt: What is the capital of France?`"),
        ("prompt: hi, expect: {exact: ''}", ":1:32: exact: an empty text", "see docs/upgrades.md"),
        ("prompt: hi, expect: {choice: []}", ":1:33: choice: an empty list", "see docs/upgrades.md"),
        (f"prompt: hi, expect: {{regex: '{'a' * 1001}'}}", ":1:32: regex: more than 1000 characters", "see docs/upgrades.md"),
        ("prompt: hi, expect: {regex: '('}", ":1:32: no regular expression: missing ), unterminated subpattern at position 0", "see the manual of Python's `re`"),
        ("prompt: hi, expect: {regex: '(a+)+$'}", ":1:3: the match of the pattern '(a+)+$' with some answers may run for ever", FOR_EVER),
        ("prompt: hi, expect: {regex: '(-+)+$'}", ":1:3: the match of the pattern '(-+)+$' with some answers may run for ever", FOR_EVER),
        ("prompt: hi, expect: {regex: '^a((bc)+)+d'}", ":1:3: the match of the pattern '^a((bc)+)+d' with some answers may run for ever", FOR_EVER),
        ("prompt: hi, expect: {regex: '([!-/]+)+x'}", ":1:3: the match of the pattern '([!-/]+)+x' with some answers may run for ever", FOR_EVER),
        ("prompt: hi, expect: {regex: '(ab|a|ba)*c'}", ":1:3: the match of the pattern '(ab|a|ba)*c' with some answers may run for ever", FOR_EVER),
        ("prompt: hi, expect: {regex: '(<[^>]*>?)+!'}", ":1:3: the match of the pattern '(<[^>]*>?)+!' with some answers may run for ever", FOR_EVER),
        ("prompt: hi, expect: {regex: '(x|x)*y'}", ":1:3: the match of the pattern '(x|x)*y' with some answers may run for ever", FOR_EVER),
        ("prompt: hi, expect: {regex: '^(\\w+ ?)*$', exact: A}", ":1:3: the match of the pattern '^(\\\\w+ ?)*$' with some answers may run for ever", FOR_EVER),
        ("prompt: hi, expect: {regex: '^(\\s*-\\s*\\w*)*$'}", ":1:3: the match of the pattern '^(\\\\s*-\\\\s*\\\\w*)*$' with some answers may run for ever", FOR_EVER),
        ("prompt: hi, expect: {regex: '(a?){40}a{40}'}", ":1:3: the match of the pattern '(a?){40}a{40}' with some answers may run for ever", FOR_EVER),
        ("prompt: hi, expect: {regex: '(x|(-?){35}-{70})'}", ":1:3: the match of the pattern '(x|(-?){35}-{70})' with some answers may run for ever", FOR_EVER),
        ("prompt: hi, expect: {regex: 'a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}", ":1:3: the match of the pattern 'a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?' with some answers may run for ever", FOR_EVER),
        ("prompt: hi, expect: {regex: '(?=(<[^>]*>?)+!)'}", ":1:3: the match of the pattern '(?=(<[^>]*>?)+!)' with some answers may run for ever", FOR_EVER),
        ("prompt: hi, expect: {json_schema: {properties: {a: {pattern: '(a+)+$'}}}}", ":1:3: the match of the pattern '(a+)+$' with some answers may run for ever", FOR_EVER),
        ("prompt: hi, expect: {json_schema: {patternProperties: {'(a+)+$': {}}}}", ":1:3: the match of the pattern '(a+)+$' with some answers may run for ever", FOR_EVER),
        ("prompt: hi, expect: {json_schema: {type: objekt}}", ":1:38: no JSON Schema: 'objekt' is not valid under any of the given schemas", "see json-schema.org"),
        ("prompt: hi, expect: {json_schema: {$ref: 'http://a/b'}}", ":1:38: the schema refers to 'http://a/b' ($ref), which is never fetched", "write it into the schema, and refer to it by `#/$defs/...`"),
        ("prompt: hi, expect: {json_schema: {$ref: '#/$defs/missing'}}", ":1:38: the schema refers to '#/$defs/missing' ($ref), where it has no schema", DEFS),
        ("prompt: hi, expect: {json_schema: {$ref: '#missing'}}", ":1:38: the schema refers to '#missing' ($ref), where it has no schema", DEFS),
        ("prompt: hi, expect: {json_schema: {$ref: '#/type', type: object}}", ":1:38: the schema refers to '#/type' ($ref), where it has no schema", DEFS),
        ("prompt: hi, expect: {json_schema: {$ref: '#/type/x', type: object}}", ":1:38: the schema refers to '#/type/x' ($ref), where it has no schema", DEFS),
        ("prompt: hi, expect: {json_schema: {items: {$id: 'http://a/b', $ref: '#/$defs/c'}, $defs: {c: {}}}}", ":1:38: the schema refers to '#/$defs/c' ($ref), where it has no schema", DEFS),
        ("prompt: hi, expect: {json_schema: {$ref: '#/x', x: {$ref: '#/y'}}}", ":1:38: the schema refers to '#/y' ($ref), where it has no schema", DEFS),
        ("prompt: hi, expect: {json_schema: {$ref: '#/x', x: {type: objekt}}}", ":1:38: the schema refers to '#/x', which is no JSON Schema: 'objekt' is not valid under any of the given schemas", "see json-schema.org"),
        ("prompt: hi, expect: {json_schema: {$id: 'http://['}}", ":1:38: no JSON Schema: an `$id`: Invalid IPv6 URL", "see json-schema.org"),
        ("prompt: hi, expect: {json_schema: {$ref: '#'}}", ":1:38: the schema refers to '#' in a circle, so the check of an answer never ends", INTO),
        ("prompt: hi, expect: {json_schema: {$ref: '#/$defs/a', $defs: {a: {anyOf: [{type: string}, {$ref: '#/$defs/b'}]}, b: {not: {$ref: '#/$defs/a'}}}}}", ":1:38: the schema refers to '#/$defs/b' in a circle, so the check of an answer never ends", INTO),
        ("kind: embedding, prompt: hi, sampling: {encoding_format: base64}, expect: {similarity: 0.9}", ":1:3: an answer with encoding_format 'base64' is not read", "leave it out, or write encoding_format: float"),
        ("kind: transcription, audio: a.wav, sampling: {response_format: srt}, expect: {contains: a}", ":1:3: an answer with response_format 'srt' is not read", "leave it out, or write response_format: json"),
        ("kind: transcription, audio: a.wav, expect: {tokens: {least: 1}}", ":1:3: an answer of kind transcription has no `tokens`", "known here: exact, contains, lacks, regex, choice, json_schema, length"),
        ("kind: embedding, prompt: hi, sampling: {dimensions: 8}, expect: {dimensions: 4}", ":1:3: '8' dimensions are asked for, and 4 are expected", EITHER),
        ("kind: rerank, prompt: hi, documents: [a, b], sampling: {top_n: 1}, expect: {order: [0, 1]}", ":1:3: the best 1 are asked for, and 2 are expected", "change `top_n` or `order`"),
        ("prompt: hi, expect: {exact: ' '}", ":1:3: no answer can be as expected: '' contradicts the rest that is expected", EITHER),
        ("prompt: hi, expect: {exact: ' Paris', contains: ' Paris'}", ":1:3: no answer can be as expected: 'Paris' contradicts the rest that is expected", EITHER),
        ("prompt: hi, expect: {length: {}}", ":1:33: bounds without a number", "write {least: 1, most: 100} or one of the two"),
        ("prompt: hi, expect: {length: {least: 5, most: 4}}", ":1:33: no number is at least 5 and at most 4", "write the smaller one as `least`"),
        ("prompt: hi, max_tokens: 5, expect: {tokens: {least: 6}}", ":1:3: no answer can be as expected: an answer of at most 5 tokens never has 6", EITHER),
        ("prompt: hi, max_tokens: 1, expect: {length: {least: 300}}", ":1:3: no answer can be as expected: an answer of at most 1 tokens never has 300 characters", EITHER),
        ("prompt: hi, expect: {length: {most: 0}}", ":1:3: no answer can be as expected: an answer of less than one character is empty", EITHER),
        ("prompt: hi, expect: {contains: Paris, lacks: ari}", ":1:3: no answer can be as expected: no answer contains 'Paris' and lacks 'ari'", EITHER),
        ("prompt: hi, expect: {contains: Paris, length: {most: 4}}", ":1:3: no answer can be as expected: 'Paris' is longer than at most 4", EITHER),
        ("prompt: hi, expect: {regex: 'a^b'}", ":1:3: no answer can be as expected: the pattern 'a^b' finds nothing", EITHER),
        ("prompt: hi, expect: {regex: '^[0-9]+$', contains: euros}", ":1:3: no answer can be as expected: the pattern '^[0-9]+$', contains 'euros' exclude each other", EITHER),
        ("prompt: hi, expect: {contains: [Paris, Oslo], length: {most: 7}}", ":1:3: no answer can be as expected: contains 'Paris', contains 'Oslo', a length of at most 7 exclude each other", EITHER),
        ("prompt: hi, expect: {exact: Rome, contains: Paris}", ":1:3: no answer can be as expected: 'Rome' contradicts the rest that is expected", EITHER),
        ("prompt: hi, expect: {exact: Rome, choice: [Paris, Oslo]}", ":1:3: no answer can be as expected: 'Rome' contradicts the rest that is expected", EITHER),
        ("prompt: hi, expect: {json_schema: {type: integer, minimum: 5, maximum: 3}}", ":1:3: no answer can be as expected: no JSON is of the schema", EITHER),
        ("prompt: hi, expect: {json_schema: {type: object, required: [a], properties: {a: {type: string, minLength: 3, maxLength: 2}}}}", ":1:3: no answer can be as expected: no JSON is of the schema", EITHER),
        ("prompt: hi, expect: {json_schema: {type: object, required: [a, b], properties: {a: {}}, additionalProperties: false}}", ":1:3: no answer can be as expected: no JSON is of the schema", EITHER),
        ("prompt: hi, expect: {json_schema: {type: object, required: [a, b], maxProperties: 1}}", ":1:3: no answer can be as expected: no JSON is of the schema", EITHER),
        ("prompt: hi, expect: {json_schema: {allOf: [{}, {anyOf: [false, {type: array, minItems: 2, maxItems: 1}]}]}}", ":1:3: no answer can be as expected: no JSON is of the schema", EITHER),
        ("prompt: hi, expect: {exact: Rome, regex: '^[0-9]+$'}", ":1:3: no answer can be as expected: 'Rome' contradicts the rest that is expected", EITHER),
        ("prompt: hi, expect: {choice: [a, b], json_schema: {type: object}}", ":1:3: no answer can be as expected: each choice contradicts the rest that is expected", EITHER),
        ("prompt: hi, expect: {tool_call: {name: w}}", ":1:3: no answer can call 'w': the tools are none", "add it to `tools`"),
        ("prompt: hi, expect: {similarity: 0.9}", ":1:3: an answer of kind chat has no `similarity`", "known here: exact, contains, lacks, regex, choice, json_schema, length, tokens, tool_call, refusal"),
        ("kind: embedding, prompt: hi, expect: {contains: a}", ":1:3: an answer of kind embedding has no `contains`", "known here: dimensions, norm, similarity"),
        ("kind: embedding, prompt: hi, expect: {similarity: 1.1}", ":1:54: similarity: input should be less than or equal to 1", "see docs/upgrades.md"),
        ("kind: rerank, prompt: hi, documents: [a, b], expect: {order: [2]}", ":1:3: no document 2: there are 2, counted from 0", "list documents by their place"),
        ("kind: rerank, prompt: hi, documents: [a, b], expect: {order: [1, 1]}", ":1:3: a document stands twice in `order`", "list each one once"),
        ("kind: chatt, prompt: hi, expect: {exact: a}", ":1:10: kind: 'chatt' is not known", "did you mean 'chat'?"),
        ("prompt: hi, sampling: {temprature: 1}, expect: {exact: a}", ":1:3: 'temprature' is no field of sampling", "known: "),
        ("prompt: hi, tries: {least: 3, of: 2}, expect: {exact: a}", ":1:23: 3 of 2 answers cannot be as expected", "write for example {least: 3, of: 5}"),
        ("prompt: hi, images: [no.png], expect: {exact: a}", ":1:3: no.png cannot be read: No such file or directory", "put it beside this file"),
        ("prompt: hi, images: [../no.png], expect: {exact: a}", ":1:3: '../no.png' does not lie beside the golden prompts", "see docs/upgrades.md"),
        ("prompt: hi, images: ['data:text/plain,a'], expect: {exact: a}", ":1:3: 'data:text/plain,a' is no image", "write data:image/png;base64,... or name a file"),
        ("prompt: hi, timeout: 0s, expect: {exact: a}", ":1:25: a duration here is more than 0 s and at most 60min", "write it like 60s or 2min"),
        ("prompt: hi, max_tokens: 0, expect: {exact: a}", ":1:28: max_tokens: input should be greater than or equal to 1", "see docs/upgrades.md"),
        ("messages: [{role: assistant, content: a}], expect: {exact: a}", ":1:3: the last turn is the assistant's, so nothing is asked", "end with a user's turn"),
    ],
)  # fmt: skip
def test_a_line_that_is_no_check_is_refused_with_its_place(
    tmp_path: Path, fits: Fits, written: str, message: str, hint: str
) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, fits, f"- {{{written}}}\n")
    assert caught.value.message == f"{tmp_path / 'x.yaml'}{message}"
    assert caught.value.hint.startswith(hint)


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


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.yaml", "", ": no list of golden prompts"),
        ("x.yaml", "[]", ": no list of golden prompts"),
        ("x.yaml", "prompt: hi\n", ": no list of golden prompts"),
        ("x.yaml", "- hi\n", ":1:3: entry 1 of the file: expected a mapping (`key: value` lines), not the text 'hi'"),
        ("x.yaml", "- {prompt: a, expect: {exact: a}}\n- {prompt: , expect: {exact: a}}\n", ":2:4: 'prompt' has no value"),
        ("x.yaml", "- {prompt: a, expect: {exact: b}}\n- {prompt: a, expect: {exact: b}}\n", ":2:3: line 1 asks and expects the same"),
        ("x.yaml", "- {name: n, prompt: a, expect: {exact: b}}\n- {name: n, prompt: b, expect: {exact: b}}\n", ":2:3: two prompts are called 'n'; the other in line 1"),
        ("x.jsonl", '{"prompt": "a", "expect": {"exact": "b"}}\n{"prompt": \n', ":2:12: no JSON: Expecting value"),
        ("x.jsonl", '{"prompt": "a", "prompt": "b", "expect": {"exact": "b"}}\n', ":1:1: no JSON: 'prompt' stands twice"),
        ("x.jsonl", "\n[1]\n", ":2:1: entry 1 of the file: expected a mapping (`key: value` lines), not a list"),
    ],
)  # fmt: skip
def test_a_file_that_is_none_is_refused(
    tmp_path: Path, fits: Fits, name: str, text: str, message: str
) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, fits, text, name)
    assert caught.value.message.partition("\n")[0] == f"{tmp_path / name}{message}"


def test_a_file_that_is_not_there_is_refused(tmp_path: Path, fits: Fits) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_golden(tmp_path / "x.yaml", fits)
