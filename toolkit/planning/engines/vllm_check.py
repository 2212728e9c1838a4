"""The check that a package of vLLM has the names that the toolkit uses; it reads sources and imports none."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase

from toolkit.planning.engines.port import Missing
from toolkit.planning.engines.vllm_log import MEMORY_LINES
from toolkit.planning.engines.vllm_names import all_of, names

# Files of the package, as patterns: they move more often than the names change.
_FLAGS = ("vllm/engine/arg_utils.py", "vllm/entrypoints/*cli_args.py")
_VARIABLES = ("vllm/envs.py",)
_METRICS = ("vllm/v1/metrics/*.py",)
_LOG = ("vllm/v1/core/kv_cache_utils.py", "vllm/v1/worker/*worker.py", "vllm/v1/worker/*runner.py")
SOURCES = (*_FLAGS, *_VARIABLES, *_METRICS, *_LOG)
_FLAG = re.compile(r"--([a-z][a-z0-9-]*)")


def missing_names(version: str, texts: Mapping[str, str]) -> tuple[Missing, ...]:
    """Return the flags, variables, metrics and log lines that the package of `texts` lacks, each with its kind.

    `texts` are the files that match `SOURCES`, by path.
    """
    row = names(version)
    parts = (
        ("flag --", all_of(row.flags), set(_flags(_matching(texts, _FLAGS)))),
        ("variable ", all_of(row.variables), set(_strings(_matching(texts, _VARIABLES)))),
        ("metric ", all_of(row.metrics), set(_strings(_matching(texts, _METRICS)))),
    )
    found = [
        Missing(f"{kind}{name}")
        for kind, wanted, known in parts
        for name in wanted
        if name not in known
    ]
    exported = set(_strings(_matching(texts, _METRICS)))
    found += [
        Missing(f"metric {name}", needed=False)
        for name in all_of(row.figures)
        if name not in exported and name not in all_of(row.metrics)
    ]
    log = "\n".join(_strings(_matching(texts, _LOG)))
    lines = (words for words in MEMORY_LINES if words not in log)
    return (*found, *(Missing(f"log line {words!r}", needed=False) for words in lines))


def _matching(texts: Mapping[str, str], patterns: Iterable[str]) -> Iterator[ast.AST]:
    for path, text in texts.items():
        if any(fnmatchcase(path, pattern) for pattern in patterns):
            try:
                yield ast.parse(text)
            except (ValueError, RecursionError, MemoryError) as error:
                raise SyntaxError(f"{path}: {type(error).__name__}") from error


def _flags(trees: Iterable[ast.AST]) -> Iterator[str]:
    """Yield the flags that are written out, and those that follow from fields of the server's own arguments."""
    for node in _nodes(trees):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found = _FLAG.fullmatch(node.value)
            if found:
                yield found[1]
        if isinstance(node, ast.ClassDef) and node.name.endswith(_SERVER_ARGUMENTS):
            fields = (each.target for each in node.body if isinstance(each, ast.AnnAssign))
            yield from (each.id.replace("_", "-") for each in fields if isinstance(each, ast.Name))


_SERVER_ARGUMENTS = ("FrontendArgs", "ServeArgs", "ServerArgs")


def _strings(trees: Iterable[ast.AST]) -> Iterator[str]:
    for node in _nodes(trees):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _nodes(trees: Iterable[ast.AST]) -> Iterator[ast.AST]:
    for tree in trees:
        yield from ast.walk(tree)
