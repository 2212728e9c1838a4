"""Paths of files that a command reads, as a person writes them."""

from __future__ import annotations

import click

from toolkit.config.paths import expanded


class FilePath(click.ParamType[str]):
    """A path as it was written, with its leading `~` replaced.

    Shells leave it in `--fleet=~/fleet.yaml`, and what systemd and cron set in the environment meets no shell.
    """

    name = "text"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return str(expanded(value)) if value.startswith("~") else value
