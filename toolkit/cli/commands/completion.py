"""`toolkit completion`: completion for bash, zsh and fish."""

from __future__ import annotations

import click

from toolkit.cli.terminal.output import say_whole


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the shell's completion script: eval "$(toolkit completion bash)"."""
    from click.shell_completion import get_completion_class

    from toolkit.cli.main import cli

    found = get_completion_class(shell)
    assert found is not None, "click knows the three shells of the choice above"
    say_whole(found(cli, {}, "toolkit", "_TOOLKIT_COMPLETE").source())
