"""Read `fleet.yaml`, a plain Ansible inventory, into a Fleet. Without the file, the fleet is this machine."""

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

_WORDS = "ansible_ssh_common_args"
# These values end up in units and in the router's configuration, where a blank or a quote has a meaning.
_PATH = (
    re.compile(r"/[A-Za-z0-9._+@/-]*[A-Za-z0-9._+@-]"),
    "must be an absolute path of plain characters",
)
_BIND = (re.compile(r"([A-Za-z0-9.-]+|\*|\[[0-9A-Fa-f:.]+\])?:[0-9]{1,5}"), "must be ADDRESS:PORT")
_IPV4 = (re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){3}"), "must be an IPv4 address")
_Form = tuple[re.Pattern[str], str]
_SWITCH = "switch"
# Inventory variable -> field of Host, and what its value must be: a form of text, a switch, or a port from a number on.
_FIELDS: dict[str, tuple[str, _Form | str | int]] = {
    "ansible_connection": ("connection", (re.compile("local|ssh"), "must be local or ssh")),
    "ansible_host": (
        "address",
        (re.compile(r"[A-Za-z0-9_][A-Za-z0-9:._-]*"), "must be an address"),
    ),
    "ansible_python_interpreter": ("python", _PATH),
    "toolkit_root": ("root", _PATH),
    "toolkit_user": ("user", (re.compile(r"[a-z_][a-z0-9_-]{0,31}"), "must be a user's name")),
    "toolkit_port_base": ("port_base", 1024),
    "toolkit_address": ("relay_address", _IPV4),
    "toolkit_relay_port": ("relay_port", 1024),
    "toolkit_swarm_tls": ("swarm_tls", _SWITCH),
    "toolkit_accept_unfenced": ("accept_unfenced", _SWITCH),
    "router_bind": ("router_bind", _BIND),
    "router_metrics_bind": ("router_metrics_bind", _BIND),
    "router_tls_certificate": ("router_tls_certificate", _PATH),
    "router_tls_key": ("router_tls_key", _PATH),
    "router_require_keys": ("router_require_keys", _SWITCH),
}
# Inventory variable for a login -> the option of ssh with the same meaning, and what its value must be.
_LOGIN: dict[str, tuple[str, _Form | str | int]] = {
    "ansible_user": (
        "User",
        (re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@\\-]*"), "must be a user's name"),
    ),
    "ansible_port": ("Port", 1),
    "ansible_ssh_private_key_file": (
        "IdentityFile",
        (re.compile(r"[~/][A-Za-z0-9._+@/~-]*"), "must be a path of plain characters"),
    ),
    _WORDS: ("", (re.compile(r"[^\n]*"), "must be words of an ssh command line")),
}
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
    """Return the hosts; each of several gets the addresses of the others as its peers."""
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
    relays = tuple(f"{host.relay_address}:{host.relay_port}" for host in hosts)
    return tuple(
        replace(
            host, peers=tuple(each for each in seen if each != host.relay_address), relays=relays
        )
        for host in hosts
    )


# A variable's name -> the place of its value in the file.
_Places = dict[str, "Where"]


@dataclass(slots=True)
class _Found:
    """A host of one or several groups. Its own variables win over those of any group."""

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
        value = _at(document, where)
        if fault := _fault(variable, value):
            raise document.fault(where, f"{variable} of {name} {fault}")
        if variable in SETTINGS:
            settings[variable] = value
        elif variable in _FIELDS:
            values[_FIELDS[variable][0]] = value
        elif variable in _LOGIN:
            login += _login_words(variable, value)
    if values["connection"] == "ssh":
        values.setdefault("address", name)
        values["ssh_options"] = tuple(login)
        if _IPV4[0].fullmatch(values["address"]):
            values.setdefault("relay_address", values["address"])
    if ("router_tls_certificate" in values) != ("router_tls_key" in values):
        raise document.fault(
            found.where,
            f"{name} has one of router_tls_certificate and router_tls_key",
            hint="a certificate serves with its key: give both",
        )
    return Host(name=name, settings=settings, **values)


def _login_words(variable: str, value: Any) -> list[str]:
    return shlex.split(value) if variable == _WORDS else ["-o", f"{_LOGIN[variable][0]}={value}"]


def _fault(variable: str, value: Any) -> str:
    """Return what is wrong with the value of a variable; empty for a good one, and for Ansible's other variables."""
    if variable in SETTINGS:
        return setting_fault(variable, value)
    name, rule = {**_FIELDS, **_LOGIN}.get(variable, ("", None))
    if rule == _SWITCH:
        return "" if isinstance(value, bool) else f"must be true or false, not {value!r}"
    if isinstance(rule, int):
        fits = isinstance(value, int) and not isinstance(value, bool) and rule <= value <= 65000
        return "" if fits else f"must be a port between {rule} and 65000, not {value!r}"
    return _text_fault(name, rule, value) if isinstance(rule, tuple) else ""


def _text_fault(name: str, form: _Form, value: Any) -> str:
    if not isinstance(value, str):
        return f"must be text, not {value!r}"
    if name == "root" and len(value) > MAX_ROOT:
        return f"must have at most {MAX_ROOT} characters, not {len(value)}: sockets lie under it"
    pattern, words = form
    fits = pattern.fullmatch(value) is not None and ".." not in value.split("/")
    if fits and form is _LOGIN[_WORDS][1]:
        fits = _are_words(value)
    if fits and form is _BIND:
        fits = 0 < int(value.rpartition(":")[2]) < 65536
    return "" if fits else f"{words}, not {value!r}"


def _are_words(text: str) -> bool:
    try:
        shlex.split(text)
    except ValueError:
        return False
    return True
