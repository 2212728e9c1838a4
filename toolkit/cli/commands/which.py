"""`toolkit which`: what speaks for a model inside and what for a closed API, for one workload."""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from toolkit.adapters.endpoint.endpoint import Endpoint
from toolkit.adapters.matching.matching import matching
from toolkit.cli.arguments.numbers import Decimal
from toolkit.cli.arguments.options import (
    costs_option,
    no_hosts_option,
    readings_option,
    registry_option,
    since_option,
    site_options,
    stated_traffic_options,
)
from toolkit.cli.arguments.times import first_and_last
from toolkit.cli.opening.context import home_directory, open_fleet, open_history, read_registry
from toolkit.cli.opening.endpoint import reachable, read_key
from toolkit.cli.opening.traffic import collected, is_stated, recorded_situation, stated_situation
from toolkit.cli.terminal.output import note, print_json, say, table
from toolkit.config.costs.price_table import load_price_table
from toolkit.domain.costs.economics import day_of
from toolkit.domain.hosts.fleet import is_loopback
from toolkit.errors import InputError
from toolkit.planning.economics.which import Workload, one_more_million, points
from toolkit.workflows.fleet.cost import bills
from toolkit.workflows.fleet.which import try_prompts

if TYPE_CHECKING:
    from toolkit.domain.gates.golden import GoldenPrompt
    from toolkit.planning.economics.which import PromptResults
    from toolkit.workflows.fleet.cost import Bill

_SIDES = {"inside": "inside", "api": "the closed API", "": "-"}


@click.command()
@click.argument("model")
@click.option(
    "--against", metavar="PROVIDER/MODEL", help="The closed model.  [default: of the costs]"
)
@click.option("--inside", is_flag=True, help="No request of this workload may leave the fleet.")
@click.option("--latency", type=Decimal(0), help="Seconds within which an answer must be there.")
@click.option("--prompts", metavar="FILE", help="Golden prompts that both are asked.")
@click.option(
    "--endpoint", metavar="URL", help="The closed API, such as https://api.example.com/v1."
)
@click.option(
    "--key-variable", metavar="NAME", help="The variable that has the key of the closed API."
)
@since_option("The first day of recorded use.")
@readings_option()
@stated_traffic_options()
@no_hosts_option()
@costs_option()
@registry_option()
@site_options()
def which(model: str, as_json: bool, **options: Any) -> None:
    """Show what speaks for MODEL inside and what for a closed API, for one workload.

    Volume and prices are those of `toolkit cost`, which collects use from the hosts first. Golden prompts are asked of
    both only where --endpoint and --key-variable name the closed API, and never of it for a model or workload that is
    `inside`. The table decides nothing.
    """
    inside = options["inside"] or read_registry(options["registry_path"]).model(model).inside
    if inside and (options["endpoint"] or options["key_variable"]):
        raise InputError(
            f"{model} is inside: nothing that is sent to it may reach a closed API",
            hint="leave out --endpoint and --key-variable",
        )
    bill = _bill(model, options)
    here, there, faults = _ask_prompts(model, bill, options)
    load = _workload(model, bill, inside, options["latency"], here, there)
    found = points(load)
    api = load.comparison.quote.api
    if as_json:
        print_json(
            {
                "model": model,
                "api": api,
                "inside": inside,
                "currency": load.currency,
                "read": load.comparison.quote.read.isoformat(),
                "points": [asdict(each) for each in found],
                "faults": faults,
            }
        )
        return
    table(
        ("FOR THIS WORKLOAD", f"{model} INSIDE", api, "SPEAKS FOR"),
        [(each.subject, each.inside, each.api, _SIDES[each.speaks_for]) for each in found],
    )
    if inside:
        say(f"{model} is inside: a closed API is no choice for it, whatever the figures say.")
    say(f"Price of {api} as of {load.comparison.quote.read} ({load.comparison.quote.source}).")
    for where, why in ((where, why) for where, all_ in faults.items() for why in all_):
        note(f"{where}: {why}")


