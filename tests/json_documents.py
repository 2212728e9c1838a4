"""Holds what commands print with `--json` to the schemas of their documents."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import click
from jsonschema import Draft202012Validator, ValidationError

from toolkit.cli.main import cli

SCHEMAS = Path(__file__).resolve().parent.parent / "toolkit" / "documents"


def command_of(words: Sequence[str]) -> str:
    """Return the command with `--json` that `words` name, such as `keys add`; nothing where they name none."""
    command: click.Command | None = cli
    found: list[str] = []
    for word in words:
        if isinstance(command, click.Group) and not word.startswith("-"):
            known = command.list_commands(click.Context(command))
            command = command.get_command(click.Context(command), word)
            # `gate MODEL` is short for `gate run MODEL`.
            found.append(word if word in known or command is None else str(command.name))
    parameters = command.params if command else ()
    return " ".join(found) if any(each.name == "as_json" for each in parameters) else ""


def require_document(words: Sequence[str], code: int, out: str) -> None:
    """Require that a command with `--json` printed one document, as its schema has it, and an error where it failed."""
    name = command_of(words)
    if "--json" not in words or not name or code < 0:
        return
    # `watch` prints a document each second.
    *earlier, document = _documents(out) if name == "watch" else [json.loads(out)]
    for each in earlier:
        require_valid(name, each)
    assert isinstance(document, dict), document
    assert (code == 0) == ("error" not in document), (code, document)
    if code:
        assert document["error"]["exit_code"] == code, document["error"]
    require_valid(name, document)


def _documents(out: str) -> list[Any]:
    found, rest = [], out.lstrip()
    while rest:
        document, end = json.JSONDecoder().raw_decode(rest)
        found.append(document)
        rest = rest[end:].lstrip()
    return found


def require_valid(name: str, document: Any) -> None:
    """Require that `document` is one of those of the command `name`, with no field that its schema does not have."""
    found = faults(name, document)
    assert found == [], f"toolkit {name} --json: " + "\n".join(found)


def faults(name: str, document: Any) -> list[str]:
    """Return what is wrong with a document, by the alternative of the schema that it comes closest to."""
    wrong = list(_validator(name).iter_errors(document))
    alternatives: dict[int, list[ValidationError]] = {}
    for each in wrong[0].context if wrong else ():
        alternatives.setdefault(int(each.schema_path[0]), []).append(each)
    closest = min(alternatives.values(), key=_distance, default=wrong)
    return [f"{each.json_path}: {each.message[:300]}" for each in closest]


def _distance(found: Sequence[ValidationError]) -> tuple[int, int]:
    """Return how far a document is from an alternative: first its own fields, then what is in them."""
    return sum(not each.path for each in found), len(found)


@cache
def _validator(name: str) -> Draft202012Validator:
    path = SCHEMAS / f"{name.replace(' ', '-')}.schema.json"
    # That each is a schema is a test of its own: to look takes ten times as long as to read it.
    return Draft202012Validator(_closed(json.loads(path.read_text("utf-8"))))


def _closed(schema: Any) -> Any:
    """Return a schema that allows no field but those that it names."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(each) for key, each in schema.items()}
    if isinstance(schema.get("required"), list):
        closed["additionalProperties"] = False
    return closed
