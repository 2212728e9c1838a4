"""How a file of golden prompts, or a line of it, is refused that is no check."""

# One row of a table is one line, however long.
# ruff: noqa: E501

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.config.golden_file import read
from toolkit.config.golden.reading import read_golden
from toolkit.domain.gates.golden import Fits
from toolkit.errors import InputError

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
        (f"prompt: hi, expect: {{regex: '{'a' * 1001}'}}", ":1:32: regex: more than 1000 characters", "leave some of it out"),
        ("prompt: hi, expect: {regex: '('}", ":1:32: no regular expression: missing ), unterminated subpattern at position 0", "see the manual of Python's `re`"),
        ("prompt: hi, expect: {regex: '(a+)+$'}", ":1:3: the match of the pattern '(a+)+$' with some answers may run for ever", FOR_EVER),
        ("prompt: hi, expect: {regex: '(.*)*$'}", ":1:3: the match of the pattern '(.*)*$' with some answers may run for ever", FOR_EVER),
        ("prompt: hi, expect: {regex: '(\\S+)*$'}", ":1:3: the match of the pattern '(\\\\S+)*$' with some answers may run for ever", FOR_EVER),
        ("prompt: hi, expect: {regex: '([^,]*)*$'}", ":1:3: the match of the pattern '([^,]*)*$' with some answers may run for ever", FOR_EVER),
        ("prompt: hi, expect: {regex: '(\\D+)+$'}", ":1:3: the match of the pattern '(\\\\D+)+$' with some answers may run for ever", FOR_EVER),
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
        ("prompt: hi, sampling: {temperature: -1}, expect: {exact: a}", ":1:3: `temperature` is -1, which an engine refuses", "write a number from 0 to 1000"),
        ("prompt: hi, sampling: {top_p: 0}, expect: {exact: a}", ":1:3: `top_p` is 0, which an engine refuses", "write a number from 1e-06 to 1"),
        ("prompt: hi, sampling: {top_k: many}, expect: {exact: a}", ":1:3: `top_k` is 'many', which an engine refuses", "write a number from -1 to 1e+09"),
        ("messages: [{role: user}], expect: {exact: a}", ":1:15: a turn of the user that says nothing", "add `content:`"),
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


