"""The types of single fields of the registry: their rules, and the message for each fault."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from toolkit.domain.accelerator import Accelerator
from toolkit.domain.engines.engine import ENGINES, VERSION_PATTERN
from toolkit.domain.excerpt import excerpt
from toolkit.domain.quantity import parse_size
from toolkit.domain.registry.model import LICENCE_PATTERN
from toolkit.planning.engines.vllm_reserved import ENGINE_ENV, EXAMPLE_FLAG, EXAMPLE_VARIABLE

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,62}$"
REVISION_PATTERN = r"^[0-9a-f]{40}$"
REPO_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}$"
REF_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$"
FLAG_PATTERN = r"^[a-z][a-z0-9]*([-_][a-z0-9]+)*([.][A-Za-z0-9_.-]+)?$"
ENV_PATTERN = r"^[A-Z_][A-Z0-9_]*$"
OPTION_PATTERN = r"^([a-z][a-z0-9]*([-_][a-z0-9]+)*|[A-Z_][A-Z0-9_]*)$"

# Characters of one text; a prompt of a check is the longest that has a use.
MAX_TEXT = 16_384
# More than the devices or the memory of any machine.
MAX_MEMORY = 2**50
_SECRET_NAME = re.compile(
    r"(^|_)(TOKEN|SECRET|CREDENTIALS?|PASSPHRASE)$|(^|_)(API|ACCESS|SECRET|PRIVATE)_?KEY|PASSW(OR)?D"
)
_SECRET_VALUE = re.compile(
    r"\b(hf_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]{16,}|gh[pousr]_[A-Za-z0-9]{20,})"
)
# Characters that no language is written with: C0 and C1 controls but tab and line feed, other line ends, overrides of
# the direction, halves of surrogate pairs. `str.isprintable` refuses much that texts need, such as the no-break space,
# the joiners of Persian, Hindi and emoji, and every character that is newer than this Python.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_DURATION = re.compile(r"^([0-9]+(?:\.[0-9]+)?)\s*(s|min)$")

RESERVED_ENV = {
    "PATH": "the engine's environment decides it",
    "HOME": "each slot has a user and a home of its own",
    "HF_HOME": "hosts have no Hub cache",
    "HF_ENDPOINT": "hosts reach no Hub",
    "HF_HUB_OFFLINE": "hosts reach no Hub",
    **ENGINE_ENV,
}
RESERVED_ENV_PREFIXES = {
    "LD_": "it changes which libraries are loaded",
    "PYTHON": "the engine's environment decides it",
}


def refuse(message: str, hint: str = "") -> PydanticCustomError:
    """Return the error of a validator; `hint` travels in its context."""
    return PydanticCustomError("refused", "{message}", {"message": message, "hint": hint})


def _matching(pattern: str, message: str, hint: str) -> AfterValidator:
    compiled = re.compile(pattern.removesuffix("$") + r"\Z")

    def check(text: str) -> str:
        if not compiled.match(text):
            raise refuse(message.format(text=short(text)), hint)
        return text

    return AfterValidator(check)


def each_once(name: Callable[[Any], str], hint: str) -> AfterValidator:
    """Return the validator that refuses a list with the same entry twice; `name` tells which one it is."""

    def check(entries: list[Any]) -> list[Any]:
        for place, entry in enumerate(entries):
            if entry in entries[:place]:
                raise refuse(f"{name(entry)} is there twice", hint)
        return entries

    return AfterValidator(check)


def short(text: str) -> str:
    """Return `text` quoted, cut where it is too long for a message."""
    return repr(excerpt(text))


def normal_flag(name: str) -> str:
    """Return a flag's name as the engine lists it: with dashes up to the first dot."""
    head, dot, rest = name.partition(".")
    return head.replace("_", "-") + dot + rest


def normal_flags(serving: dict[str, Any]) -> dict[str, Any]:
    """Return serving options by the names that vLLM lists, lists as tuples of text."""
    return {
        normal_flag(flag): tuple(str(each) for each in value) if isinstance(value, list) else value
        for flag, value in serving.items()
    }


def _check_flag_value(value: Any) -> Any:
    scalars = value if isinstance(value, list) else [value]
    for scalar in scalars:
        if not isinstance(scalar, str | int | float | bool):
            raise refuse(
                "a serving option is text, a number, true, false or a list of these",
                "write nested options as JSON in quotes: '{\"key\": 1}'",
            )
        if isinstance(scalar, str):
            _no_secret(scalar)
            if scalar.startswith("-"):
                raise refuse(
                    f"{short(scalar)} begins with a dash, and the engine would read it as a flag",
                    "write flags as keys, and numbers without quotes",
                )
    return value


def _check_env_name(name: str) -> str:
    if _SECRET_NAME.search(name):
        raise refuse(
            f"environment variable {name} looks like a secret",
            "secrets do not belong in the registry; this machine's environment holds tokens",
        )
    if name in RESERVED_ENV:
        raise refuse(f"environment variable {name} is reserved", RESERVED_ENV[name])
    for prefix, reason in RESERVED_ENV_PREFIXES.items():
        if name.startswith(prefix):
            raise refuse(f"environment variable {name} is reserved", reason)
    return name


def _no_secret(text: str) -> str:
    if _SECRET_VALUE.search(text):
        raise refuse(
            "this value looks like an access token",
            "secrets do not belong in the registry; revoke the token if the file was shared",
        )
    if not text.isprintable():
        raise refuse("a value with a line end or a control character", "write it on one line")
    return text


