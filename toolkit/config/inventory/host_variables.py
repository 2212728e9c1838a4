"""From the inventory variables of one host to a Host: which variables the toolkit knows, and what their values must be.

A variable that the toolkit does not know is a fault where its name begins as Ansible's or the toolkit's own do, and so
is a misspelt one: an ignored setting would leave a router open or a login wrong. Other names belong to other playbooks.
"""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Mapping
from typing import Any

from toolkit.config.inventory.host_settings import SETTINGS, setting_fault, with_ports
from toolkit.domain.excerpt import brief, excerpt
from toolkit.domain.hosts.fleet import Host
from toolkit.domain.secret import Secret

MAX_ROOT = 75
# Characters of an error, which quotes the value.
_MOST_WORDS = 2000
HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?")
IPV4 = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){3}")

_WORDS = "ansible_ssh_common_args"
_MORE_WORDS = "ansible_ssh_extra_args"
# These values end up in units and in the router's configuration, where a blank or a quote has a meaning.
_PATH = (
    re.compile(r"/[A-Za-z0-9._+@/-]*[A-Za-z0-9._+@-]"),
    "must be an absolute path of plain characters",
)
_BIND = (re.compile(r"([A-Za-z0-9.-]+|\*|\[[0-9A-Fa-f:.]+\])?:[0-9]{1,5}"), "must be ADDRESS:PORT")
_SSH_WORDS = (re.compile(r"[^\n]*"), "must be words of an ssh command line")
_Form = tuple[re.Pattern[str], str]
_SWITCH = "switch"
# Inventory variable -> field of Host, and what its value must be: a form of text, a switch, or a port from a number on.
FIELDS: dict[str, tuple[str, _Form | str | int]] = {
    "ansible_connection": (
        "connection",
        (re.compile(r"(ansible\.builtin\.)?(local|ssh)"), "must be local or ssh"),
    ),
    "ansible_host": (
        "address",
        (re.compile(r"[A-Za-z0-9_][A-Za-z0-9:._-]*"), "must be an address"),
    ),
    "ansible_python_interpreter": ("python", _PATH),
    "toolkit_root": ("root", _PATH),
    "toolkit_user": (
        "user",
        (
            re.compile(r"(?!root$)[a-z_][a-z0-9_-]{0,31}"),
            "must be the name of an unprivileged user",
        ),
    ),
    "toolkit_port_base": ("port_base", 1024),
    "toolkit_address": ("relay_address", (IPV4, "must be an IPv4 address")),
    "toolkit_relay_port": ("relay_port", 1024),
    "toolkit_swarm_tls": ("swarm_tls", _SWITCH),
    "toolkit_site": (
        "site",
        (re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"), "must be a name of plain characters"),
    ),
    "toolkit_accept_unfenced": ("accept_unfenced", _SWITCH),
    "toolkit_gateway": ("gateway", _SWITCH),
    "router_bind": ("router_bind", _BIND),
    "router_metrics_bind": ("router_metrics_bind", _BIND),
    "router_tls_certificate": ("router_tls_certificate", _PATH),
    "router_tls_key": ("router_tls_key", _PATH),
    "router_require_keys": ("router_require_keys", _SWITCH),
}
# Inventory variable for a login -> the option of ssh with the same meaning, and what its value must be.
LOGIN: dict[str, tuple[str, _Form | int]] = {
    "ansible_user": (
        "User",
        (re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@\\-]*"), "must be a user's name"),
    ),
    "ansible_port": ("Port", 1),
    "ansible_ssh_private_key_file": (
        "IdentityFile",
        (
            re.compile(r"[~/][A-Za-z0-9._+@/~-]*"),
            "must be a path of plain characters that begins with / or ~",
        ),
    ),
    _WORDS: ("", _SSH_WORDS),
    _MORE_WORDS: ("", _SSH_WORDS),
}
# The login's password for sudo. No message shows its value.
SUDO = "ansible_become_password"
_PASSWORD = re.compile(r"[^\n\r\0]{1,1024}")
# Other names that Ansible has for the same variables.
ALIASES = {
    "ansible_become_pass": SUDO,
    "ansible_sudo_pass": SUDO,
    "ansible_ssh_host": "ansible_host",
    "ansible_ssh_port": "ansible_port",
    "ansible_ssh_user": "ansible_user",
    "ansible_private_key_file": "ansible_ssh_private_key_file",
}
# Variables of Ansible that may be there with these values, since the toolkit does the same anyway.
_ALREADY_SO: dict[str, tuple[str | bool, ...]] = {
    "ansible_become": (True, False),
    "ansible_become_method": ("sudo", "ansible.builtin.sudo"),
    "ansible_become_user": ("root",),
    "ansible_pipelining": (True, False),
    "ansible_ssh_pipelining": (True, False),
    "ansible_shell_type": ("sh",),
}
# Ansible alone acts on it: it orders groups.
_OF_ANSIBLE = "ansible_group_priority"
_SECRETS = ("ansible_password", "ansible_ssh_pass", "ansible_ssh_password")
_SWITCH_WORDS = {
    **dict.fromkeys(("yes", "on", "1", "true", "t", "y", "1.0"), True),
    **dict.fromkeys(("no", "off", "0", "false", "f", "n", "0.0"), False),
}
_NEAR = 0.92
# Variables with these beginnings are the toolkit's. Playbooks for routers of networks have some such as `router_id`.
_OF_ROUTER = (
    *("bind", "body", "buffer", "cert", "client_", "connections", "cors", "exporters", "head_timeout"),
    *("held_", "idle_timeout", "key", "large_", "lines_", "longest_", "max_", "medium_", "metrics", "paths"),
    *("peers", "port", "requests_", "relay", "require", "small_", "ssl", "threads", "tls", "unread_", "unsent"),
    "upload_",
)  # fmt: skip
_OWN = ("toolkit_", "nvidia_driver", *(f"router_{each}" for each in _OF_ROUTER))


class VariableError(Exception):
    """A fault of a host: its `variable`, empty for the host as a whole, the `words` and a `hint`."""

    def __init__(self, variable: str, words: str, hint: str) -> None:
        super().__init__(variable, words, hint)
        self.variable, self.words, self.hint = variable, words, hint


def host_of(name: str, variables: Mapping[str, Any]) -> Host:
    """Return the host `name` with `variables`, without the addresses of other hosts; raises VariableError."""
    known = _checked(name, variables)
    values: dict[str, Any] = {"connection": "ssh"}
    values |= {FIELDS[each][0]: value for each, value in known.items() if each in FIELDS}
    values["connection"] = values["connection"].removeprefix("ansible.builtin.")
    if SUDO in known:
        values["become_password"] = Secret(known[SUDO])
    login = [word for each in known if each in LOGIN for word in _login_words(each, known[each])]
    if values["connection"] == "ssh":
        values.setdefault("address", name)
        values["ssh_options"] = tuple(login)
        if IPV4.fullmatch(values["address"]):
            values.setdefault("relay_address", values["address"])
    if ("router_tls_certificate" in values) != ("router_tls_key" in values):
        raise VariableError(
            "",
            f"{name} has one of router_tls_certificate and router_tls_key",
            "a certificate serves with its key: give both",
        )
    settings = {each: value for each, value in known.items() if each in SETTINGS}
    host = Host(name=name, settings=with_ports(settings), **values)
    if host.gateway and host.inward:
        raise VariableError(
            "toolkit_gateway",
            f"{name} is a gateway, and its router listens at {host.router_bind}, where no client reaches it",
            'give gateways a router_bind for clients, such as "*:8080"',
        )
    return host


def _checked(name: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variables under the names that the toolkit has for them; raises VariableError."""
    found: dict[str, Any] = {}
    for variable, value in variables.items():
        known = ALIASES.get(variable, variable)
        if fault := variable_fault(variable, value):
            words = brief(f"{excerpt(variable)} of {name} {fault}", _MOST_WORDS)
            raise VariableError(variable, words, _hint(variable))
        if found.setdefault(known, value) != value:
            raise VariableError(
                variable,
                f"{name} has two values of {known}, under two names",
                "take one of the two out of the inventory",
            )
    return found


def variable_fault(variable: str, value: Any) -> str:
    """Return the fault of a variable and its value; empty for a good one, and for variables of other programs."""
    variable = ALIASES.get(variable, variable)
    if variable in SETTINGS:
        return setting_fault(variable, value)
    if variable == SUDO:
        is_line = isinstance(value, str) and _PASSWORD.fullmatch(value)
        return "" if is_line else "must be text of one line; put it in quotes"
    if variable in _ALREADY_SO:
        allowed = _ALREADY_SO[variable]
        return "" if value in allowed else f"must be {_either(allowed)}, not {value!r}"
    if variable not in FIELDS and variable not in LOGIN:
        return _unknown(variable)
    name, rule = {**FIELDS, **LOGIN}[variable]
    if rule == _SWITCH:
        return "" if isinstance(value, bool) else f"must be true or false, not {value!r}"
    if isinstance(rule, int):
        fits = isinstance(value, int) and not isinstance(value, bool) and rule <= value <= 65000
        return "" if fits else f"must be a port between {rule} and 65000, not {value!r}"
    assert isinstance(rule, tuple)
    return _text_fault(name, rule, value)


def as_typed(variable: str, value: Any) -> Any:
    """Return a value that Ansible gives as text, as in an INI inventory, with the type that the variable needs.

    Switches and numbers are read as Ansible reads them; other values, and texts that fit as they are, stay.
    """
    if not isinstance(value, str) or not variable_fault(variable, value):
        return value
    typed: list[Any] = []
    if value.lower() in _SWITCH_WORDS:
        typed.append(_SWITCH_WORDS[value.lower()])
    if re.fullmatch(r"[0-9]{1,9}", value):
        typed.append(int(value))
    return next((each for each in typed if not variable_fault(variable, each)), value)


def is_known(variable: str) -> bool:
    """Whether the toolkit reads the variable's value."""
    name = ALIASES.get(variable, variable)
    return name in _names()


def _unknown(variable: str) -> str:
    if variable == _OF_ANSIBLE:
        return ""
    if variable.lower().startswith(("ansible_", *_OWN)) or _nearest(variable):
        return "is not supported"
    return ""


def _hint(variable: str) -> str:
    """Return the remedy for an unsupported variable, or for one whose value alone is wrong."""
    if variable in ALIASES or is_known(variable):
        return f"correct {variable} in the inventory; see docs/fleet.md and docs/operations.md"
    if near := _nearest(variable):
        return f"did you mean {near}?"
    if variable in _SECRETS:
        return "log in with a key: ansible_ssh_private_key_file, or an agent"
    kind = variable.lower().partition("_")[0]
    names = (name for name in _names() if name.startswith(kind))
    return f"take it out of the fleet's inventory; supported are {', '.join(names)}"


def _nearest(variable: str) -> str:
    name = variable.lower()
    near = difflib.get_close_matches(name, _names(), n=1, cutoff=_NEAR)
    whole = [each for each in _names() if name.startswith(_OWN) and each.startswith(name)]
    return (near or whole or [""])[0]


def _names() -> tuple[str, ...]:
    return tuple(sorted((*FIELDS, *LOGIN, *SETTINGS, *_ALREADY_SO, SUDO)))


def _either(values: tuple[str | bool, ...]) -> str:
    return " or ".join(str(each).lower() for each in values)


def _login_words(variable: str, value: Any) -> list[str]:
    option = LOGIN[variable][0]
    return ["-o", f"{option}={value}"] if option else shlex.split(value)


def _text_fault(name: str, form: _Form, value: Any) -> str:
    if not isinstance(value, str):
        return f"must be text, not {value!r}"
    if name == "root" and len(value) > MAX_ROOT:
        return f"must have at most {MAX_ROOT} characters, not {len(value)}: sockets lie under it"
    pattern, words = form
    fits = pattern.fullmatch(value) is not None and ".." not in value.split("/")
    if fits and form is _SSH_WORDS:
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
