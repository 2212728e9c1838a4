"""What each layer may import, read from the source: decisions stay pure, the host's side stands alone.

The layers themselves are held by import-linter; here stands what it cannot say.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
import yaml

from toolkit.planning.engines.paths import HEALTH
from toolkit.planning.engines.vllm_log import MEMORY_LINES
from toolkit.planning.engines.vllm_names import BY_MINOR, all_of

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "toolkit"
PURE = sorted(
    [*PACKAGE.glob("domain/**/*.py"), *PACKAGE.glob("planning/**/*.py"), PACKAGE / "errors.py"]
)
HOSTSIDE = sorted(PACKAGE.glob("hostside/*.py"))
# Runs in the processes of a replica, with the engine's Python.
REPLICA = ROOT / "playbooks/roles/replica/files"
RECORDER = sorted((REPLICA / "toolkit_recorder").glob("*.py"))
STARTER = sorted((REPLICA / "toolkit_starter").glob("*.py"))

# Whatever reaches out of the process, asks the time, rolls dice or talks to a person.
IMPURE = {
    "ansible_runner", "asyncio", "click", "ctypes", "fcntl", "glob", "http", "httpx", "httpx2", "huggingface_hub",
    "io", "logging", "multiprocessing", "os", "random", "requests", "ruamel", "secrets", "select", "shutil",
    "signal", "socket", "sqlite3", "ssl", "starlette", "subprocess", "sys", "tempfile", "threading", "time",
    "urllib", "uuid", "uvicorn",
}  # fmt: skip
IMPURE_CALLS = {"open", "print", "input", "exec", "eval", "__import__", "breakpoint"}
PURE_PATHS = {"PurePath", "PurePosixPath", "PureWindowsPath"}
# What an engine is told and says: flags, variables, metrics, log lines. They stand in the seam alone: planning/engines
# and its hostside half. The fake host says what a real engine says.
SEAM = {
    *PACKAGE.glob("planning/engines/*.py"),
    PACKAGE / "hostside" / "signs.py",
    PACKAGE / "adapters" / "fakes" / "replicas.py",
}
ENGINE_WORDS = sorted(
    {"vllm:", "VLLM_", *MEMORY_LINES}
    | {flag for row in BY_MINOR.values() for flag in all_of(row.flags) if "-" in flag}
)
# What a command module must not load before its command is called, see `toolkit --help`.
HEAVY = {
    "ansible_runner",
    "huggingface_hub",
    "pydantic",
    "ruamel",
    "sqlite3",
    "starlette",
    "uvicorn",
}


@pytest.mark.parametrize("path", PURE, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_decisions_do_no_io(path: Path) -> None:
    assert list(impurities(ast.parse(path.read_text("utf-8")))) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import os", ["import os"]),
        ("import os.path as p", ["import os"]),
        ("from subprocess import run", ["import subprocess"]),
        ("def f():\n    import sqlite3", ["import sqlite3"]),
        ("from pathlib import Path", ["import pathlib.Path"]),
        ("import pathlib", ["import pathlib"]),
        ("from pathlib import PurePosixPath", []),
        ("from datetime import datetime\nnow = datetime.now()", ["datetime.now"]),
        ("import datetime\nnow = datetime.datetime.utcnow()", ["datetime.utcnow"]),
        ("open('x')", ["open()"]),
        ("import json, re, math", []),
    ],
)
def test_the_search_finds_what_it_is_for(source: str, found: list[str]) -> None:
    assert list(impurities(ast.parse(source))) == found


@pytest.fixture(scope="module")
def nodes() -> dict[Path, list[ast.AST]]:
    """What tests ask of every file, found once: its attributes, functions, classes, imports of names and sequences."""
    kinds = (
        *(ast.Attribute, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ImportFrom),
        *(ast.List, ast.Tuple),
    )
    return {
        path: [
            node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, kinds)
        ]
        for root in (PACKAGE, ROOT / "playbooks", ROOT / "scripts")
        for path in root.rglob("*.py")
    }


def test_one_place_begins_a_deployment_and_ends_it(nodes: dict[Path, list[ast.AST]]) -> None:
    """Whatever must follow each deployment, such as a notification, hangs there and nowhere else."""
    written = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for node in nodes[path]
        if isinstance(node, ast.Attribute) and node.attr in ("open_deployment", "end_deployment")
    }
    assert written == {"workflows/change/recording.py"}


def test_no_signature_has_more_than_eight_parameters(nodes: dict[Path, list[ast.AST]]) -> None:
    """Keyword-only ones count as well, and no comment makes an exception: more of them are an object of the domain."""
    wide = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path, found in nodes.items()
        for node in found
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and len(_parameters(node)) > 8
    ]
    assert wide == []


def test_no_text_counts_as_a_number_that_is_none(nodes: dict[Path, list[ast.AST]]) -> None:
    """`isdigit` and `isnumeric` take signs that `int` refuses, such as a raised two; `isdecimal` takes none."""
    found = [
        f"{path.relative_to(ROOT)}: {node.attr}"
        for path, each in nodes.items()
        for node in each
        if isinstance(node, ast.Attribute) and node.attr in ("isdigit", "isnumeric")
    ]
    assert found == []


def test_no_program_of_ours_loads_modules_of_the_working_directory(
    nodes: dict[Path, list[ast.AST]],
) -> None:
    """Python begins its path of modules with that directory, which may be anybody's, unless told otherwise."""
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path, each in nodes.items()
        if path.is_relative_to(PACKAGE)
        for node in each
        if isinstance(node, (ast.List, ast.Tuple))
        for words in [{ast.unparse(word) for word in node.elts}]
        if "sys.executable" in words and not words & {"'-P'", "'-I'"}
    }
    # uv makes an environment with that Python.
    assert found == {"adapters/benchmarks/environment.py"}