def _bill(model: str, options: dict[str, Any]) -> Bill:
    from toolkit.config.costs.reading import load_costs

    stated = is_stated(options["tokens_in"], options["tokens_out"])
    today = day_of(time.time())
    costs = load_costs(Path(options["costs_path"]), today)
    if not stated:
        days = first_and_last(options["since"], None, today)
        home_path = home_directory(options["home"])
        history = open_history(home_path, whole=True)
        if not options["no_hosts"]:
            for words in collected(options["fleet"], home_path, history):
                note(words)
        situation, notes = recorded_situation(
            costs, days, options["readings"], history, keys=False, again=f"toolkit which {model}"
        )
        for words in notes:
            note(words)
    else:
        figures = (
            options["requests"],
            options["tokens_in"] or 0,
            options["tokens_cached"],
            options["tokens_out"] or 0,
        )
        situation = stated_situation(costs, model, figures, today, options["days"], ())
    named = (options["against"],) if options["against"] else ()
    return bills(situation, load_price_table().models, named, today)[0]


def _workload(
    model: str,
    bill: Bill,
    inside: bool,
    latency: float | None,
    here: PromptResults | None,
    there: PromptResults | None,
) -> Workload:

    mine = next((each for each in bill.account.models if each.model == model), None)
    beside = next((each for each in bill.beside if each.model == model), None)
    if mine is None or beside is None:
        raise InputError(
            f"no use of {model} is recorded in this time",
            hint=f"state a traffic: toolkit which {model} --tokens-in 1000000 --tokens-out 200000",
        )
    unused = None
    if mine.idle is not None and mine.total:
        unused = (mine.idle + mine.asleep + mine.standby) / mine.total
    return Workload(
        beside, bill.account.currency, inside, unused, one_more_million(mine), latency, here, there
    )


def _ask_prompts(
    model: str, bill: Bill, options: dict[str, Any]
) -> tuple[PromptResults | None, PromptResults | None, dict[str, list[str]]]:
    """Ask golden prompts of the model inside, and of the closed one where it is named."""
    if (options["endpoint"] is None) != (options["key_variable"] is None):
        raise InputError(
            "--endpoint and --key-variable belong together", hint="give both, or none of them"
        )
    if options["prompts"] is None:
        if options["latency"] is not None:
            raise InputError(
                "--latency without --prompts measures nothing", hint="--prompts golden.yaml"
            )
        if options["endpoint"]:
            raise InputError(
                "--endpoint without --prompts asks nothing", hint="--prompts golden.yaml"
            )
        return None, None, {}
    from toolkit.config.golden.reading import read_golden

    faults: dict[str, list[str]] = {}
    with matching() as fits:
        prompts = read_golden(
            Path(options["prompts"]), fits, hint="write the file, or leave --prompts out"
        )
        beside = _closed(options, prompts)
        host, *_ = reachable(open_fleet(options["fleet"]).hosts, model)
        silence = max(each.timeout for each in prompts)
        endpoint = Endpoint(
            host.endpoint, host.router_tls_certificate, read_key(None), silence=silence
        )
        here, why = try_prompts(endpoint, model, prompts, fits)
        faults["inside"] = list(why)
        there = None
        if beside is not None:
            name = bill.beside[0].quote.api.partition("/")[2].removesuffix(":batch")
            there, why = try_prompts(beside, name, prompts, fits)
            faults["api"] = list(why)
    return here, there, faults


def _closed(options: dict[str, Any], prompts: tuple[GoldenPrompt, ...]) -> Endpoint | None:
    url, variable = options["endpoint"], options["key_variable"]
    if url is None:
        return None
    address = urlsplit(url)
    if not address.hostname or not (
        address.scheme == "https" or (address.scheme == "http" and is_loopback(address.hostname))
    ):
        raise InputError(f"{url} is no https address", hint="https://api.example.com/v1")
    if not os.environ.get(variable, "").strip():
        raise InputError(f"{variable} is not set", hint=f"export {variable}=…")
    silence = max(each.timeout for each in prompts)
    key = read_key(None, variable)
    return Endpoint(url.rstrip("/"), "", key, silence=silence, name="the closed API")
