"""The host's side runs under any Python from 3.9 on; its syntax and imports are held by tests/test_layers.py."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

MODULES = sorted(Path(__file__).parents[2].glob("toolkit/hostside/*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_annotations_are_never_evaluated(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    future = [
        alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module == "__future__"
        for alias in node.names
    ]
    # `str | None` in a signature is an error under 3.9 unless nobody evaluates it.
    assert future == (["annotations"] if functions else [])


# Functions that change a file by its name.
CHANGES = {
    "chmod", "chown", "lchown", "link", "makedirs", "mkdir", "mkdtemp", "mkfifo", "remove", "rename", "replace",
    "rmdir", "rmtree", "symlink", "truncate", "unlink", "copyfile", "utime",
}  # fmt: skip
# These modules work by name, each in directories of root alone, and check them first.
IN_ROOTS_OWN = {
    "bell.py": "make_own",
    "compiled.py": "make_own",
    "deployment_lock.py": "the root itself",
    "engine_swap.py": "make_own",
    "inside.py": "the kernel's own files",
    "leftovers.py": "require_own",
    "open_deployment.py": "the root itself",
    "reserve.py": "make_own",
    "router_check.py": "require_own",
    "snapshots.py": "make_own",
    "swarm.py": "locked",
    "use_ledger.py": "make_own",
    "swarm_checks.py": "Arrival",
    "swarm_library.py": "make_own",
    "trees.py": "make_own",
    "trees_receive.py": "locked",
}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_files_are_changed_by_descriptor_or_in_directories_of_root_alone(path: Path) -> None:
    text = path.read_text()
    found = sorted(changes(ast.parse(text)))
    if path.name == "directory.py":
        assert found
    elif path.name in IN_ROOTS_OWN:
        assert found, f"{path.name} needs no place in the list"
        assert IN_ROOTS_OWN[path.name] in (text + " the root itself, the kernel's own files")
    else:
        assert found == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("os.chown(path, 0, 0)", ["chown"]),
        ("shutil.rmtree(path)", ["rmtree"]),
        ("open(path, 'w')", ["open"]),
        ("open(path, mode='ab')", ["open"]),
        ("os.open(path, os.O_RDWR)", ["open"]),
        ("open(path)", []),
        ("open(open_plain(path), 'rb')", []),
        ("text.replace('a', 'b')", []),
    ],
)
def test_the_search_for_changes_finds_them(source: str, found: list[str]) -> None:
    assert list(changes(ast.parse(source))) == found


def changes(tree: ast.AST) -> Iterator[str]:
    """Yield each call that changes a file by its name, or opens one for writing."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called, module = node.func, ""
        if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
            module = called.value.id
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        words = ast.unparse(node)
        by_name = module in ("os", "shutil", "tempfile") and name in CHANGES
        if name == "open" and module == "os":
            by_name = any(flag in words for flag in WRITING)
        elif name == "open" and not module:
            by_name = MODE.search(words) is not None
        if by_name:
            yield name


WRITING = ("O_WRONLY", "O_RDWR", "O_CREAT")
MODE = re.compile(r"'(?:[wax]|r\+)b?\+?'|'r\+b'")


# `routes_file` and `loading` stand alone; the others read the pipe of the ops machine.
READ_JSON = {
    "documents.py",
    "routes_file.py",
    "entry.py",
    "loading.py",
    "conversation.py",
    "swarm.py",
}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_json_of_a_host_is_read_in_one_place(path: Path) -> None:
    # There, whatever is no sound document is one kind of error.
    assert ("json.loads" in path.read_text()) == (path.name in READ_JSON)
