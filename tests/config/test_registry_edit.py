"""A pin inserts lines; every other byte of the person's file stays."""

# One row of a table is one line, however long.
# ruff: noqa: E501

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.config.registry.edit import with_revision, with_version, write_registry
from toolkit.config.registry.reading import parse_registry, read_registry
from toolkit.config.shipped import REGISTRY, shipped_text
from toolkit.errors import InputError

PATH = Path("model_registry.yaml")
NEW = "f" * 40
HEAD = """\
# head
models:
  tiny:   # the small one
    licence: mit
    openness:   'open-weights'
    source: {repo: acme/tiny}
    engine: {name: vllm, version: 0.32.0}
    resources: {accelerators: [cpu], memory: 6GiB}
"""
OTHER = """\

  # about the other
  other:
    licence: mit
    openness: open-weights
    source: {repo: acme/other}
    engine: {name: vllm, version: 0.32.0}
    resources: {accelerators: [cpu], memory: 6GiB}
    versions: {"1": {revision: 1111111111111111111111111111111111111111}}
"""

# the part of the file with the versions -> where the new lines go (as the part with them in it)
INSERTIONS = {
    "after the last version": (
        "    versions:\n      a:\n        revision: 1111111111111111111111111111111111111111\n",
        "    versions:\n      a:\n        revision: 1111111111111111111111111111111111111111\n"
        "      v2:\n        revision: NEW\n",
    ),
    "with the indentation of the versions that stand there": (
        "    versions:\n         a:\n             revision: 1111111111111111111111111111111111111111\n",
        "    versions:\n         a:\n             revision: 1111111111111111111111111111111111111111\n"
        "         v2:\n             revision: NEW\n",
    ),
    "after comments that belong to the last version, before those that do not": (
        "    versions:\n      a:\n        revision: 1111111111111111111111111111111111111111 # why\n"
        "        # inner\n      # outer\n\n    # far\n",
        "    versions:\n      a:\n        revision: 1111111111111111111111111111111111111111 # why\n"
        "        # inner\n      v2:\n        revision: NEW\n      # outer\n\n    # far\n",
    ),
    "after a version in braces": (
        "    versions:\n      a: {revision: 1111111111111111111111111111111111111111,\n"
        "          serving: {dtype: auto}}\n",
        "    versions:\n      a: {revision: 1111111111111111111111111111111111111111,\n"
        "          serving: {dtype: auto}}\n      v2:\n        revision: NEW\n",
    ),
    "after a block of text": (
        "    versions:\n      a:\n        revision: 1111111111111111111111111111111111111111\n"
        "        permission:\n          formats: [bin]\n          reason: |\n            one\n\n"
        "            two\n\n\n",
        "    versions:\n      a:\n        revision: 1111111111111111111111111111111111111111\n"
        "        permission:\n          formats: [bin]\n          reason: |\n            one\n\n"
        "            two\n      v2:\n        revision: NEW\n\n\n",
    ),
    "before fields that follow the versions": (
        "    versions:\n      a:\n        revision: 1111111111111111111111111111111111111111\n"
        "    description: last\n",
        "    versions:\n      a:\n        revision: 1111111111111111111111111111111111111111\n"
        "      v2:\n        revision: NEW\n    description: last\n",
    ),
    "under a key without versions": (
        "    versions: # none yet\n    description: last\n",
        "    versions: # none yet\n      v2:\n        revision: NEW\n    description: last\n",
    ),
    "with the key where there is none": (
        "    description: last # so far\n    # more\n",
        "    description: last # so far\n    # more\n    versions:\n      v2:\n        revision: NEW\n",
    ),
}


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("tail", [OTHER, ""], ids=["in the middle", "at the end"])
@pytest.mark.parametrize(("before", "after"), INSERTIONS.values(), ids=INSERTIONS.keys())
def test_lines_are_inserted(before: str, after: str, tail: str, end: str) -> None:
    text = (HEAD + before + tail).replace("\n", end)
    changed = with_version(parse_registry(PATH, text, unpinned=True), "tiny", "v2", NEW)
    assert changed.document.text == (HEAD + after + tail).replace("NEW", NEW).replace("\n", end)
    assert changed.registry.model("tiny").newest.revision == NEW


