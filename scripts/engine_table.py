"""Print the table of flags, keys, variables and parsers of the vLLM that runs this script, as a module of Python.

The table states in which words this version differs from the newest one before it that has a table.

Run it with the Python of an installed engine, and keep the output beside the other tables:

    ENGINE/bin/python scripts/engine_table.py > toolkit/planning/engines/vllm_table_0_32.py

Each flag, and each key of a flag's JSON, has a kind and, where the engine bounds a number, its range.
`toolkit/planning/engines/vllm_rules.py` reads the table and says what the kinds mean; the lists in `vllm_allowed.py`
and `vllm_reserved.py` say which names a registry may use.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import enum
import importlib
import json
import os
import sys
import textwrap
import types
import typing
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from toolkit.planning.engines import vllm_allowed, vllm_permissions  # noqa: E402
from toolkit.planning.engines.vllm_names import minor  # noqa: E402
from toolkit.planning.engines.vllm_table import NO_WORDS, Words, words_of  # noqa: E402

HEAD = '''"""{subject}: written by scripts/engine_table.py from the engine itself.

Flags, and keys of their JSON after a dot, stand by their kind and what bounds it, with their short spellings in
brackets. Variables stand by their kind.
"""

# ruff: noqa: E501

FLAGS = {{
{flags}
}}

KEYS = {{
{keys}
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

FLASHINFER = """
{flashinfer}
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
        _by_name(_flags()),
        _by_name(_keys()),
        _variables(Path(vllm.__file__).with_name("envs.py")),
        frozenset(_tool_parsers()),
        frozenset(_reasoning_parsers()),
        frozenset(_of_flashinfer(Path(vllm.__file__).parent)),
    )


def _by_name(lines: Iterable[str]) -> dict[str, str]:
    return {line.split(" ", 1)[0].rstrip(":"): line for line in sorted(lines)}


def module_text(version: str, now: Words, before: Words) -> str:
    """Return the table of a version with the words `now`: its differences from the version with `before`."""
    is_whole = before is NO_WORDS
    variables: dict[str, list[str]] = {}
    for name, kind in now.variables.items():
        if before.variables.get(name) != kind:
            variables.setdefault(kind, []).append(name)
    head = HEAD.format(
        subject=f"Flags, keys, variables and parsers of vLLM {version}"
        if is_whole
        else f"The differences of vLLM {version} from the version before it",
        flags=_by_kind(_new(now.flags, before.flags)),
        keys=_by_kind(_new(now.keys, before.keys)),
        variables=_by_kind(variables),
        tool_parsers=_wrapped(now.tool_parsers - before.tool_parsers),
        reasoning_parsers=_wrapped(now.reasoning_parsers - before.reasoning_parsers),
        flashinfer=_wrapped(now.flashinfer - before.flashinfer),
    )
    gone = {
        "flags": before.flags.keys() - now.flags.keys(),
        "keys": before.keys.keys() - now.keys.keys(),
        "variables": before.variables.keys() - now.variables.keys(),
        "tool parsers": before.tool_parsers - now.tool_parsers,
        "reasoning parsers": before.reasoning_parsers - now.reasoning_parsers,
        "flashinfer": before.flashinfer - now.flashinfer,
    }
    return head if is_whole else head + GONE.format(gone=_by_kind(gone))


