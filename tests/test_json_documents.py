"""Each command's document has a schema, and the check of documents finds what is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from scripts.write_reference import contexts
from tests.json_documents import SCHEMAS, command_of, faults, require_document

WITH_JSON = {
    context.command_path.removeprefix("toolkit ")
    for context in contexts()
    if any(each.name == "as_json" for each in context.command.params)
}
# As they are shipped; `make check` makes them anew, which takes a second for each worker of the tests.
TEXTS = {each.name: each.read_text("utf-8") for each in sorted(SCHEMAS.iterdir())}
ERROR = {"kind": "busy", "message": "another command runs", "hint": "", "exit_code": 4, "hosts": {}}
PULLED: dict[str, Any] = {"model": "tiny", "version": "v1", "fetch": 8, "resumed": 0, "files": 1}


def test_every_command_with_json_has_a_schema_and_no_other_has() -> None:
    assert len(WITH_JSON) > 25
    assert set(TEXTS) == {f"{each.replace(' ', '-')}.schema.json" for each in WITH_JSON}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_schema_describes_every_field_and_refers_to_nothing_outside(text: str) -> None:
    schema = json.loads(text)
    Draft202012Validator.check_schema(schema)
    for document in [*schema["anyOf"], *schema["$defs"].values()]:
        assert document["description"]
        for name, field in document["properties"].items():
            assert field["description"].endswith((".", "`")), name
    references = {word for word in text.split('"') if word.startswith("#/")}
    assert references == {f"#/$defs/{name}" for name in schema["$defs"]}


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ({"versions": [PULLED], "dry_run": True}, ""),
        ({"error": ERROR}, ""),
        ({"versions": [{**PULLED, "new": 1}], "dry_run": True}, "'new' was unexpected"),
        ({"versions": [PULLED], "dry_run": True, "new": 1}, "'new' was unexpected"),
        ({"versions": [{**PULLED, "fetch": "8"}], "dry_run": True}, "is not of type 'integer'"),
        ({"dry_run": True}, "'versions' is a required property"),
        ({"error": {**ERROR, "hosts": {"a": {}}}}, "'kind' is a required property"),
    ],
)
def test_a_document_is_held_to_its_schema(document: Any, fault: str) -> None:
    found = faults("pull", document)
    assert bool(found) == bool(fault)
    assert fault in "\n".join(found)


@pytest.mark.parametrize(
    ("code", "out"),
    [
        (0, '{"written": []}\n{"written": []}\n'),
        (0, "written\n"),
        (0, "[]\n"),
        (4, '{"written": []}\n'),
        (0, json.dumps({"error": ERROR})),
        (7, json.dumps({"error": ERROR})),
    ],
)
def test_a_command_prints_one_object_with_an_error_exactly_where_it_fails(
    code: int, out: str
) -> None:
    words = ("registry", "init", "--json")
    with pytest.raises((AssertionError, json.JSONDecodeError)):
        require_document(words, code, out)
    require_document(words[:-1], code, out)
    require_document(words, 0, '{"written": []}\n')
    require_document(words, 4, json.dumps({"error": ERROR}))


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (("status", "tiny", "--json"), "status"),
        (("--debug", "keys", "add", "ann"), "keys add"),
        (("keys", "--json"), ""),
        (("completion", "bash"), ""),
        (("nonsense",), ""),
    ],
)
def test_the_command_of_a_command_line_is_found(words: tuple[str, ...], command: str) -> None:
    assert command_of(words) == command
