"""Offer words while a command is typed: commands, options, models, versions, hosts, keys, releases, paths.

It must answer faster than a person types, so it loads neither the command nor a library: see `words.json` for commands
and options, and in `config.completion` `glance` for names and `known_names` for what only Ansible or the hosts know.
What it does not know, such as the choices of an option, it leaves to click, which loads the command.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable, Sequence
from enum import Enum
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from click.shell_completion import CompletionItem, get_completion_class

from toolkit.config.completion.glance import adapters_in, models_in
from toolkit.config.completion.known_names import known_hosts, known_keys
from toolkit.config.paths import expanded

Items = list[CompletionItem[str]]


class Name(Enum):
    """The kind of name that a word is."""

    MODEL = "model"
    VERSIONED = "model or version"
    VERSION = "version"
    RELEASE = "release"
    HOST = "host"
    KEY = "key"
    FILE = "file"
    DIRECTORY = "dir"


# The first word after a command; a test holds these equal to the commands' own.
ARGUMENTS = {
    **dict.fromkeys(("plan", "diff", "deploy", "gate run", "pull", "bom"), Name.VERSIONED),
    **dict.fromkeys(("bundle create", "registry accept", "registry show"), Name.VERSIONED),
    **dict.fromkeys(("upgrade", "rollback", "watch", "promote", "abort", "status"), Name.MODEL),
    **dict.fromkeys(
        (
            "releases",
            "ask",
            "logs",
            "stop",
            "update",
            "outdated",
            "prove",
            "which",
            "slo",
            "requests",
        ),
        Name.MODEL,
    ),
    **dict.fromkeys(("gate record", "registry pin", "sleep", "wake"), Name.MODEL),
    **dict.fromkeys(("hosts drain", "hosts forget", "provision"), Name.HOST),
    "keys revoke": Name.KEY,
    **dict.fromkeys(("bundle load", "bundle show", "metrics setup"), Name.DIRECTORY),
}
# Commands that take an adapter's name in the place of a model's.
_ADAPTED = ("ask", "registry pin", "update", "usage")
_MANY = ("bundle create", "outdated", "provision")
# Groups in which the name of a model stands for one of their commands with it.
_SHORT = {"gate": "gate run"}
_OPTIONS = {
    "--host": Name.HOST,
    "--in-turn-with": Name.MODEL,
    "--not-in-turn-with": Name.MODEL,
    "--key": Name.KEY,
    "--registry": Name.FILE,
    "--fleet": Name.FILE,
    "--schedule": Name.FILE,
    "--costs": Name.FILE,
    "--readings": Name.FILE,
    "--model": Name.MODEL,
    "--key-file": Name.FILE,
    "--prompts": Name.FILE,
    "--output": Name.FILE,
    "--checker": Name.FILE,
    "--answer-headers": Name.FILE,
    "--home": Name.DIRECTORY,
    "upgrade --to": Name.VERSION,
    "rollback --to": Name.RELEASE,
    "ask --version": Name.VERSION,
    "bundle create --to": Name.DIRECTORY,
    "schedule install --to": Name.DIRECTORY,
    "schedule remove --to": Name.DIRECTORY,
}


def offered() -> str | None:
    """Return the names to offer for the words in the shell's variables, a line each; None where click offers."""
    shell = os.environ.get("_TOOLKIT_COMPLETE", "").partition("_")[0]
    found = get_completion_class(shell)
    if found is None:
        return None
    completer = found(None, {}, "toolkit", "_TOOLKIT_COMPLETE")  # type: ignore[arg-type]
    words, typed = completer.get_completion_args()
    given = len(words)
    words, typed = _with_values(words, typed)
    if len(words) < given:
        # For click, which may be asked next.
        line = shlex.join(["toolkit", *words, typed])
        os.environ.update(COMP_WORDS=line, COMP_CWORD=str(len(words) + 1))
    words, typed, alone = _joined(words, typed)
    items = items_for(words, typed, alone=alone)
    return None if items is None else "\n".join(map(completer.format_completion, items))


def items_for(words: Sequence[str], typed: str, *, alone: bool = False) -> Items | None:
    """Return the words that can complete `typed`; None where only the command itself knows them.

    `words` are those before it. With `alone` the shell replaces only what follows the @ of MODEL@VERSION.
    """
    command, before = command_of(words)
    if typed.startswith("-"):
        if before and takes_word(command, before[-1]):
            return None
        option, equals, value = typed.partition("=")
        if equals and takes_word(command, option):
            below = items_for([*words, option], value)
            return below and [
                CompletionItem(f"{option}={each.value}") for each in below if each.type == "plain"
            ]
        return _options(command, before, typed)
    kind = _kind(command, before)
    if kind is None:
        below = None if before else _commands(command, typed)
        if below is not None and command in _SHORT:
            below += items_for(_SHORT[command].split(), typed, alone=alone) or []
        return below
    if kind in (Name.FILE, Name.DIRECTORY):
        return [CompletionItem(typed, type=kind.value)]
    names = _names(kind, words_of(command, before), typed, site_of(words))
    if kind is Name.MODEL and command in _ADAPTED:
        names += adapters_in(registry_of(site_of(words)))
    if alone:
        names = [each.partition("@")[2] for each in names]
        typed = typed.partition("@")[2]
    return [CompletionItem(each) for each in names if each.startswith(typed)]


