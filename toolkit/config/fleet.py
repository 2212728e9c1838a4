"""`fleet.yaml`, a plain Ansible inventory, -> Fleet. Without one, the fleet is this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from toolkit.domain.fleet import Fleet, Host
from toolkit.errors import InputError

LOCALHOST = Fleet((Host("localhost"),))

# inventory variable -> field of Host
_VARIABLES = {
    "ansible_connection": "connection",
    "ansible_host": "address",
    "ansible_python_interpreter": "python",
    "toolkit_root": "root",
    "toolkit_user": "user",
    "toolkit_port_base": "port_base",
    "router_bind": "router_bind",
    "router_metrics_bind": "router_metrics_bind",
}


def load_fleet(path: Path | None) -> Fleet:
    """Return the hosts of the inventory at `path`, or this machine where `path` is None.

    Raises InputError with the file's name where it is not an inventory in YAML.
    """
    if path is None:
        return LOCALHOST
    inventory = _read(path)
    hosts = tuple(_hosts(inventory, path, {}))
    if not hosts:
        raise InputError(f"{path}: no hosts in it", hint="all: {hosts: {localhost: …}}")
    if len(hosts) > 1 or hosts[0].connection != "local":
        raise InputError(
            f"{path}: today's fleet is one machine, with `ansible_connection: local`",
            hint="run the toolkit on the machine that serves",
        )
    return Fleet(hosts)


def _read(path: Path) -> dict[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        data = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", hint="name an inventory with --fleet") from error
    except (YAMLError, UnicodeDecodeError, RecursionError) as error:
        line = str(error).strip().splitlines()
        raise InputError(f"{path}: not YAML: {line[-1].strip() if line else error}") from error
    if not isinstance(data, dict) or not all(isinstance(each, dict) for each in data.values()):
        raise InputError(f"{path}: not an Ansible inventory", hint="all: {hosts: {localhost: …}}")
    return data


def _hosts(groups: dict[str, Any], path: Path, inherited: dict[str, Any]) -> list[Host]:
    found = []
    for group in groups.values():
        group = group or {}
        variables = {**inherited, **(group.get("vars") or {})}
        for name, own in (group.get("hosts") or {}).items():
            found.append(_host(str(name), {**variables, **(own or {})}, path))
        found.extend(_hosts(group.get("children") or {}, path, variables))
    return found


def _host(name: str, variables: dict[str, Any], path: Path) -> Host:
    values: dict[str, Any] = {"connection": "ssh"}
    for variable, field in _VARIABLES.items():
        if variable in variables:
            values[field] = variables[variable]
    for field, value in values.items():
        wanted = int if field == "port_base" else str
        if not isinstance(value, wanted):
            raise InputError(f"{path}: {name}: {field} must be {'a number' if wanted is int else 'text'}")
    if not str(values.get("root", "/")).startswith("/"):
        raise InputError(f"{path}: {name}: toolkit_root must be an absolute path")
    return Host(name=name, **values)
