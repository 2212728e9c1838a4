"""Print the table of flags, variables and parsers of the vLLM that runs this script, as a module of Python.

The table states in which words this version differs from the newest one before it that has a table.

Run it with the Python of an installed engine, and keep the output beside the other tables:

    ENGINE/bin/python scripts/engine_table.py > toolkit/planning/engines/vllm_table_0_32.py

Each flag has a kind and, where the engine bounds a number, its range. `toolkit/planning/engines/vllm_rules.py` reads
the table and says what the kinds mean; the lists in `vllm_allowed.py` and `vllm_reserved.py` say which names a
registry may use.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib
import json
import os
import sys
import textwrap
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from toolkit.planning.engines.vllm_names import minor  # noqa: E402
from toolkit.planning.engines.vllm_table import NO_WORDS, Words, words_of  # noqa: E402

HEAD = '''"""{subject}: written by scripts/engine_table.py from the engine itself.

Flags stand by their kind and what bounds it, with their short spellings in brackets. Variables stand by their kind.
"""

# ruff: noqa: E501

FLAGS = {{
{flags}
}}

VARIABLES = {{
{variables}
}}

TOOL_PARSERS = """
{tool_parsers}
"""

REASONING_PARSERS = """
{reasoning_parsers}
"""
'''
GONE = """
GONE = {{
{gone}
}}
"""
_WIDTH = 110


def main() -> None:
    """Print the module."""
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    import vllm

    first, second = minor(vllm.__version__)
    before = words_of((first, second - 1))
    sys.stdout.write(module_text(f"{first}.{second}", _words(), before))


def _words() -> Words:
    import vllm

    return Words(
        {line.split(" ", 1)[0].rstrip(":"): line for line in sorted(_flags())},
        _variables(Path(vllm.__file__).with_name("envs.py")),
        frozenset(_tool_parsers()),
        frozenset(_reasoning_parsers()),
    )


def module_text(version: str, now: Words, before: Words) -> str:
    """Return the table of a version with the words `now`: its differences from the version with `before`."""
    is_whole = before is NO_WORDS
    variables: dict[str, list[str]] = {}
    for name, kind in now.variables.items():
        if before.variables.get(name) != kind:
            variables.setdefault(kind, []).append(name)
    flags: dict[str, list[str]] = {}
    for name, line in now.flags.items():
        if before.flags.get(name) != line:
            word, _, kind = line.partition(": ")
            flags.setdefault(kind, []).append(word.replace(" ", ""))
    head = HEAD.format(
        subject=f"Flags, variables and parsers of vLLM {version}"
        if is_whole
        else f"The differences of vLLM {version} from the version before it",
        flags=_by_kind(flags),
        variables=_by_kind(variables),
        tool_parsers=_wrapped(now.tool_parsers - before.tool_parsers),
        reasoning_parsers=_wrapped(now.reasoning_parsers - before.reasoning_parsers),
    )
    gone = {
        "flags": before.flags.keys() - now.flags.keys(),
        "variables": before.variables.keys() - now.variables.keys(),
        "tool parsers": before.tool_parsers - now.tool_parsers,
        "reasoning parsers": before.reasoning_parsers - now.reasoning_parsers,
    }
    return head if is_whole else head + GONE.format(gone=_by_kind(gone))


def _by_kind(names: Mapping[str, Collection[str]]) -> str:
    return "\n".join(
        f'    "{kind}": {_quoted(_wrapped(names[kind]))},' for kind in sorted(names) if names[kind]
    )


def _quoted(lines: str) -> str:
    return f'"""\n{lines}\n"""' if "\n" in lines else f'"{lines}"'


def _wrapped(names: Collection[str]) -> str:
    return textwrap.fill(" ".join(sorted(names)), _WIDTH, break_on_hyphens=False)


def _tool_parsers() -> Iterable[str]:
    from vllm.tool_parsers import ToolParserManager

    return ToolParserManager.list_registered()


def _reasoning_parsers() -> Iterable[str]:
    from vllm.reasoning import ReasoningParserManager

    return ReasoningParserManager.list_registered()


def _flags() -> Iterator[str]:
    parser = _parser()
    groups = {
        id(action): group.title
        for group in parser._action_groups
        for action in group._group_actions
    }
    for action in parser._actions:
        long = [word for word in action.option_strings if word.startswith("--")]
        if not long or "--help" in long:
            continue
        names = [word.removeprefix("--") for word in long if not word.startswith("--no-")]
        if isinstance(action, argparse.BooleanOptionalAction):
            # 0.33 pairs `--enable-x` with `--disable-x`; a registry writes `enable-x: false`.
            names = names[:1]
        short = [word for word in action.option_strings if not word.startswith("--")]
        other = "".join(f" ({word.lstrip('-')})" for word in [*names[1:], *short])
        bounds = _bounds(action, str(groups.get(id(action), "")))
        yield f"{names[0]}{other}: {_kind(action)}{bounds}"


def _parser() -> argparse.ArgumentParser:
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    # The place of the parser moved between 0.32 and 0.33.
    for module in ("vllm.entrypoints.common.cli_args", "vllm.entrypoints.launchers.cli_args"):
        with contextlib.suppress(ModuleNotFoundError):
            make = importlib.import_module(module).make_arg_parser
            parser: argparse.ArgumentParser = make(FlexibleArgumentParser())
            return parser
    raise SystemExit("this vLLM has no parser of arguments where the versions before had it")


def _kind(action: argparse.Action) -> str:
    if isinstance(action, argparse.BooleanOptionalAction):
        return "switch"
    if action.nargs == 0:
        return "mark"
    kind, many = _scalar(action), type(action).__name__ == "_AppendAction"
    return f"list {kind}" if action.nargs in ("+", "*") or many else kind


def _scalar(action: argparse.Action) -> str:
    choices = [str(each) for each in action.choices or () if str(each) != "None"]
    if choices:
        return "one of " + " ".join(choices)
    words = set(_type_words(action.type))
    for word, kind in (
        ("human_readable_int_or_auto", "count or auto"),
        ("human_readable_int", "count"),
        ("int", "integer"),
        ("float", "number"),
        ("loads", "json"),
        ("union_dict_and_str", "json"),
        ("parse_dataclass", "json"),
        ("_parse_type", "json"),
    ):
        if word in words:
            return kind
    return "text"


def _type_words(kind: Any) -> Iterator[str]:
    """Yield the names of an argument's type and of the types that it wraps."""
    yield getattr(kind, "__name__", str(kind))
    for cell in getattr(kind, "__closure__", None) or ():
        if callable(cell.cell_contents):
            yield from _type_words(cell.cell_contents)


def _bounds(action: argparse.Action, group: str) -> str:
    """Return ` >=1 <=8` from the field of the engine's configuration that the flag sets."""
    import vllm.config

    fields = getattr(getattr(vllm.config, group, None), "__pydantic_fields__", {})
    found = []
    for rule in getattr(fields.get(action.dest), "metadata", ()):
        for name, sign in (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<")):
            if getattr(rule, name, None) is not None:
                found.append(f" {sign}{json.dumps(getattr(rule, name))}")
    return "".join(found)


def _variables(source: Path) -> dict[str, str]:
    """Return the kind of each variable of `envs.py`: its annotations say it."""
    import vllm.envs

    kinds = {}
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            kinds[node.target.id] = _variable_kind(ast.unparse(node.annotation))
    return {name: kinds.get(name, "text") for name in vllm.envs.environment_variables}


def _variable_kind(annotation: str) -> str:
    first = annotation.removesuffix(" | None")
    return {"bool": "switch", "int": "integer", "float": "number"}.get(first, "text")


if __name__ == "__main__":
    main()
