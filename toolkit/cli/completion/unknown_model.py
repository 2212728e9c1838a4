"""The hint for a model's name that nobody here knows: the name that was meant, never a command with the wrong one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress

from toolkit.cli.completion.names import (
    ARGUMENTS,
    Name,
    command_of,
    home_of,
    registry_of,
    site_of,
    words_of,
)
from toolkit.config.completion.glance import models_in
from toolkit.errors import InputError, ToolkitError

LIST = "toolkit registry list"
# The options by which commands that take a model alone are told a version.
_OF_VERSION = {
    "upgrade": " --to {}",
    "rollback": " --to {}",
    "ask": " --version {} QUESTION",
}


def with_known_names(error: ToolkitError, words: Sequence[str]) -> ToolkitError:
    """Return the error of the command line `words`; its hint names a model that is known where the typed one is not.

    Only an error about that name changes, and only where its hint would lead on with it or says nothing of models.
    """
    command, rest = command_of(words)
    name = next(iter(words_of(command, rest)), "")
    model = name.partition("@")[0]
    if not isinstance(error, InputError) or not model:
        return error
    if ARGUMENTS.get(command) not in (Name.MODEL, Name.VERSIONED) or model not in error.message:
        return error
    site = site_of(words)
    if whole := _whole_model(command, name, error.message, site):
        error.hint = whole
        return error
    hint = error.hint.replace(";", " ").replace(",", " ")
    if hint not in ("", "toolkit status") and model not in hint.split():
        return error
    if not is_known(model, site):
        error.hint = nearest(model, site)
    return error


def require_known(model: str, home: str | None, searched: str) -> None:
    """Raise InputError where neither the registry nor the history has a model or adapter that `searched` lacks too."""
    site = {**site_of(()), **({"home": home} if home else {})}
    if not is_known(model, site) and not _is_adapter(model, site):
        raise InputError(
            f"no model {model!r} in the {searched}, in the registry or in the history",
            hint=nearest(model, site),
        )


def is_known(model: str, site: dict[str, str]) -> bool:
    """Return whether the registry or the history of `site` has the model; neither raises where it is not there.

    A history on a server may have any model: a hint is not worth a connection.
    """
    from toolkit.adapters.history.glance import releases_in

    known = model in models_in(registry_of(site)) or bool(os.environ.get("TOOLKIT_HISTORY"))
    return known or bool(releases_in(home_of(site) / "history.db", model))


def nearest(model: str, site: dict[str, str]) -> str:
    """Return the hint for an unknown model."""
    registry = registry_of(site)
    if not registry.exists():
        return "toolkit status"
    from toolkit.domain.registry.model import near_names

    near = near_names(model, models_in(registry))
    return f"did you mean {' or '.join(near)}?" if near else LIST


def _whole_model(command: str, name: str, said: str, site: dict[str, str]) -> str:
    """Return the command line for MODEL@VERSION where a command takes a known model alone; empty elsewhere."""
    model, at, version = name.partition("@")
    takes_version = ARGUMENTS[command] is not Name.MODEL or command == "registry pin"
    if takes_version or not at or name not in said or not is_known(model, site):
        return ""
    return f"toolkit {command} {model}{_OF_VERSION.get(command, '').format(version)}"


def _is_adapter(name: str, site: dict[str, str]) -> bool:
    from toolkit.cli.opening.context import read_registry

    with suppress(ToolkitError):
        return bool(read_registry(str(registry_of(site))).adapters(name))
    return False