OPPOSED = [
    ("expect: {exact: Paris}", "expect: {exact: Rome}", "'Paris' is not 'Rome'"),
    ("expect: {exact: Paris}", "expect: {contains: Rome}", "'Paris' contradicts the rest that is expected"),
    ("expect: {contains: Rome}", "expect: {exact: Paris}", "'Paris' contradicts the rest that is expected"),
    ("expect: {exact: Paris}", "expect: {lacks: ari}", "'Paris' contradicts the rest that is expected"),
    ("expect: {exact: Paris}", "expect: {regex: '^[0-9]+$'}", "'Paris' contradicts the rest that is expected"),
    ("expect: {exact: Paris}", "expect: {length: {least: 6}}", "'Paris' contradicts the rest that is expected"),
    ("expect: {exact: Paris}", "expect: {length: {most: 4}}", "'Paris' is longer than at most 4"),
    ("expect: {exact: Paris}", "expect: {choice: [Rome, Oslo]}", "'Paris' contradicts the rest that is expected"),
    ("expect: {exact: Paris}", "expect: {json_schema: {type: object}}", "'Paris' contradicts the rest that is expected"),
    ("expect: {choice: [yes it is, no]}", "expect: {choice: [maybe, never]}", "no choice of yes it is, no is one of maybe, never"),
    ("expect: {choice: [Paris, Oslo]}", "expect: {regex: '^[0-9]+$'}", "each choice contradicts the rest that is expected"),
    ("expect: {choice: [Paris, Oslo]}", "expect: {choice: [Oslo, Reykjavik], length: {least: 9}}", "each choice contradicts the rest that is expected"),
    ("expect: {contains: Paris}", "expect: {lacks: Paris}", "no answer contains 'Paris' and lacks 'Paris'"),
    ("expect: {contains: Paris}", "expect: {length: {most: 3}}", "'Paris' is longer than at most 3"),
    ("expect: {regex: '^[0-9]+$'}", "expect: {contains: euros}", "the pattern '^[0-9]+$', contains 'euros' exclude each other"),
    ("expect: {regex: '^[0-9]+$'}", "expect: {regex: 'x', contains: y}", "the pattern '^[0-9]+$', contains 'y' exclude each other"),
    ("expect: {length: {least: 9}}", "expect: {length: {most: 4}}", "a length is not at least 9 and at most 4"),
    ("expect: {tokens: {least: 9}}", "expect: {tokens: {most: 4}}", "a number of tokens is not at least 9 and at most 4"),
    ("expect: {refusal: true}", "expect: {refusal: false}", "no answer refuses and does not"),
    ("expect: {json_schema: {type: object}}", "expect: {json_schema: {type: array}}", "no JSON is of type object and of type array"),
    ("kind: embedding, expect: {dimensions: 4}", "kind: embedding, expect: {dimensions: 8}", "no vector has 4 dimensions and 8"),
    ("kind: embedding, expect: {norm: {most: 0.5}}", "kind: embedding, expect: {norm: {least: 0.9}}", "a norm is not at most 0.5 and at least 0.9"),
    ("kind: rerank, documents: [a, b], expect: {order: [0]}", "kind: rerank, documents: [a, b], expect: {order: [1, 0]}", "no order is 0 and 1, 0"),
    ("expect: {exact: Paris}, tries: {least: 2, of: 3}", "expect: {exact: Rome}, tries: {least: 2, of: 3}", "'Paris' is not 'Rome'"),
    ("sampling: {seed: 1, top_p: 1}, expect: {exact: Paris}", "sampling: {top_p: 1, seed: 1}, expect: {exact: Rome}", "'Paris' is not 'Rome'"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other", "why"), OPPOSED)
def test_two_prompts_that_ask_the_same_and_contradict_each_other_are_refused_with_both_lines(
    tmp_path: Path, fits: Fits, one: str, other: str, why: str
) -> None:
    between = "- {prompt: another, expect: {contains: Paris}}\n"
    with pytest.raises(InputError) as caught:
        read(tmp_path, fits, f"- {{prompt: hi, {one}}}\n{between}- {{prompt: hi, {other}}}\n")
    place = f"{tmp_path / 'x.yaml'}:3:3"
    assert (
        caught.value.message
        == f"{place}: line 1 asks the same, and no answer is as both expect: {why}"
    )
    assert caught.value.hint == "keep one of the two, or correct what it expects"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("expect: {exact: Paris}", "expect: {contains: Par}"),
        ("expect: {exact: ' Paris '}", "expect: {exact: Paris, lacks: Rome}"),
        ("expect: {choice: [Paris, Rome]}", "expect: {choice: [Rome, Oslo]}"),
        ("expect: {regex: '^P'}", "expect: {regex: 's$'}"),
        ("expect: {length: {least: 4}}", "expect: {length: {most: 4}}"),
        ("expect: {json_schema: {type: integer}}", "expect: {json_schema: {type: number}}"),
        # Another question, by one field.
        ("expect: {exact: Paris}", "system: Answer in Italian., expect: {exact: Parigi}"),
        ("expect: {exact: Paris}", "sampling: {seed: 2}, expect: {exact: Rome}"),
        ("expect: {exact: Paris}", "kind: completion, expect: {exact: Rome}"),
        # Some of the answers may be the one, some the other.
        ("expect: {exact: Paris}, tries: {least: 1, of: 2}", "expect: {exact: Rome}, tries: {least: 1, of: 2}"),
        ("kind: embedding, expect: {dimensions: 4}", "kind: embedding, expect: {norm: {least: 0.9}}"),
        ("kind: rerank, documents: [a, b], expect: {order: [0]}", "kind: rerank, documents: [a, b], expect: {order: [0, 1]}"),
    ],
)  # fmt: skip
def test_two_prompts_that_ask_the_same_are_taken_where_an_answer_may_be_as_both_expect(
    tmp_path: Path, fits: Fits, one: str, other: str
) -> None:
    assert len(read(tmp_path, fits, f"- {{prompt: hi, {one}}}\n- {{prompt: hi, {other}}}\n")) == 2


def test_prompts_of_jsonl_that_contradict_each_other_are_refused_with_both_lines(
    tmp_path: Path, fits: Fits
) -> None:
    lines = [
        '{"prompt": "hi", "expect": {"exact": "Paris"}}',
        "",
        '{"messages": [{"role": "user", "content": "hi"}], "expect": {"length": {"most": 2}}}',
    ]
    with pytest.raises(
        InputError, match=r"x\.jsonl:3:1: line 1 asks the same, and no answer is as"
    ):
        read(tmp_path, fits, "\n".join(lines), "x.jsonl")


def test_a_question_that_is_asked_hundreds_of_times_is_read_in_time(
    tmp_path: Path, fits: Fits
) -> None:
    asked = "".join(
        f"- {{prompt: hi, expect: {{contains: a{number}, regex: '[a-z]+{number}'}}}}\n"
        for number in range(200)
    )
    began = time.monotonic()
    assert len(read(tmp_path, fits, asked)) == 200
    assert time.monotonic() - began < 60


def test_a_file_that_is_not_there_is_refused(tmp_path: Path, fits: Fits) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_golden(tmp_path / "x.yaml", fits)