def _new(now: Mapping[str, str], before: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the names whose line is another one than before, by their kind."""
    found: dict[str, list[str]] = {}
    for name, line in now.items():
        if before.get(name) != line:
            word, _, kind = line.partition(": ")
            found.setdefault(kind, []).append(word.replace(" ", ""))
    return found


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


def _of_flashinfer(package: Path) -> Iterator[str]:
    """Yield the architectures whose model on CUDA imports FlashInfer, and asks nothing before: no `if`, no `try`."""
    models = package / "model_executor" / "models"
    for node in ast.parse((models / "registry.py").read_text()).body:
        named = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        for key, place in (
            zip(named.keys, named.values, strict=True) if isinstance(named, ast.Dict) else ()
        ):
            with contextlib.suppress(ValueError, TypeError):
                architecture, (module, name) = ast.literal_eval(key), ast.literal_eval(place)
                base = package.parent if module.startswith("vllm.") else models
                if _imports_flashinfer(_tree(base.joinpath(*module.split(".")), name)):
                    yield architecture


def _tree(place: Path, name: str) -> ast.AST:
    """Return the module that defines the class `name` on CUDA: a package imports another one on each platform."""
    if not place.is_dir():
        path = place.with_suffix(".py")
        return ast.parse(path.read_text()) if path.exists() else ast.Module([], [])
    for node in ast.walk(ast.parse((place / "__init__.py").read_text())):
        if isinstance(node, ast.ImportFrom) and name in {each.name for each in node.names}:
            parts = (node.module or "").split(".")
            if node.level and not {"amd", "cpu", "xpu", "vl_stub"} & {*parts}:
                return _tree(place.joinpath(*parts), name)
    return ast.Module([], [])


def _imports_flashinfer(tree: ast.AST) -> bool:
    for node in ast.iter_child_nodes(tree):
        named = [each.name for each in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and not node.level:
            named = [node.module or ""]
        if any(each.split(".")[0] == "flashinfer" for each in named):
            return True
        if not isinstance(node, ast.If | ast.Try) and _imports_flashinfer(node):
            return True
    return False


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
    named = _names_of(action.dest)
    if named:
        return _name_of(named)
    kind, many = _scalar(action), type(action).__name__ == "_AppendAction"
    return f"list {kind}" if action.nargs in ("+", "*") or many else kind


def _names_of(option: str) -> Collection[str]:
    """Return the engine's own names for what an option without choices of its own takes; none for other options."""
    from vllm.config.mamba import MambaBackendEnum
    from vllm.model_executor import model_loader
    from vllm.model_executor.layers.quantization import QUANTIZATION_METHODS
    from vllm.tokenizers.registry import TokenizerRegistry
    from vllm.v1.attention.backends.registry import AttentionBackendEnum

    known: Mapping[str, Collection[str]] = {
        "quantization": QUANTIZATION_METHODS,
        "load_format": model_loader._LOAD_FORMAT_TO_MODEL_LOADER,
        "attention_backend": ["auto", *AttentionBackendEnum.__members__],
        "mm_encoder_attn_backend": AttentionBackendEnum.__members__,
        "mamba_backend": MambaBackendEnum.__members__,
        "tokenizer_mode": {"auto", *TokenizerRegistry.tokenizers},
    }
    return known.get(option, ())


def _scalar(action: argparse.Action) -> str:
    known: Any = action.choices
    if action.dest == "kv_cache_dtype":
        # 0.33 takes the names of plug-ins too, and shows its own where others show a placeholder.
        known = known or action.metavar
    choices = [str(each) for each in known or () if str(each) != "None"]
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
    return _bounds_of(getattr(fields.get(action.dest), "metadata", ()))


def _bounds_of(rules: Iterable[Any]) -> str:
    found = []
    for rule in rules:
        for name, sign in (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<")):
            if getattr(rule, name, None) is not None:
                found.append(f" {sign}{json.dumps(getattr(rule, name))}")
    return "".join(found)


def _keys() -> Iterator[str]:
    """Yield a line for each key that a registry may set freely, of a flag whose JSON is an engine's configuration."""
    import vllm.config

    for action in _parser()._actions:
        flag = action.dest.replace("_", "-")
        if flag in vllm_allowed.FLAGS and action.nargs != 0 and _scalar(action) == "json":
            named = "".join(word.title() for word in action.dest.split("_"))
            kind = _configuration(action.type) or getattr(vllm.config, named, None)
            if kind is not None:
                yield from _keys_of(kind, flag, vllm_permissions.KEYS.get(flag, "").split())


def _configuration(kind: Any) -> Any:
    """Return the class of the engine's configuration that an argument's type reads; None where there is none."""
    for each in getattr(kind, "__defaults__", None) or ():
        if hasattr(each, "__pydantic_fields__"):
            return each
    for cell in getattr(kind, "__closure__", None) or ():
        if callable(cell.cell_contents) and (found := _configuration(cell.cell_contents)):
            return found
    return None


def _keys_of(configuration: Any, start: str, free: Collection[str]) -> Iterator[str]:
    for name, field in configuration.__pydantic_fields__.items():
        kinds = [each for each in _alternatives(field.annotation) if each is not type(None)]
        if (free and name not in free) or len(kinds) != 1:
            continue
        if kind := _key_kind(kinds[0]):
            yield f"{start}.{name}: {kind}{_bounds_of(field.metadata)}"
        if hasattr(kinds[0], "__pydantic_fields__"):
            yield from _keys_of(kinds[0], f"{start}.{name}", ())


def _alternatives(annotation: Any) -> Iterator[Any]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        for each in typing.get_args(annotation):
            yield from _alternatives(each)
    else:
        yield annotation


def _key_kind(kind: Any) -> str:
    """Return the kind of a value of a type of Python; empty where it takes more than the table can say."""
    if typing.get_origin(kind) is list:
        item = _key_kind(typing.get_args(kind)[0])
        return item and f"list {item}"
    if typing.get_origin(kind) is typing.Literal:
        return "one of " + " ".join(sorted(map(str, typing.get_args(kind))))
    if isinstance(kind, enum.EnumMeta) and kind.__name__.endswith("BackendEnum"):
        return _name_of(["auto", *kind.__members__])
    return {bool: "switch", int: "integer", float: "number"}.get(kind, "")


def _name_of(names: Iterable[str]) -> str:
    return "name of " + " ".join(sorted(names, key=str.lower))


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