def _with_values(words: list[str], typed: str) -> tuple[list[str], str]:
    """Return the words with --option=VALUE as two, of which bash makes three: the last is what it completes."""
    rest = [each for before, each in pairwise(["", *words]) if not _is_equals(before, each)]
    return rest, "" if words and _is_equals(words[-1], typed) else typed


def _is_equals(before: str, word: str) -> bool:
    return word == "=" and before.startswith("--")


def _joined(words: list[str], typed: str) -> tuple[list[str], str, bool]:
    """Return the words with MODEL@VERSION as one, and whether bash made three of it, of which it completes the last."""
    if typed == "@" and words:
        return words[:-1], f"{words[-1]}@", True
    if len(words) > 1 and words[-1] == "@":
        return words[:-2], f"{words[-2]}@{typed}", True
    return words, typed, False


def command_of(words: Sequence[str]) -> tuple[str, list[str]]:
    """Return the command, with its subcommand, and the words after it."""
    rest = [each for each in words if each != "--debug"]
    size = 2 if " ".join(rest[:2]) in _words() else 1
    command, after = " ".join(rest[:size]), rest[size:]
    if after and not after[0].startswith("-"):
        command = _SHORT.get(command, command)
    return command, after


@cache
def _words() -> dict[str, Any]:
    """Return words.json: {command: {"options": {name: help}, "repeated", "flags": names, "commands": {name: help}}}.

    An option that is no flag takes the word after it.
    """
    found: dict[str, Any] = json.loads((Path(__file__).parent / "words.json").read_text("utf-8"))
    return found


def known_commands() -> Iterable[str]:
    """Return the commands with their groups, as in `keys add`, in the order of the help; the program itself is ""."""
    return _words().keys()


def _options(command: str, before: Sequence[str], typed: str) -> Items | None:
    """Return the options that go on like this, without those that stand there and may do so once; None if unknown."""
    said = _words().get(command)
    if said is None:
        return None
    return [
        CompletionItem(name, help=text)
        for name, text in said["options"].items()
        if name.startswith(typed) and (name not in before or name in said["repeated"])
    ]


def _commands(command: str, typed: str) -> Items | None:
    """Return the commands below this one that go on like this; None where it has none."""
    below = _words().get(command, {}).get("commands")
    if not below:
        return None
    return [
        CompletionItem(name, help=text) for name, text in below.items() if name.startswith(typed)
    ]


def takes_option(command: str, option: str) -> bool:
    """Whether the command has the option."""
    return option in _words().get(command, {}).get("options", {})


def takes_word(command: str, option: str) -> bool:
    """Whether the option takes the word after it."""
    return option.startswith("-") and option not in _words().get(command, {}).get("flags", ())


def _kind(command: str, before: Sequence[str]) -> Name | None:
    last = before[-1] if before else ""
    if takes_word(command, last):
        return _OPTIONS.get(f"{command} {last}") or _OPTIONS.get(last)
    if words_of(command, before) and command not in _MANY:
        return None
    return ARGUMENTS.get(command)


def words_of(command: str, before: Sequence[str]) -> list[str]:
    """Return the words that are neither options nor their values."""
    found, skip = [], False
    for each in before:
        if skip:
            skip = False
        elif each.startswith("-"):
            skip = takes_word(command, each) and "=" not in each
        else:
            found.append(each)
    return found


def site_of(words: Sequence[str]) -> dict[str, str]:
    """Return the values of --registry, --fleet and --home, of the words, else of the environment."""
    given = {
        name: os.environ.get(f"TOOLKIT_{name.upper()}", "")
        for name in ("registry", "fleet", "home")
    }
    for name, value in pairwise([*words, ""]):
        option, equals, joined = name.partition("=")
        if option[2:] in given and option.startswith("--"):
            given[option[2:]] = joined if equals else value
    return given


def home_of(site: dict[str, str]) -> Path:
    """Return the directory of the history and the store."""
    return expanded(site["home"]) if site["home"] else Path.home() / ".toolkit"


def registry_of(site: dict[str, str]) -> Path:
    """Return the file of the registry."""
    return expanded(site["registry"] or "model_registry.yaml")


def _names(kind: Name, before: Sequence[str], typed: str, site: dict[str, str]) -> list[str]:
    # The shell expands `~` only once the line is finished.
    home, fleet = home_of(site), str(expanded(site["fleet"])) if site["fleet"] else ""
    if kind is Name.HOST:
        return known_hosts(home, fleet) if fleet else ["localhost"]
    if kind is Name.KEY:
        return known_keys(home, fleet)
    models = models_in(registry_of(site))
    if kind is Name.VERSIONED and "@" in typed:
        model = typed.partition("@")[0]
        return [f"{model}@{each}" for each in models.get(model, ())]
    if kind in (Name.MODEL, Name.VERSIONED):
        return list(models)
    model = before[0] if before else ""
    if kind is Name.VERSION:
        return list(models.get(model, ()))
    from toolkit.adapters.history.glance import releases_in

    return releases_in(home / "history.db", model)