def test_a_file_without_a_last_line_end_stays_so() -> None:
    text = HEAD + "    versions:\n      a: {revision: 1111111111111111111111111111111111111111}"
    changed = with_version(parse_registry(PATH, text), "tiny", "v2", NEW)
    assert changed.document.text == f"{text}\n      v2:\n        revision: {NEW}"


def test_every_model_of_the_shipped_registry_takes_a_version() -> None:
    file = parse_registry(PATH, shipped_text(REGISTRY))
    for model in file.registry.models:
        changed = with_version(file, model, "9.9", NEW)
        lines, new = file.document.text.split("\n"), changed.document.text.split("\n")
        at = next(i for i, line in enumerate(new) if line == '      "9.9":')
        assert new[:at] + new[at + 2 :] == lines
        assert new[at + 1] == f"        revision: {NEW}"


def test_a_name_that_looks_like_a_number_or_a_truth_value_is_quoted() -> None:
    file = parse_registry(PATH, HEAD, unpinned=True)
    for name, key in [("2.5", '"2.5"'), ("1e5", '"1e5"'), ("no", '"no"'), ("v2", "v2")]:
        assert f"\n      {key}:\n" in with_version(file, "tiny", name, NEW).document.text


def test_a_branch_in_the_file_is_replaced_by_its_commit() -> None:
    part = "    versions:\n      a:\n        revision: {}  # soon\n"
    for written in ["main", "'main'", '"main"']:
        file = parse_registry(PATH, HEAD + part.format(written) + OTHER, unpinned=True)
        assert file.unpinned == {("tiny", "a"): "main"}
        changed = with_revision(file, "tiny", "a", NEW)
        assert changed.document.text == HEAD + part.format(NEW) + OTHER
        assert changed.unpinned == {}


REFUSED = [
    (HEAD + "    versions: {}\n", "v2", "model_registry.yaml:9:5: 'versions' of 'tiny' is written in braces, where no lines can be inserted", "write it as indented lines, then pin again"),
    (HEAD + "    versions: ~ # none\n", "v2", "model_registry.yaml:9:15: 'versions' of 'tiny' is written as null, below which no lines can be inserted", "write `versions:` alone, then pin again"),
    (HEAD + "    versions: null\n", "v2", "model_registry.yaml:9:15: 'versions' of 'tiny' is written as null, below which no lines can be inserted", "write `versions:` alone, then pin again"),
    (HEAD + '    versions: {"v2": {revision: 1111111111111111111111111111111111111111}}\n', "v2", "tiny@v2 exists", "give another name with --as"),
    (HEAD, "V 2", "'V 2' is not a name for a version", "up to 63 of a-z 0-9 . _ - with a letter or digit first; give it with --as"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "name", "message", "hint"), REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_be_inserted_is_refused(text: str, name: str, message: str, hint: str) -> None:
    file = parse_registry(PATH, text, unpinned=True)
    with pytest.raises(InputError) as caught:
        with_version(file, "tiny", name, NEW)
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_a_file_changed_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(HEAD)
    file = read_registry(path, unpinned=True)
    path.write_text(HEAD + "# mine\n")
    with pytest.raises(InputError, match="was changed meanwhile"):
        write_registry(path, file, with_version(file, "tiny", "v2", NEW))
    assert path.read_text() == HEAD + "# mine\n"


def test_a_byte_order_mark_and_line_ends_survive(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    data = b"\xef\xbb\xbf" + HEAD.replace("\n", "\r\n").encode()
    path.write_bytes(data)
    file = read_registry(path, unpinned=True)
    write_registry(path, file, with_version(file, "tiny", "v2", NEW))
    added = f"    versions:\r\n      v2:\r\n        revision: {NEW}\r\n".encode()
    assert path.read_bytes() == data + added
