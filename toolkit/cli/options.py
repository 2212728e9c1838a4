"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def json_option() -> Decorator:
    """`--json`: print one JSON document instead of text."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


def registry_option() -> Decorator:
    """`--registry FILE`: which registry to read."""
    return click.option(
        "--registry",
        "registry_path",
        envvar="TOOLKIT_REGISTRY",
        default="model_registry.yaml",
        show_default=True,
        help="The registry file.",
    )


def home_option() -> Decorator:
    """`--home DIR`: where the ops machine keeps its store and history."""
    return click.option(
        "--home",
        "home",
        envvar="TOOLKIT_HOME",
        default=None,
        help="Store and history of this ops machine.  [default: ~/.toolkit]",
    )
