"""`toolkit outdated`: compare what is pinned and serves with what sources hold now; change nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from toolkit.adapters.engines.packages import newest
from toolkit.adapters.sightings import Sightings
from toolkit.cli.arguments.numbers import Decimal
from toolkit.cli.arguments.options import registry_option, site_options
from toolkit.cli.opening.context import home_directory, open_hosts, open_hub, read_pins
from toolkit.cli.terminal.output import note, print_json, say, table
from toolkit.domain.quantity import format_age
from toolkit.errors import OutdatedError, SourceError, ToolkitError
from toolkit.planning.upkeep.currency import State, behind_words, of_the_future
from toolkit.workflows.fleet.look import look
from toolkit.workflows.registry.deadline import within
from toolkit.workflows.registry.outdated import Sources, look_engines, look_upstream, with_adapters

if TYPE_CHECKING:
    from toolkit.domain.hosts.facts import FleetFacts
    from toolkit.planning.upkeep.currency import Currency, EngineCurrency

_WIDTH = 80
# Model -> version -> the hosts on which it serves.
Serving = Mapping[str, Mapping[str, Sequence[str]]]


@click.command()
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--no-engines", is_flag=True, help="Do not ask the package index for newer engines.")
@click.option(
    "--timeout",
    "seconds",
    type=Decimal(1),
    default=30.0,
    show_default=True,
    help="Seconds after which a source that has not answered counts as unknown.",
)
@registry_option()
@site_options()
def outdated(
    models: tuple[str, ...],
    no_engines: bool,
    seconds: float,
    registry_path: str,
    fleet: str | None,
    home: str | None,
    as_json: bool,
) -> None:
    """Compare what is pinned with what each source and the package index hold now.

    The exit code is 0 where all is current, 9 where anything is not, and 5 where a source could not be asked and
    nothing else is known to be outdated. Hosts that do not answer are named and change no exit code.
    """
    home_path = home_directory(home)
    pins = read_pins(registry_path, home_path)
    registry = pins.registry
    chosen = [registry.model(name) for name in models] or list(registry.models.values())
    hosts = open_hosts(fleet, home_path)
    sources = Sources(open_hub, Sightings(home_path), pins.lock, time.time)
    asked: dict[str, Any] = within(
        # Each of the two ends by itself; the fleet's connections have limits of their own.
        seconds + 5,
        {
            "models": lambda: look_upstream(
                registry, with_adapters(chosen), sources, seconds=seconds
            ),
            "engines": lambda: (
                () if no_engines else look_engines(chosen, pins.engines, newest, seconds=seconds)
            ),
            "fleet": lambda: look(hosts),
        },
        note,
    )
    if isinstance(asked["models"], ToolkitError):
        raise asked["models"]
    found: dict[str, Currency] = asked["models"]
    if isinstance(asked["engines"], ToolkitError):
        raise asked["engines"]
    engines: tuple[EngineCurrency, ...] = asked["engines"]
    unreachable, serving = _serving(asked["fleet"], [host.name for host in hosts])
    failure = _failure(found, engines)
    if as_json:
        now = time.time()
        print_json(
            {
                "models": {
                    name: {**each.as_json(now), "serving": serving.get(name, {})}
                    for name, each in found.items()
                },
                "engines": [each.as_json() for each in engines],
                "unreachable": unreachable,
            },
            failure,
        )
        return
    _show(found, serving, known=len(unreachable) < len(hosts))
    for model in chosen:
        for each in model.candidates:
            if each.name in serving.get(model.name, {}):
                say(
                    f"{model.name}: {each.name} serves as a candidate: toolkit registry accept {each.title}"
                )
    _show_engines(engines)
    for name, why in unreachable.items():
        note(f"{name}: not known what serves there: {why}")
    if failure:
        raise failure


def _serving(
    seen: FleetFacts | ToolkitError, names: Sequence[str]
) -> tuple[dict[str, str], Serving]:
    """Return why hosts are unreachable, by name, and what serves where."""
    if isinstance(seen, ToolkitError):
        return dict.fromkeys(names, seen.message), {}
    found: dict[str, dict[str, list[str]]] = {}
    for name, facts in seen.facts.items():
        for slot in facts.slots:
            if slot.has_part and slot.release:
                parts = [(slot.model, slot.release.version)]
                parts += [(each.name, each.revision[:12]) for each in slot.release.adapters]
                for model, version in parts:
                    found.setdefault(model, {}).setdefault(version, []).append(name)
    return seen.unreachable, found


def _failure(
    found: Mapping[str, Currency], engines: Sequence[EngineCurrency]
) -> ToolkitError | None:

    wanting = [
        name for name, each in found.items() if each.state in (State.OUTDATED, State.CHANGED)
    ]
    older = [each for each in engines if each.state is State.OUTDATED]
    if wanting or older:
        hint = _next_step(found[wanting[0]]) if wanting else _locking(older[0])
        names = [*wanting, *(f"{each.name} on {each.accelerator}" for each in older)]
        return OutdatedError(f"not current: {', '.join(names)}", hint=hint)
    unknown = [name for name, each in found.items() if each.state is State.UNKNOWN]
    if unknown:
        first = found[unknown[0]]
        return SourceError(
            f"not known whether it is current: {', '.join(unknown)}: {first.fault}", hint=first.hint
        )
    lost = [each for each in engines if each.state is State.UNKNOWN]
    if lost:
        return SourceError(
            f"not known which engines are newer: {lost[0].fault}", hint="--no-engines"
        )
    return None


def _next_step(first: Currency) -> str:
    if first.candidate:
        return f"toolkit upgrade {first.base} --to {first.candidate}"
    return first.hint or f"toolkit update {first.version.model}"


def _show(found: Mapping[str, Currency], serving: Serving, *, known: bool) -> None:

    table(
        ("MODEL", "PINNED", "SERVES", "TRACKED", "BEHIND", "STATE"),
        [
            (
                name,
                f"{each.version.name} {each.version.revision[:8]}",
                _where(serving.get(name, {})) if known else "?",
                f"{each.tracked} {each.upstream.revision[:8] if each.upstream else '?'}".strip(),
                behind_words(each.upstream),
                each.state,
            )
            for name, each in found.items()
        ],
        _WIDTH,
    )
    now = time.time()
    for name, each in found.items():
        for words in _remarks(each, now):
            say(f"{name}: {words}")


def _where(versions: Mapping[str, Sequence[str]]) -> str:
    if not versions:
        return "-"
    return ", ".join(
        version if len(hosts) == 1 else f"{version} on {len(hosts)}"
        for version, hosts in versions.items()
    )


def _remarks(each: Currency, now: float) -> list[str]:
    remarks = list(each.changes)
    if each.candidate:
        remarks.append(f"{each.candidate} has it pinned, a candidate")
    if each.upstream and each.upstream.behind and each.upstream.date:
        age = format_age(max(0.0, now - each.upstream.date))
        date = of_the_future(each.upstream, now)
        remarks.append(
            f"its newest commit is dated {date}, in the future"
            if date
            else f"its newest commit is {age} old"
        )
    if each.fault:
        remarks.append(f"not known: {each.fault}")
    return remarks


def _locking(engine: EngineCurrency) -> str:
    return f"toolkit engine lock {engine.newest} --accelerator {engine.accelerator}"


def _show_engines(engines: Sequence[EngineCurrency]) -> None:
    if not engines:
        return
    say()
    table(
        ("ENGINE", "ON", "LOCKED", "INDEX", "STATE"),
        [
            (each.name, each.accelerator, each.locked, each.newest or "?", each.state)
            for each in engines
        ],
        _WIDTH,
    )
    if used := [each for each in engines if each.models]:
        say(f"schedules upgrade no engines: {_locking(used[0])}, then `engine` in the registry")
    for each in engines:
        if each.fault:
            say(f"{each.name} on {each.accelerator}: not known: {each.fault}")
        elif each.models:
            say(f"{each.name} on {each.accelerator}: older in {', '.join(each.models)}")