def _check_text(text: str) -> str:
    if found := _CONTROL.search(text):
        raise refuse(f"a text with the control character {found[0]!r}", "write it without")
    return text


def _check_repo(repo: str) -> str:
    if ".." in repo or "--" in repo:
        raise refuse(f"{short(repo)} is no repository of the Hub", "write it as owner/name")
    return repo


def _check_ref(ref: str) -> str:
    if ".." in ref or ref.endswith(("/", ".")):
        raise refuse(f"{short(ref)} is no branch or tag", "write its name, such as main")
    if re.match(REVISION_PATTERN.removesuffix("$") + r"\Z", ref):
        raise refuse("a commit never moves, so it cannot be followed", "name a branch or a tag")
    return ref


def _check_size(text: str) -> str:
    try:
        size = parse_size(text)
    except ValueError as error:
        message, _, hint = str(error).partition("; ")
        raise refuse(message, hint) from None
    if size <= 0:
        raise refuse(f"{short(text)} is no memory at all", "write it like 16GiB")
    if size > MAX_MEMORY:
        raise refuse(f"{short(text)} is more than any host has", "write it like 16GiB")
    return text


def _check_duration(value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    else:
        found = _DURATION.match(value) if isinstance(value, str) else None
        if found is None:
            raise refuse(f"{short(str(value))} is not a duration", "write it like 60s or 2min")
        seconds = float(found[1]) * (60 if found[2] == "min" else 1)
    if not 0 < seconds <= 3600:
        raise refuse(
            "a duration here is more than 0 s and at most 60min", "write it like 60s or 2min"
        )
    return seconds


# The names that clients request may also have capitals and `/`, like the names of repositories.
ALIAS_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$"
Alias = Annotated[
    str,
    _matching(
        ALIAS_PATTERN,
        "{text} is not a name that clients can request",
        "up to 128 of A-Z a-z 0-9 . _ / - with a letter or digit first",
    ),
    WithJsonSchema({"type": "string", "pattern": ALIAS_PATTERN}),
]
Name = Annotated[
    str,
    _matching(
        NAME_PATTERN,
        "{text} is not a name",
        "up to 63 of a-z 0-9 . _ - with a letter or digit first, in lower case",
    ),
    WithJsonSchema({"type": "string", "pattern": NAME_PATTERN}),
]
Licence = Annotated[
    str,
    _matching(
        LICENCE_PATTERN,
        "{text} is not a licence id",
        "write the Hub's id in lower case, such as apache-2.0",
    ),
    WithJsonSchema({"type": "string", "pattern": LICENCE_PATTERN}),
]
Repo = Annotated[
    str,
    _matching(REPO_PATTERN, "{text} is no repository of the Hub", "write it as owner/name"),
    AfterValidator(_check_repo),
    WithJsonSchema({"type": "string", "pattern": REPO_PATTERN}),
]
Ref = Annotated[
    str,
    _matching(
        REF_PATTERN,
        "{text} is no branch or tag",
        "write the name of a branch or a tag, such as main",
    ),
    AfterValidator(_check_ref),
    WithJsonSchema({"type": "string", "pattern": REF_PATTERN}),
]
# The reader checks for a full commit: its hint needs the name of the model.
Revision = Annotated[str, WithJsonSchema({"type": "string", "pattern": REVISION_PATTERN})]
EngineVersion = Annotated[
    str,
    _matching(VERSION_PATTERN, "{text} is no full engine version", "write it like 0.32.0"),
    WithJsonSchema({"type": "string", "pattern": VERSION_PATTERN}),
]
Flag = Annotated[
    str,
    _matching(
        FLAG_PATTERN,
        "{text} is no flag of vLLM",
        f"write it without dashes in front: {EXAMPLE_FLAG}",
    ),
    WithJsonSchema({"type": "string", "pattern": FLAG_PATTERN}),
]
FlagValue = Annotated[
    Any,
    BeforeValidator(_check_flag_value),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": ["string", "number", "boolean"]},
                {"type": "array", "items": {"type": ["string", "number", "boolean"]}},
            ]
        }
    ),
]
EnvName = Annotated[
    str,
    _matching(
        ENV_PATTERN,
        "{text} is no name of an environment variable",
        f"write it in capitals: {EXAMPLE_VARIABLE}",
    ),
    AfterValidator(_check_env_name),
    WithJsonSchema({"type": "string", "pattern": ENV_PATTERN}),
]
OptionName = Annotated[
    str,
    _matching(
        OPTION_PATTERN,
        "{text} is neither a flag of vLLM nor a variable",
        f"write a flag without dashes in front and without keys, or a variable: {EXAMPLE_FLAG}",
    ),
    WithJsonSchema({"type": "string", "pattern": OPTION_PATTERN}),
]
if TYPE_CHECKING:
    AcceleratorName = str
    EngineName = str
else:
    EngineName = Literal[ENGINES]
    AcceleratorName = Literal[tuple(str(each) for each in Accelerator)]
Line = Annotated[str, StringConstraints(max_length=MAX_TEXT), AfterValidator(_no_secret)]
OptionalText = Annotated[str, StringConstraints(max_length=MAX_TEXT), AfterValidator(_check_text)]
Text = Annotated[OptionalText, StringConstraints(min_length=1)]
Size = Annotated[
    str,
    AfterValidator(_check_size),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]+([.][0-9]+)?\s*([kKMGT]i?B|B)$"}),
]
Duration = Annotated[
    Any,
    BeforeValidator(_check_duration),
    WithJsonSchema(
        {"anyOf": [{"type": "number"}, {"type": "string", "pattern": _DURATION.pattern}]}
    ),
]
