"""The shared part of `deploy`, `upgrade` and `rollback`: their options, and the words for the outcome."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli.arguments.numbers import Decimal, Whole
from toolkit.cli.arguments.options import (
    drain_option,
    dry_run_option,
    host_option,
    keep_option,
    ready_timeout_option,
    serial_option,
    together,
    yes_option,
)
from toolkit.cli.arguments.waiting import wait_option
from toolkit.cli.changing.members import open_members
from toolkit.cli.opening.context import connect, home_directory, open_fleet, open_store
from toolkit.cli.terminal.output import print_json, say, table
from toolkit.cli.views.changes import agreed_to, turn_off_option
from toolkit.domain.quantity import format_seconds, parse_size
from toolkit.errors import InputError

# The code that plans and carries out a change is loaded while the hosts are being connected, see `connecting`.
if TYPE_CHECKING:
    from uuid import UUID

    from toolkit.adapters.history.history import History
    from toolkit.adapters.hosts.client import Clients
    from toolkit.cli.opening.context import Pins
    from toolkit.domain.hosts.fleet import Fleet, Host
    from toolkit.domain.registry.model import Version
    from toolkit.planning.change.batch_sizes import BatchSize
    from toolkit.planning.change.rollout import RolloutPlan
    from toolkit.workflows.change.rollout import RolledOut
    from toolkit.workflows.change.wanted import Order

Command = Callable[..., Any]
_CONNECTED = f"{__name__}.connected"


def connecting(command: Command) -> Command:
    """Have a command connect to its fleet before all else; stands above `changing`. `change_release` takes both over.

    Its options must have `fleet`, `home` and `named`.
    """

    @functools.wraps(command)
    def run(*args: Any, **options: Any) -> Any:
        fleet = open_fleet(options["fleet"])
        fleet.select(options["named"])
        clients = connect(fleet.hosts, home_directory(options["home"]))
        click.get_current_context().meta[_CONNECTED] = (fleet, clients)
        return command(*args, **options)

    return run


def _connected() -> tuple[Fleet, Clients]:
    found: tuple[Fleet, Clients] = click.get_current_context().meta[_CONNECTED]
    return found


change_options = together(
    yes_option(),
    wait_option(),
    dry_run_option(),
    ready_timeout_option(),
    drain_option("running requests of the old replica"),
    click.option(
        "--bake",
        type=Decimal(0),
        default=None,
        help="Seconds to watch a new release under all traffic before the old one is let go.  "
        "[default: as the version's guard says, else 10]",
    ),
    click.option(
        "--standby/--no-standby",
        default=True,
        show_default=True,
        help="Keep the old replica ready for an instant rollback.",
    ),
    host_option("Only this host of the fleet; may be given again."),
    serial_option(),
    click.option(
        "--max-failures",
        type=Whole(0),
        default=0,
        show_default=True,
        help="Hosts that may fail before no further batch begins.",
    ),
    keep_option(),
    click.option(
        "--unattended",
        is_flag=True,
        help="Refuse what a person should see in the plan: a release that failed before.",
    ),
    click.option(
        "--rollout",
        type=click.UUID,
        default=None,
        hidden=True,
        help="The change in the history, for a run of the schedule that must know its own.",
    ),
    turn_off_option(),
    click.option(
        "--send-limit",
        default=None,
        metavar="SIZE",
        help="Send weights and packages at no more than this a second, such as 20MB.",
    ),
)


@dataclass(frozen=True, slots=True)
class ChangeOptions:
    """The values of `change_options` and of the options that lead to fleet and history; times in seconds."""

    yes: bool
    dry_run: bool
    ready_timeout: float
    drain_timeout: float
    bake: float | None
    standby: bool
    named: tuple[str, ...]
    serial: tuple[BatchSize, ...]
    max_failures: int
    keep: int
    unattended: bool
    rollout: UUID | None
    turn_off: tuple[str, ...]
    send_limit: str | None
    fleet: str | None
    home: str | None
    as_json: bool

    def of_order(self) -> dict[str, Any]:
        """Return the fields of `Order` that are options of every change."""
        from toolkit.planning.change.rollout import Limits
        from toolkit.workflows.tools import Timing

        return {
            "timing": Timing(self.ready_timeout, self.drain_timeout, self.bake),
            "limits": Limits(self.serial, self.max_failures, self.keep),
            "standby": self.standby,
            "named": tuple(self.named),
            "unattended": self.unattended,
            **({"rollout": str(self.rollout)} if self.rollout else {}),
        }

    @property
    def bytes_a_second(self) -> int:
        """The limit of transfers, 0 for none; raises InputError."""
        try:
            return parse_size(self.send_limit) if self.send_limit else 0
        except ValueError as error:
            raise InputError(f"--send-limit: {error}", hint="--send-limit 20MB") from error


def change_release(
    options: ChangeOptions,
    pins: Pins | None,
    order: Callable[[History], Order],
    consent: Callable[[RolloutPlan], bool] = lambda _: True,
) -> None:
    """Carry out `order` on the fleet and say how it went; `consent` asks the questions that `--yes` does not answer.

    A protection that the plan turns off is agreed to by its name in any case.
    """
    from toolkit.cli.views.plan import confirmation, show_rollout
    from toolkit.workflows.change.rollout import roll_out

    fleet, clients = _connected()
    # All hosts of the fleet take part: routes are those of all, also where only some hosts change.
    members = open_members(
        home_directory(options.home),
        fleet.hosts,
        pins,
        send_limit=options.bytes_a_second,
        # A rollback must work where the ops machine is in trouble: the hosts know enough.
        history_needed=pins is not None,
        clients=clients,
    )

    def agreed(plan: RolloutPlan) -> bool:
        protected = agreed_to(plan.changes, options.turn_off, unattended=options.unattended)
        return protected and consent(plan)

    confirm = confirmation(
        show_rollout,
        yes=options.yes,
        dry_run=options.dry_run,
        as_json=options.as_json,
        consent=agreed,
    )
    done = roll_out(members, order(members[0].history), confirm)
    if options.as_json:
        print_json(_document(done, fleet.hosts))
    else:
        _tell(done, fleet)


def order_of_version(action: str, version: Version, pins: Pins, home: Path, **order: Any) -> Order:
    """Return the order that makes a version of the registry live; `order` has its other fields."""
    from toolkit.workflows.change.wanted import Order, PinSources, want_version

    pinned = PinSources(
        pins.registry.policy,
        pins.lock.snapshot_of,
        pins.engines,
        open_store(home),
        pins.lock.snapshots,
    )
    want = want_version(version, pinned, action=action)
    return Order(action, version.model, want, version, **order)


def _document(done: RolledOut, hosts: tuple[Host, ...]) -> dict[str, Any]:
    return {
        "plan": done.plan.as_json(),
        "changed": done.changed,
        "seconds": round(done.seconds, 3),
        "hosts": {
            name: {"state": state.words, "deployment": state.deployment}
            for name, state in done.states.items()
        },
        "endpoints": {host.name: host.endpoint for host in hosts},
    }


def _tell(done: RolledOut, fleet: Fleet) -> None:
    several = len(fleet.hosts) > 1
    titles = ", ".join(each.title for each in done.plan.releases)
    if not done.changed:
        say(f"{titles} is live already; nothing to do")
    else:
        if several:
            table(("HOST", "STATE"), [(name, each.words) for name, each in done.states.items()])
        say(f"{titles} is live, after {format_seconds(done.seconds)}")
    for host in fleet.entrances:
        where = f" on {host.name}" if several else ""
        alone = f"; from {host.name} alone" if host.inward else ""
        say(f"endpoint{where}: {host.endpoint}  (model {done.plan.model!r}{alone})")
