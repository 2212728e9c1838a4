"""`toolkit config`: which settings a command has here, and where each comes from."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from click.core import ParameterSource

from toolkit.adapters.history.database import read_address
from toolkit.adapters.prometheus import checked_address
from toolkit.cli.arguments.options import (
    DEFAULT_COSTS,
    DEFAULT_SCHEDULE,
    registry_option,
    site_options,
)
from toolkit.cli.opening.context import PROMETHEUS, PROMETHEUS_CREDENTIALS, open_fleet
from toolkit.cli.opening.trail import notify_path
from toolkit.cli.terminal.output import print_json, table
from toolkit.cli.terminal.passwords import BECOME_FILE
from toolkit.config.inventory.plain import is_host_list
from toolkit.config.paths import absolute
from toolkit.errors import InputError

_DEFAULT = "default"
# Variables that change what commands do. Of the secret ones only their being there is shown.
_VARIABLES = {
    "HF_ENDPOINT": ("hub", "https://huggingface.co"),
    "HF_HUB_OFFLINE": ("offline", "no"),
    "ANSIBLE_VAULT_PASSWORD_FILE": ("vault password file", "-"),
    BECOME_FILE: ("sudo password file", "-"),
    PROMETHEUS_CREDENTIALS: ("credentials of prometheus", "-"),
}
_SECRETS = {"TOOLKIT_KEY": "key for ask", "HF_TOKEN": "hub token"}


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting, its value without secrets, and its origin: flag, a variable, a file or default."""

    name: str
    value: str
    origin: str


@click.command()
@registry_option()
@site_options()
def config(registry_path: str, fleet: str | None, home: str | None, as_json: bool) -> None:
    """Show the files, home and history in use, and where each value comes from."""
    home_path = absolute(home) if home else Path.home() / ".toolkit"
    settings = [
        Setting("registry", _present(Path(registry_path)), _origin("registry_path", "REGISTRY")),
        Setting("fleet", _fleet(fleet), _origin("fleet", "FLEET")),
        Setting("home", str(home_path), _origin("home", "HOME")),
        _history(home_path),
        *_files(home_path),
        _prometheus(),
        *_variables(),
    ]
    failure = None
    try:
        hosts = open_fleet(fleet).hosts
    except InputError as error:
        hosts, failure = (), error
    source = f"file {fleet}" if fleet else _DEFAULT
    for host in hosts:
        settings.append(Setting(f"root of {host.name}", host.root, source))
        settings.append(Setting(f"endpoint of {host.name}", host.endpoint, source))
    if as_json:
        print_json({"settings": [asdict(each) for each in settings]}, failure)
        return
    table(("SETTING", "VALUE", "FROM"), [(s.name, s.value, s.origin) for s in settings])
    if failure:
        raise failure


def _present(path: Path) -> str:
    found = absolute(path)
    return str(found) if found.exists() else f"{found} (no such file)"


def _fleet(fleet: str | None) -> str:
    if not fleet:
        return "this machine"
    return fleet if is_host_list(Path(fleet)) else _present(Path(fleet))


def _origin(parameter: str, variable: str) -> str:
    source = click.get_current_context().get_parameter_source(parameter)
    if source is ParameterSource.COMMANDLINE:
        return "flag"
    if source is ParameterSource.ENVIRONMENT:
        return f"environment TOOLKIT_{variable}"
    return _DEFAULT


def _history(home: Path) -> Setting:
    url = os.environ.get("TOOLKIT_HISTORY")
    if not url:
        return Setting("history", str(home / "history.db"), _DEFAULT)
    try:
        value = read_address(url).name
    except InputError:
        # Any part of an address that cannot be read may be its password.
        value = "an address that cannot be read"
    return Setting("history", value, "environment TOOLKIT_HISTORY")


def _files(home: Path) -> list[Setting]:
    """Return the files that a command reads where they are there."""
    found = [
        Setting(name, _present(Path(os.environ.get(variable) or default)), _named(variable))
        for name, variable, default in (
            ("schedule", "TOOLKIT_SCHEDULE", DEFAULT_SCHEDULE),
            ("costs", "TOOLKIT_COSTS", DEFAULT_COSTS),
        )
    ]
    return [*found, Setting("notify", _present(notify_path(home)), _named("TOOLKIT_NOTIFY"))]


def _prometheus() -> Setting:
    address = os.environ.get(PROMETHEUS)
    if not address:
        return Setting("prometheus", "-", _DEFAULT)
    try:
        value = checked_address(address)
    except InputError:
        # Any part of an address that cannot be read may be its password.
        value = "an address that cannot be read"
    return Setting("prometheus", value, f"environment {PROMETHEUS}")


def _variables() -> list[Setting]:
    plain = [
        Setting(name, os.environ.get(each) or default, _named(each))
        for each, (name, default) in _VARIABLES.items()
    ]
    secret = [
        Setting(name, "set" if os.environ.get(each) else "not set", _named(each))
        for each, name in _SECRETS.items()
    ]
    return plain + secret


def _named(variable: str) -> str:
    return f"environment {variable}" if os.environ.get(variable) else _DEFAULT
