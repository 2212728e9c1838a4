"""The inventory variables that the roles of a host get unchanged, each with the form of its value."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any

from toolkit.domain.accelerator import DRIVERS

_DIRECTORY = re.compile(r"/[A-Za-z0-9._+@/-]+")
# A scheme, a host and a port other than the scheme's, as browsers send it (RFC 6454): in lower case, without a path.
_ORIGIN = re.compile(
    r"(?P<scheme>https?)://(?:[a-z0-9_](?:[a-z0-9_.-]{0,251}[a-z0-9_])?|\[[0-9a-f:.]{2,45}\])(?::(?P<port>[1-9][0-9]{0,4}))?"
)
_OWN_PORT = {"http": "80", "https": "443"}
# A line of the router's configuration has room for 64 words, and for 2,048 characters.
_ORIGINS, _ORIGINS_TOGETHER, _NETWORKS = 32, 1500, 32
_SERVER = re.compile(r"[A-Za-z0-9:.-]+")
_MODEL = re.compile(r"[a-z0-9][a-z0-9.-]*")
# The least and the most seconds of a model's limits.
_LIMITS = {"hang": (2, 600), "stall": (10, 86400)}
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9.+-]+=[A-Za-z0-9.+~:-]+")


# Exporters that a role can install -> the setting of its port, and its usual port.
_EXPORTERS = {"node": ("toolkit_node_exporter", 9100), "dcgm": ("toolkit_dcgm_exporter", 9400)}


def with_ports(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a host's settings, with the usual ports of exporters to install that have none of their own."""
    ports = dict(_EXPORTERS[each] for each in settings.get("toolkit_exporters", ()))
    return {**ports, **settings}


def setting_fault(name: str, value: Any) -> str:
    """Return the fault of a value of one of `SETTINGS`, empty for a good value."""
    fits, words = SETTINGS[name]
    return "" if fits(value) else f"must be {words}, not {value!r}"


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_number(value: Any, least: float, most: float) -> bool:
    known = isinstance(value, (int, float)) and not isinstance(value, bool)
    return known and least <= value <= most


def _are_limits(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(model, str)
        and _MODEL.fullmatch(model)
        and isinstance(own, dict)
        and own
        and own.keys() <= _LIMITS.keys()
        and all(_is_number(seconds, *_LIMITS[name]) for name, seconds in own.items())
        for model, own in value.items()
    )


def _is_directory(value: Any) -> bool:
    return isinstance(value, str) and _DIRECTORY.fullmatch(value) is not None


def _is_package(value: Any) -> bool:
    return isinstance(value, str) and _PACKAGE.fullmatch(value) is not None


def _are_exporters(value: Any) -> bool:
    return (
        isinstance(value, list)
        and all(isinstance(each, str) and each in _EXPORTERS for each in value)
        and len(set(value)) == len(value)
    )


def _are_servers(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(each, str) and _SERVER.fullmatch(each) for each in value
    )


def _are_origins(value: Any) -> bool:
    return value == ["*"] or (
        isinstance(value, list)
        and all(isinstance(each, str) and _is_origin(each) for each in value)
        and len(set(value)) == len(value) <= _ORIGINS
        and sum(map(len, value)) <= _ORIGINS_TOGETHER
    )


def _is_origin(text: str) -> bool:
    found = _ORIGIN.fullmatch(text)
    if found is None or ".." in text:
        return False
    # Browsers leave out the port that the scheme has anyway, so that such an origin would match none.
    port = found["port"]
    return port is None or (int(port) < 65536 and port != _OWN_PORT[found["scheme"]])


def _are_openings(value: Any) -> bool:
    return isinstance(value, list) and all(_is_opening(each) for each in value)


def _is_opening(value: Any) -> bool:
    if not isinstance(value, dict) or value.keys() - {"port", "protocol", "from"}:
        return False
    port = value.get("port")
    return (
        _is_port(port)
        and value.get("protocol", "tcp") in ("tcp", "udp")
        and _is_network(value.get("from", "0.0.0.0/0"))
    )


def _is_port(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 65536


def _is_network(value: Any) -> bool:
    # A number is an address to Python.
    if not isinstance(value, str):
        return False
    try:
        ipaddress.ip_network(value)
    except ValueError:
        return False
    return True


# Variable -> a test of its value, and the words for a value that passes.
SETTINGS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "router_cors_origins": (
        _are_origins,
        'a list of at most 32 different origins such as [https://chat.example.org], or ["*"]',
    ),
    "toolkit_firewall": (_is_flag, "true or false"),
    "toolkit_firewall_allow": (
        _are_openings,
        "a list such as [{port: 9100, from: 10.0.0.0/8, protocol: tcp}]",
    ),
    "toolkit_hang_seconds": (
        lambda value: _is_number(value, 2, 600),
        "a number of seconds from 2 to 600",
    ),
    "toolkit_stall_seconds": (
        lambda value: _is_number(value, 10, 86400),
        "a number of seconds from 10 to 86400",
    ),
    "toolkit_hang_models": (
        _are_limits,
        "a mapping such as {qwen-7b: {hang: 20, stall: 1800}}, with seconds from 2 to 600 and from 10 to 86400",
    ),
    "toolkit_idle_probe_seconds": (
        lambda value: _is_number(value, 10, 86400),
        "a number of seconds from 10 to 86400",
    ),
    "toolkit_interconnect": (_is_flag, "true or false"),
    "toolkit_metrics_from": (
        lambda value: (
            isinstance(value, list) and len(value) <= _NETWORKS and all(map(_is_network, value))
        ),
        "a list of at most 32 addresses and networks such as [10.0.0.9, 10.1.0.0/24]",
    ),
    "toolkit_dcgm_exporter": (_is_port, "a port from 1 to 65535 of the host's own loopback"),
    "toolkit_exporters": (_are_exporters, "a list of node and dcgm, such as [node]"),
    "toolkit_node_exporter": (_is_port, "a port from 1 to 65535 of the host's own loopback"),
    "toolkit_packages": (_is_directory, "the absolute path of a directory of package files"),
    "toolkit_time_servers": (_are_servers, "a list of names or addresses"),
    **{driver.setting: (_is_package, "NAME=VERSION") for driver in DRIVERS},
}