def _parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    given = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
    return [each.arg for each in given if each.arg not in ("self", "cls")]


def test_the_name_of_a_public_class_has_one_meaning(nodes: dict[Path, list[ast.AST]]) -> None:
    """A double has the name of its original. The host's side is a program of its own, with names of its own."""
    apart = {"hostside", "fakes"}
    places: dict[str, list[str]] = {}
    for path in set(nodes) & set(PACKAGE.rglob("*.py")):
        inside = path.relative_to(PACKAGE)
        if not apart & set(inside.parts):
            for node in nodes[path]:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    places.setdefault(node.name, []).append(inside.as_posix())
    assert len(places) > 300
    assert {name: sorted(each) for name, each in places.items() if len(each) > 1} == {}


def test_no_command_imports_another(nodes: dict[Path, list[ast.AST]]) -> None:
    """The common parts of commands have rooms of their own in `cli`."""
    commands = PACKAGE / "cli" / "commands"
    assert len(list(commands.glob("*.py"))) > 40
    assert [
        f"{path.name}: {node.module}"
        for path in commands.glob("*.py")
        for node in nodes[path]
        if isinstance(node, ast.ImportFrom) and "cli.commands" in (node.module or "")
    ] == []


def test_no_modules_import_each_other_in_a_circle(nodes: dict[Path, list[ast.AST]]) -> None:
    """Imports inside functions count as well: they hide a circle and do not end it."""
    known = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path
        for path in PACKAGE.rglob("*.py")
    }
    graph = {
        name: {
            found
            for node in nodes[path]
            if isinstance(node, ast.ImportFrom) and node.module
            for found in (node.module, *(f"{node.module}.{each.name}" for each in node.names))
            if found in known
        }
        for name, path in known.items()
    }
    assert sum(map(len, graph.values())) > 2000
    TopologicalSorter(graph).prepare()


def test_planning_and_adapters_alone_share_modules_of_the_hosts_side_and_those_have_no_siblings(
    nodes: dict[Path, list[ast.AST]],
) -> None:
    """On a host siblings are imported by their bare names, which the ops machine does not have."""
    siblings = {each.stem for each in HOSTSIDE}
    taken = {
        (path.relative_to(PACKAGE).parts[0], name)
        for path in PACKAGE.rglob("*.py")
        for node in nodes[path]
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("toolkit.hostside")
        for each in node.names
        for name in [
            each.name if node.module == "toolkit.hostside" else str(node.module).rpartition(".")[2]
        ]
    }
    assert {layer for layer, _ in taken} == {"adapters", "planning"}
    for module in {module for _, module in taken}:
        tree = ast.parse((PACKAGE / "hostside" / f"{module}.py").read_text("utf-8"))
        assert (module, siblings & {each for each, _ in imports(tree)}) == (module, set())


