"""`toolkit ask`: a question to a model, through a router as a client asks it."""

from __future__ import annotations

import sys
import time
from typing import Any

import click

from toolkit.cli.arguments.numbers import Decimal, Whole
from toolkit.cli.arguments.options import site_options
from toolkit.cli.arguments.paths import FilePath
from toolkit.cli.opening.context import home_directory, open_fleet, open_ports
from toolkit.cli.opening.endpoint import KEY, reachable, read_key
from toolkit.cli.terminal.output import note, print_json, without_orders
from toolkit.cli.terminal.standard_input import read_input
from toolkit.cli.terminal.streams import output_is_lost
from toolkit.domain.bounds import ANSWER
from toolkit.errors import InputError
from toolkit.planning.upkeep.question import ModelQuestion
from toolkit.workflows.fleet.ask import WholeAnswer, ask_endpoint


@click.command()
@click.argument("model")
@click.argument("prompt")
@click.option("--system", default="", help="What the model is told before the prompt.")
@click.option("--max-tokens", "most_tokens", type=Whole(1), help="At most so many tokens.")
@click.option("--temperature", type=Decimal(0), help="0 for the likeliest answer.")
@click.option(
    "--key-file", type=FilePath(), metavar="PATH", help=f"A file with the key.  [default: ${KEY}]"
)
@click.option("--host", "named", metavar="HOST", help="The host whose router is asked.")
@click.option("--version", help="Ask the replica of this version, also a standby.")
@click.option("--slot", help="Ask the replica in this slot, also a standby.")
@site_options()
def ask(
    model: str,
    prompt: str,
    key_file: str | None,
    version: str | None,
    slot: str | None,
    fleet: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Ask MODEL and print its answer as it comes; PROMPT `-` reads standard input.

    The router is asked as any client asks it, with the key of TOOLKIT_KEY. With --version or --slot the host asks the
    replica itself, and no key is needed.
    """
    if "@" in model:
        raise InputError(f"ask takes a model, not {model!r}", hint="toolkit ask MODEL --version V")
    home, named = options.pop("home"), options.pop("named")
    question = ModelQuestion(model, _prompt(prompt), **options)
    hosts = open_fleet(fleet).select((named,) if named else ())
    if version or slot:
        from toolkit.workflows.fleet.ask_replica import ask_replica

        ports = open_ports(hosts, home_directory(home))
        _show(ask_replica(ports, question, version=version or "", slot=slot or ""), model, as_json)
        return
    from toolkit.adapters.endpoint.endpoint import Endpoint

    key = read_key(key_file)
    endpoints = [
        Endpoint(host.endpoint, host.router_tls_certificate, key)
        for host in reachable(hosts, model)
    ]
    said = (lambda text: True) if as_json else _say
    answered = ask_endpoint(endpoints, question, time.monotonic, said, note)
    _show(answered, model, as_json, streamed=True)


def _prompt(prompt: str) -> str:
    if prompt != "-":
        return prompt
    hint = "ask with less text, in UTF-8: iconv -t utf-8 FILE | toolkit ask MODEL -"
    given = read_input("the prompt", ANSWER, hint=hint)
    if not given.strip():
        # A model would answer it, and hide that the command before it in a pipe has failed.
        raise InputError("the prompt on standard input is empty", hint="toolkit ask MODEL - < FILE")
    return given


def _say(text: str) -> bool:
    sys.stdout.write(without_orders(text, sys.stdout))
    sys.stdout.flush()
    return not output_is_lost()


def _show(answered: WholeAnswer, model: str, as_json: bool, *, streamed: bool = False) -> None:
    if as_json:
        print_json(
            {
                "model": model,
                "version": answered.version,
                "release": answered.release,
                "slot": answered.slot,
                "text": answered.text,
                "thoughts": answered.thoughts,
                "usage": answered.usage,
                "first_seconds": answered.first,
                "seconds": answered.seconds,
            }
        )
        return
    _say("\n" if streamed else f"{answered.text}\n")
    if not answered.text and answered.thoughts:
        note("the answer has thoughts alone; --json shows them, --max-tokens gives it more room")
    number = f" #{answered.release}" if answered.release else ""
    # A router that is older than the labels names none of them.
    who = f"{model}{number} ({answered.version}) in {answered.slot}" if answered.version else model
    note(f"{who}, {answered.seconds:.1f} s")
