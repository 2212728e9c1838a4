"""Addresses of the command line: HOST:PORT, without a scheme or a path."""

from __future__ import annotations

import re
from typing import Any

import click

_ADDRESS = re.compile(r"(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9][A-Za-z0-9._-]{0,252}):([0-9]{1,5})")


class HostAndPort(click.ParamType[str]):
    """A host's name or address with a port; an IPv6 address stands in brackets."""

    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        found = _ADDRESS.fullmatch(value)
        if found is None or not 0 < int(found[1]) < 2**16:
            self.fail(f"{value!r} is no HOST:PORT, such as 10.0.0.9:9093.", param, ctx)
        return value
