"""`toolkit export`: the fleet as the configuration of a gateway of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from toolkit.cli.arguments.options import registry_option, site_options
from toolkit.cli.opening.context import home_directory, open_fleet, open_ports, read_pins
from toolkit.cli.terminal.output import note, print_json, say, say_file
from toolkit.cli.terminal.result_file import require_place, write_result
from toolkit.errors import InputError
from toolkit.planning.gateway.litellm import litellm_config, served_names, with_owners
from toolkit.workflows.fleet.keys import read_keys
from toolkit.workflows.fleet.look import look

if TYPE_CHECKING:
    from toolkit.adapters.hosts.port import HostPort
    from toolkit.domain.hosts.fleet import Host
    from toolkit.planning.gateway.litellm import Exported

_HEAD = """\
# Written by `toolkit export litellm`. Write it again after a model, an alias or a host has come or gone.
# Secrets are read from the environment: {variables}.
"""


@click.group()
def export() -> None:
    """Write the fleet as the configuration of a gateway, such as LiteLLM's proxy."""


@export.command()
@click.option(
    "--closed",
    "named",
    multiple=True,
    metavar="NAME=PROVIDER/MODEL",
    help="The closed model that answers where every router fails for NAME; may be given again.",
)
@click.option("--inside", is_flag=True, help="All models, those marked `inside` too; no --closed.")
@click.option("--key", "key_name", metavar="KEY", help="The key's name that the gateway will use.")
@click.option("--output", type=click.Path(), help="The file to write.  [default: standard output]")
@registry_option()
@site_options()
def litellm(
    named: tuple[str, ...],
    inside: bool,
    key_name: str | None,
    output: str | None,
    registry_path: str,
    fleet: str | None,
    home: str | None,
    as_json: bool,
) -> None:
    """Write the configuration of LiteLLM's proxy: what the fleet serves, on all of its routers.

    Models that sleep are in it. Without --closed no request can leave the fleet. With it, models that the registry
    marks `inside` are left out, and a --key that was given out with `keys add --inside` is refused: run a second proxy
    for them, with --inside.
    """
    if output == "-":
        # Standard output gets the configuration anyway; --json has it in its own.
        output = None
    if output:
        require_place(Path(output))
    home_path = home_directory(home)
    known = open_fleet(fleet)
    hosts = open_ports(known.hosts, home_path)
    closed = _closed(named)
    if closed and key_name:
        _refuse_inside(hosts, key_name)
    models = read_pins(registry_path, home_path).registry.models
    seen = look(hosts)
    if seen.errors and not seen.facts:
        raise seen.failure()
    slots = [slot for facts in seen.facts.values() for slot in facts.slots if slot.has_part]
    served = served_names(slot.release for slot in slots if slot.release)
    if not served:
        raise InputError("the fleet serves no model", hint="toolkit deploy MODEL")
    exported = litellm_config(
        with_owners(served, models.values()),
        list(dict.fromkeys(host.endpoint for host in known.entrances)),
        closed,
        frozenset(model.name for model in models.values() if model.inside),
        unknown=frozenset(each.model for each in served if each.model not in models),
        only_inside=inside,
    )
    if output:
        write_result(Path(output), _text(exported))
    if as_json:
        print_json(
            {
                "config": exported.config,
                "left_out": [*exported.left_out, *exported.unknown],
                "variables": list(exported.variables),
                "output": output or "",
                "unreachable": seen.unreachable,
            }
        )
        return
    if not output:
        say_file(_text(exported))
    _tell(exported, known.entrances, output, seen.unreachable)


def _closed(named: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for words in named:
        name, _, model = words.partition("=")
        if not name or not model:
            raise InputError(
                f"--closed {words}: it has the form NAME=PROVIDER/MODEL",
                hint="--closed qwen-7b=openai/gpt-6.1-terra",
            )
        if name in found:
            raise InputError(f"--closed names {name} twice", hint="one closed model for each name")
        found[name] = model
    return found


def _refuse_inside(hosts: Sequence[HostPort], name: str) -> None:
    """Refuse a key that is marked `inside`, and one whose mark nobody can tell."""
    seen = read_keys(hosts)
    key = next((each for each in seen.ring.active if each.name == name), None)
    if key is None:
        raise InputError(f"there is no key of {name!r}", hint="toolkit keys list")
    if key.inside:
        raise InputError(
            f"the key of {name} is marked `inside`: nothing asked with it may reach a closed model",
            hint="leave out --closed, or give the gateway another key",
        )
    if key.made_anew:
        raise InputError(
            f"nobody can tell whether the key of {name} is marked `inside`: it was made anew from a router's map",
            hint=f"toolkit keys revoke {name}, then toolkit keys add {name}",
        )


def _text(exported: Exported) -> str:
    from toolkit.config.yaml_dump import dump_yaml

    return _HEAD.format(variables=", ".join(exported.variables)) + dump_yaml(exported.config)


def _tell(
    exported: Exported, hosts: Sequence[Host], output: str | None, unreachable: Mapping[str, str]
) -> None:
    if output:
        count = len(exported.config["model_list"])
        say(f"{output}: {count} {'entry' if count == 1 else 'entries'} of LiteLLM's model_list")
    if exported.left_out:
        note(f"left out, because they are inside: {', '.join(exported.left_out)}")
        note("for them: toolkit export litellm --inside")
    if exported.unknown:
        words = ", ".join(exported.unknown)
        note(f"left out, because the registry does not say whether they are inside: {words}")
    for host in hosts:
        if host.inward:
            note(f"{host.name}: its router listens for clients on that host alone")
        elif host.router_tls_certificate:
            note(f"{host.name}: LiteLLM must trust {host.router_tls_certificate}: SSL_CERT_FILE")
    for name, why in unreachable.items():
        note(f"{name}: not known what serves there: {why}")