@pytest.mark.parametrize("path", HOSTSIDE, ids=lambda path: path.name)
def test_the_hosts_side_needs_the_standard_library_and_its_siblings_alone(path: Path) -> None:
    siblings = {each.stem for each in HOSTSIDE}
    tree = ast.parse(path.read_text("utf-8"))
    relative = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level]
    assert relative == []
    modules = {module for module, _ in imports(tree)}
    assert modules - siblings - sys.stdlib_module_names == set()


@pytest.mark.parametrize("path", RECORDER, ids=lambda path: path.name)
def test_the_recorder_needs_the_standard_library_and_in_one_module_its_engine(path: Path) -> None:
    modules = {module for module, _ in imports(ast.parse(path.read_text("utf-8")))}
    outside = modules - sys.stdlib_module_names - {"toolkit_recorder"}
    assert outside == ({"vllm", "prometheus_client"} if path.name == "states.py" else set())


@pytest.mark.parametrize("path", STARTER, ids=lambda path: path.name)
def test_the_starter_needs_the_standard_library_and_in_one_module_its_engines_names(
    path: Path,
) -> None:
    modules = {module for module, _ in imports(ast.parse(path.read_text("utf-8")))}
    assert modules - sys.stdlib_module_names - {"toolkit_starter"} == set()
    assert path.name == "engine.py" or "vllm" not in path.read_text("utf-8").lower()


@pytest.mark.parametrize("path", [*HOSTSIDE, *RECORDER, *STARTER], ids=lambda path: path.name)
def test_the_hosts_side_is_python_3_9(path: Path) -> None:
    ast.parse(path.read_text("utf-8"), feature_version=(3, 9))


def test_listing_and_importing_commands_loads_nothing_heavy() -> None:
    program = (
        "import importlib, sys\n"
        "from toolkit.cli.main import COMMANDS\n"
        "for place, _ in COMMANDS.values():\n"
        "    importlib.import_module(place.partition(':')[0])\n"
        f"print(*sorted({HEAVY!r} & sys.modules.keys()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


def test_only_its_seam_knows_what_an_engine_is_told_and_says() -> None:
    elsewhere = set(PACKAGE.rglob("*.py")) - SEAM
    assert len(elsewhere) > 150
    found = {
        (path.relative_to(PACKAGE).as_posix(), words)
        for path in elsewhere
        for words in engine_words(path.read_text("utf-8"))
    }
    assert found == set()


def test_the_router_asks_replicas_for_their_health_where_the_seam_says() -> None:
    role = ROOT / "playbooks/roles/router"
    variables = yaml.safe_load((role / "vars/main.yml").read_text("utf-8"))
    assert variables["router_engine_health"] == HEALTH
    checks = re.findall(
        r"option httpchk GET (.+)", (role / "templates/haproxy.cfg.j2").read_text("utf-8")
    )
    assert checks == ["{{ router_engine_health }}"]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("x = '--max-model-len'", ["max-model-len"]),
        ("x = f'{a} vllm:num_requests_running'", ["vllm:"]),
        ("# max-model-len", []),
        ("x = 'VLLM_HOST_IP'", ["VLLM_"]),
        ("x = ['vllm', '--port']", []),
    ],
)
def test_the_search_for_an_engines_words_finds_them(source: str, found: list[str]) -> None:
    assert list(engine_words(source)) == found


def engine_words(source: str) -> Iterator[str]:
    """Yield each flag, variable, metric or log line of an engine in the strings of a module."""
    strings = [
        node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    for words in ENGINE_WORDS:
        if any(words in each for each in strings):
            yield words


def impurities(tree: ast.AST) -> Iterator[str]:
    """Yield each import or call that a pure module must not have."""
    for module, name in imports(tree):
        if module in IMPURE:
            yield f"import {module}"
        if module == "pathlib" and name not in PURE_PATHS:
            yield f"import pathlib{f'.{name}' if name else ''}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in ("now", "utcnow", "today"):
            yield f"datetime.{node.attr}"
        called = node.func if isinstance(node, ast.Call) else None
        if isinstance(called, ast.Name) and called.id in IMPURE_CALLS:
            yield f"{called.id}()"


def imports(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield (top-level module, imported name or nothing) of every import, inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.partition(".")[0], ""
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                yield node.module.partition(".")[0], alias.name
