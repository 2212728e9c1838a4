"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from toolkit.cli.arguments.numbers import BatchSizes, Decimal, Whole
from toolkit.cli.arguments.paths import FilePath
from toolkit.cli.terminal.passwords import remember_asking

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
DEFAULT_SCHEDULE = "schedule.yaml"
DEFAULT_COSTS = "costs.yaml"


def json_option() -> Decorator:
    """`--json`: print one JSON document instead of text."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


def registry_option() -> Decorator:
    """`--registry FILE`: which registry to read."""
    return click.option(
        "--registry",
        "registry_path",
        envvar="TOOLKIT_REGISTRY",
        type=FilePath(),
        default="model_registry.yaml",
        show_default=True,
        help="The registry file.",
    )


def costs_option() -> Decorator:
    """`--costs FILE`: the file with the prices of hosts."""
    return click.option(
        "--costs",
        "costs_path",
        envvar="TOOLKIT_COSTS",
        type=FilePath(),
        default=DEFAULT_COSTS,
        show_default=True,
        help="The file with the prices of hosts.",
    )


def readings_option() -> Decorator:
    """`--readings FILE`: what meters of hosts have counted."""
    return click.option(
        "--readings",
        type=FilePath(),
        default=None,
        metavar="FILE",
        help="Readings of meters, CSV with at,host,kwh,devices.",
    )


def without_costs(path: str) -> bool:
    """Return whether there is no file of costs: none was named, and none of the usual name is there."""
    return path == DEFAULT_COSTS and not Path(path).exists()


def schedule_option() -> Decorator:
    """`--schedule FILE`: which schedule to read."""
    return click.option(
        "--schedule",
        "schedule_path",
        envvar="TOOLKIT_SCHEDULE",
        type=FilePath(),
        default=DEFAULT_SCHEDULE,
        show_default=True,
        help="The schedule file.",
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


def fleet_option() -> Decorator:
    """`--fleet INVENTORY`, without which the fleet is this machine, and the passwords to ask for it."""
    return together(
        click.option(
            "--fleet",
            "fleet",
            envvar="TOOLKIT_FLEET",
            type=FilePath(),
            default=None,
            help="The fleet, an Ansible inventory.  [default: this machine]",
        ),
        _ask_option("--ask-vault-pass", "ANSIBLE_ASK_VAULT_PASS", "the password of its vault"),
        _ask_option("--ask-become-pass", "ANSIBLE_BECOME_ASK_PASS", "the password for sudo there"),
    )


def site_options() -> Decorator:
    """`--fleet` and `--home`, which lead to hosts and their history, and `--json`; they stand last."""
    return together(fleet_option(), home_option(), json_option())


def _ask_option(name: str, variable: str, what: str) -> Decorator:
    return click.option(
        name,
        is_flag=True,
        envvar=variable,
        expose_value=False,
        callback=remember_asking,
        help=f"Ask for {what}.",
    )


def yes_option() -> Decorator:
    """`--yes`: no question before a change."""
    return click.option("--yes", "-y", is_flag=True, help="Go ahead without asking.")


def dry_run_option(help: str = "Show the plan and stop.") -> Decorator:
    """`--dry-run`: no change."""
    return click.option("--dry-run", is_flag=True, help=help)


def drain_option(requests: str = "running requests") -> Decorator:
    """`--drain-timeout SECONDS`: how long `requests` get to end."""
    return click.option(
        "--drain-timeout",
        type=Decimal(0),
        default=900.0,
        show_default=True,
        help=f"Seconds that {requests} get to end.",
    )


def ready_timeout_option() -> Decorator:
    """`--ready-timeout SECONDS`: how long a replica may take to get ready."""
    return click.option(
        "--ready-timeout",
        type=Decimal(1),
        default=1800.0,
        show_default=True,
        help="Seconds a replica may take to get ready.",
    )


def since_option(help: str, default: str = "30d", metavar: str = "DAY") -> Decorator:
    """`--since DAY`: when the period of a command begins."""
    return click.option("--since", default=default, show_default=True, metavar=metavar, help=help)


def no_hosts_option() -> Decorator:
    """`--no-hosts`: what hosts recorded of use is not collected before."""
    return click.option(
        "--no-hosts",
        is_flag=True,
        help="Take what the history has; collect nothing from the hosts.",
    )


def stated_traffic_options() -> Decorator:
    """`--tokens-in N` and its kind: a traffic that is stated, in place of recorded use."""
    return together(
        click.option("--tokens-in", type=Whole(0), help="Input tokens of a stated traffic."),
        click.option(
            "--tokens-cached",
            type=Whole(0),
            default=0,
            help="Those of them that a cache has.  [default: 0]",
        ),
        click.option("--tokens-out", type=Whole(0), help="Its output tokens."),
        click.option("--requests", type=Whole(0), default=0, help="Its requests.  [default: 0]"),
        click.option(
            "--days",
            type=Whole(1, 3660),
            default=30,
            show_default=True,
            help="Days over which the stated traffic comes, from today on.",
        ),
    )


def together(*options: Decorator) -> Decorator:
    """Return a decorator that gives a command all of `options`, listed in this order."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def serial_option() -> Decorator:
    """`--serial SIZES`: the sizes of the batches."""
    return click.option(
        "--serial",
        type=BatchSizes(),
        default="1",
        show_default=True,
        help="Hosts of the fleet that change at once; 1,50% begins with one.",
    )


def keep_option() -> Decorator:
    """`--keep N`: how many hosts go on serving."""
    return click.option(
        "--keep",
        type=Whole(0),
        default=1,
        show_default=True,
        help="Hosts that must go on serving the model at each moment.",
    )


def source_option() -> Decorator:
    """`--source OWNER/NAME`: the repository of another owner that a version may come from."""
    return click.option(
        "--source",
        default="",
        metavar="OWNER/NAME",
        help="Accept that the Hub leads to this repository of another owner.",
    )


def host_option(help: str) -> Decorator:
    """`--host HOST`, again for each further host."""
    return click.option("--host", "named", multiple=True, metavar="HOST", help=help)
