"""`fleet.yaml`, a plain Ansible inventory, -> Fleet. Without one, the fleet is this machine."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.config.host_settings import SETTINGS, setting_fault
from toolkit.domain.fleet import Fleet, Host
from toolkit.errors import InputError

if TYPE_CHECKING:
    from toolkit.config.yaml_text import Where, YamlText

LOCALHOST = Fleet((Host("localhost"),))
MAX_BYTES = 2**20
MAX_ROOT = 75

# inventory variable -> field of Host
_VARIABLES = {
    "ansible_connection": "connection",
    "ansible_host": "address",
    "ansible_python_interpreter": "python",
    "toolkit_root": "root",
    "toolkit_user": "user",
    "toolkit_port_base": "port_base",
    "toolkit_address": "relay_address",
    "toolkit_relay_port": "relay_port",
    "toolkit_swarm_tls": "swarm_tls",
    "router_bind": "router_bind",
    "router_metrics_bind": "router_metrics_bind",
    "router_tls_certificate": "router_tls_certificate",
    "router_tls_key": "router_tls_key",
    "router_require_keys": "router_require_keys",
}
# They end up in units and in the router's configuration, where a blank or a quote would mean something else.
_PATH = (
    re.compile(r"/[A-Za-z0-9._+@/-]*[A-Za-z0-9._+@-]"),
    "must be an absolute path of plain characters",
)
_BIND = (re.compile(r"([A-Za-z0-9.-]+|\*|\[[0-9A-Fa-f:.]+\])?:[0-9]{1,5}"), "must be ADDRESS:PORT")
_FORMS = {
    "connection": (re.compile("local|ssh"), "must be local or ssh"),
    "address": (re.compile(r"[A-Za-z0-9_][A-Za-z0-9:._-]*"), "must be an address"),
    "relay_address": (re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){3}"), "must be an IPv4 address"),
    "ansible_user": (re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@\\-]*"), "must be a user's name"),
    "ansible_ssh_private_key_file": (re.compile(r"[~/][A-Za-z0-9._+@/~-]*"), "must be a path of plain characters"),
    "ansible_ssh_common_args": (re.compile(r"[^\n]*"), "must be words of an ssh command line"),
    "python": _PATH,
    "root": _PATH,
    "user": (re.compile(r"[a-z_][a-z0-9_-]{0,31}"), "must be a user's name"),
    "router_bind": _BIND,
    "router_metrics_bind": _BIND,
    "router_tls_certificate": _PATH,
    "router_tls_key": _PATH,
}  # fmt: skip
_LEAST_PORT = {"port_base": 1024, "relay_port": 1024, "ansible_port": 1}
_SWITCHES = {"router_require_keys", "swarm_tls"}
# Ansible's variables for a login -> the option of ssh that says the same
_LOGIN = {
    "ansible_user": "User",
    "ansible_port": "Port",
    "ansible_ssh_private_key_file": "IdentityFile",
}
_WORDS = "ansible_ssh_common_args"
_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?")
_EXAMPLE = "all: {hosts: {localhost: {ansible_connection: local}}}"


def load_fleet(path: Path | None) -> Fleet:
    """Return the hosts of the inventory at `path`, or this machine where `path` is None.

    Raises InputError with file, line and column where it is not an inventory in YAML.
    """
    if path is None:
        return LOCALHOST
    from toolkit.config.text_file import read_text
    from toolkit.config.yaml_text import parse_yaml

    text = read_text(path, limit=MAX_BYTES, hint="name an inventory with --fleet")
    document = parse_yaml(path, text)
    if not isinstance(document.data, dict):
        raise InputError(f"{path}: not an Ansible inventory", hint=_EXAMPLE)
    found: dict[str, _Found] = {}
    _read_groups(document, (), {}, found)
    hosts = tuple(_host(document, name, each) for name, each in found.items())
    if not hosts:
        raise InputError(f"{path}: no hosts in it", hint=_EXAMPLE)
    _check_apart(path, hosts)
    return Fleet(_introduced(path, hosts))


def _check_apart(path: Path, hosts: Sequence[Host]) -> None:
    seen: dict[tuple[str, ...], str] = {}
    for host in hosts:
        place = "this machine" if host.connection == "local" else host.address
        login = (place, *(word for word in host.ssh_options if word.startswith("Port=")))
        if login in seen:
            raise InputError(
                f"{path}: {seen[login]} and {host.name} have the same address, {place}",
                hint="a machine is one host; its name stands once in the inventory",
            )
        seen[login] = host.name


def _introduced(path: Path, hosts: Sequence[Host]) -> tuple[Host, ...]:
    """Return the hosts, where there are several with the addresses of each other."""
    if len(hosts) == 1:
        return tuple(hosts)
    seen: dict[str, str] = {}
    for host in hosts:
        if not host.relay_address:
            raise InputError(
                f"{path}: {host.name} has no address at which the other hosts reach it",
                hint=f"give {host.name} its toolkit_address, an IPv4 address of its own",
            )
        if host.relay_address in seen:
            raise InputError(
                f"{path}: {seen[host.relay_address]} and {host.name} have the same toolkit_address, "
                f"{host.relay_address}",
                hint="the other hosts reach each host at an address of its own",
            )
        seen[host.relay_address] = host.name
    return tuple(
        replace(host, peers=tuple(each for each in seen if each != host.relay_address))
        for host in hosts
    )


# a variable's name -> where its value stands in the file
_Places = dict[str, "Where"]


@dataclass(slots=True)
class _Found:
    """A host, which may stand in several groups: its own variables win over those of any group."""

    where: Where
    of_groups: _Places = field(default_factory=dict)
    own: _Places = field(default_factory=dict)


def _read_groups(
    document: YamlText, where: Where, inherited: _Places, found: dict[str, _Found]
) -> None:
    for group in _entries(document, where, "groups"):
        parts = dict.fromkeys(_entries(document, (*where, group), f"the group {group}"))
        if unknown := sorted(parts.keys() - {"hosts", "vars", "children"}):
            raise document.fault(
                (*where, group, unknown[0]),
                f"the group {group} has {unknown[0]!r}",
                hint="a group has hosts, vars and children",
                at_key=True,
            )
        variables = {**inherited, **_places(document, (*where, group, "vars"), f"vars of {group}")}
        for name in _entries(document, (*where, group, "hosts"), f"hosts of {group}"):
            place = (*where, group, "hosts", name)
            if not _NAME.fullmatch(name):
                raise document.fault(place, f"{name!r} is no host's name", at_key=True)
            each = found.setdefault(name, _Found(place))
            each.of_groups.update(variables)
            each.own.update(_places(document, place, name))
        _read_groups(document, (*where, group, "children"), variables, found)


def _entries(document: YamlText, where: Where, what: str) -> Iterator[str]:
    value = _at(document, where)
    if value is None:
        return
    if not isinstance(value, dict):
        raise document.fault(where, f"{what} must be a mapping, name: ...", hint=_EXAMPLE)
    yield from value


def _places(document: YamlText, where: Where, what: str) -> _Places:
    return {name: (*where, name) for name in _entries(document, where, what)}


def _at(document: YamlText, where: Where) -> Any:
    value = document.data
    for key in where:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _host(document: YamlText, name: str, found: _Found) -> Host:
    values: dict[str, Any] = {"connection": "ssh"}
    login: list[str] = []
    settings: dict[str, Any] = {}
    for variable, where in {**found.of_groups, **found.own}.items():
        if variable in SETTINGS:
            settings[variable] = _at(document, where)
            if fault := setting_fault(variable, settings[variable]):
                raise document.fault(where, f"{variable} of {name} {fault}")
            continue
        if variable not in _VARIABLES and variable not in _LOGIN and variable != _WORDS:
            continue
        field_name = _VARIABLES.get(variable, variable)
        value = _at(document, where)
        ports = _LEAST_PORT.get(field_name)
        if field_name in _SWITCHES:
            fault = "" if isinstance(value, bool) else f"must be true or false, not {value!r}"
        else:
            fault = _port_fault(value, ports) if ports else _fault(field_name, value)
        if fault:
            raise document.fault(where, f"{variable} of {name} {fault}")
        if variable in _LOGIN:
            login += ["-o", f"{_LOGIN[variable]}={value}"]
        elif variable == _WORDS:
            login += shlex.split(value)
        else:
            values[field_name] = value
    if values["connection"] == "ssh":
        values.setdefault("address", name)
        values["ssh_options"] = tuple(login)
        if _fits(_FORMS["relay_address"], values["address"]):
            values.setdefault("relay_address", values["address"])
    if ("router_tls_certificate" in values) != ("router_tls_key" in values):
        raise document.fault(
            found.where,
            f"{name} has one of router_tls_certificate and router_tls_key",
            hint="a certificate serves with its key: give both",
        )
    return Host(name=name, settings=settings, **values)


def _fits(form: tuple[re.Pattern[str], str], value: str) -> bool:
    return form[0].fullmatch(value) is not None


def _fault(field_name: str, value: Any) -> str:
    form, words = _FORMS[field_name]
    if not isinstance(value, str):
        return f"must be text, not {value!r}"
    if field_name == "root" and len(value) > MAX_ROOT:
        return f"must have at most {MAX_ROOT} characters, not {len(value)}: sockets lie under it"
    fits = form.fullmatch(value) is not None and ".." not in value.split("/")
    if fits and field_name == _WORDS:
        fits = _are_words(value)
    if fits and form is _BIND[0]:
        fits = 0 < int(value.rpartition(":")[2]) < 65536
    return "" if fits else f"{words}, not {value!r}"


def _are_words(text: str) -> bool:
    try:
        shlex.split(text)
    except ValueError:
        return False
    return True


def _port_fault(value: Any, least: int) -> str:
    fits = isinstance(value, int) and not isinstance(value, bool) and least <= value <= 65000
    return "" if fits else f"must be a port between {least} and 65000, not {value!r}"
