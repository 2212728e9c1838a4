"""The root command. Subcommands are imported when called, so that `--help` answers at once."""

from __future__ import annotations

import errno
import gc
import importlib
import os
import signal
import sys
from typing import Any

import click

from toolkit import __version__
from toolkit.cli.terminal import streams
from toolkit.cli.terminal.output import print_json, say, without_orders
from toolkit.cli.views.dry_run import DryRun
from toolkit.domain.excerpt import readable
from toolkit.errors import InputError, InterruptionError, ToolkitError

# Python looks for garbage after this number of new objects; a command that is loaded has 40,000.
_GARBAGE = 100_000
# The errors of the system about a path that a person typed wrong.
_WRONG_PATHS = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.ELOOP)
# name -> (module:attribute, one line of help). The help stands here so that listing imports nothing;
# a test holds it equal to the command's own.
COMMANDS: dict[str, tuple[str, str]] = {
    "plan": (
        "toolkit.cli.commands.plan:plan",
        "Show whether a version fits on each host, before any download.",
    ),
    "diff": (
        "toolkit.cli.commands.diff:diff",
        "Show what `deploy` would change: release, small files, host settings.",
    ),
    "deploy": (
        "toolkit.cli.commands.deploy:deploy",
        "Make a version serve; does nothing where it already does.",
    ),
    "upgrade": (
        "toolkit.cli.commands.deploy:upgrade",
        "Replace the serving version of a model by a newer one under traffic.",
    ),
    "gate": (
        "toolkit.cli.commands.gate:gate",
        "Run the gates of MODEL[@VERSION] without making it live, or record golden prompts.",
    ),
    "rollback": (
        "toolkit.cli.commands.rollback:rollback",
        "Go back to the release that was live before, or to any other.",
    ),
    "watch": (
        "toolkit.cli.commands.watch:watch",
        "Follow a release in its canary and its bake; exit code 8 where it is returned.",
    ),
    "promote": (
        "toolkit.cli.commands.watch:promote",
        "End the watch of a release at once: a canary gets all traffic, a bake is over.",
    ),
    "abort": (
        "toolkit.cli.commands.watch:abort",
        "Give all traffic back to the release before, and mark the watched one as failed.",
    ),
    "status": (
        "toolkit.cli.commands.status:status",
        "Show what serves, what stands by and what is unfinished.",
    ),
    "top": (
        "toolkit.cli.commands.top:top",
        "Show the load of hosts, models and replicas as it is now; q ends it.",
    ),
    "report": (
        "toolkit.cli.commands.report:report",
        "Write the fleet, its changes, latency, use and cost of a period as one HTML page.",
    ),
    "releases": (
        "toolkit.cli.commands.show:releases",
        "List a model's releases and how each deployment of them went.",
    ),
    "ask": (
        "toolkit.cli.commands.ask:ask",
        "Ask MODEL and print its answer as it comes; PROMPT `-` reads standard input.",
    ),
    "logs": ("toolkit.cli.commands.show:logs", "Show a replica's log."),
    "requests": (
        "toolkit.cli.commands.requests:requests",
        "Show the requests that routers have logged: how each ended, why, and its tokens.",
    ),
    "stop": ("toolkit.cli.commands.stop:stop", "Take a model out of service; its releases stay."),
    "sleep": (
        "toolkit.cli.commands.sleep:sleep",
        "End a model's replicas until it is wanted; slots, files and routes stay.",
    ),
    "wake": (
        "toolkit.cli.commands.sleep:wake",
        "Start the replicas of a model that sleeps; returns once it serves.",
    ),
    "verify": (
        "toolkit.cli.commands.verify:verify",
        "Compare hosts and store with what was pinned and deployed; hashes all snapshots again.",
    ),
    "prune": (
        "toolkit.cli.commands.prune:prune",
        "Remove snapshots and engines that nothing uses any more, and what was cut short.",
    ),
    "provision": (
        "toolkit.cli.commands.provision:provision",
        "Make hosts ready to serve: packages, user, router, time, firewall, driver.",
    ),
    "hosts": (
        "toolkit.cli.commands.hosts:hosts",
        "Show the fleet's hosts: devices, driver, disk, engines, replicas, drift; drain or forget one.",
    ),
    "doctor": (
        "toolkit.cli.commands.doctor:doctor",
        "Check this machine, the host and what runs on it.",
    ),
    "repair": (
        "toolkit.cli.commands.repair:repair_files",
        "Make damaged files on hosts anew: routes, maps, keys, orders of guards.",
    ),
    "usage": (
        "toolkit.cli.commands.usage:usage",
        "Show requests and tokens by key, model, release, day or host, beside the engines' counters.",
    ),
    "slo": (
        "toolkit.cli.commands.slo:slo",
        "Show whether models keep their objectives, what is left of their budgets, and what spent it.",
    ),
    "keys": ("toolkit.cli.commands.keys:keys", "Give out, list and revoke keys of the router."),
    "registry": (
        "toolkit.cli.commands.registry:registry",
        "List, show, check and pin what may be deployed.",
    ),
    "outdated": (
        "toolkit.cli.commands.outdated:outdated",
        "Compare what is pinned with what each source and the package index hold now.",
    ),
    "update": (
        "toolkit.cli.commands.update:update",
        "Pin what a model's tracked branch holds now as a candidate, and say what differs.",
    ),
    "schedule": (
        "toolkit.cli.commands.schedule:schedule",
        "Pin and upgrade models in declared windows, with nobody present.",
    ),
    "idle": (
        "toolkit.cli.commands.idle:idle",
        "Show replicas and hosts that nobody uses, and what they cost a day.",
    ),
    "cost": (
        "toolkit.cli.commands.cost:cost",
        "Show what a million tokens cost here, how much of it is idle time, and what closed APIs would charge.",
    ),
    "meter": (
        "toolkit.cli.commands.meter:meter",
        "Add a reading of the energy counters of each host's devices to a file.",
    ),
    "which": (
        "toolkit.cli.commands.which:which",
        "Show what speaks for MODEL inside and what for a closed API, for one workload.",
    ),
    "prices": (
        "toolkit.cli.commands.prices:prices",
        "List the known prices of closed models, with the day on which each was read.",
    ),
    "pull": ("toolkit.cli.commands.pull:pull", "Fetch a pinned version and verify every file."),
    "mirror": ("toolkit.cli.commands.mirror:mirror", "Serve the store under the Hub's API."),
    "engine": (
        "toolkit.cli.commands.engine:engine",
        "List, lock and install engines (vLLM at a pinned version).",
    ),
    "export": (
        "toolkit.cli.commands.export:export",
        "Write the fleet as the configuration of a gateway, such as LiteLLM's proxy.",
    ),
    "bundle": (
        "toolkit.cli.commands.bundle:bundle",
        "Carry models and engines to a site without network.",
    ),
    "audit": (
        "toolkit.cli.commands.audit:audit",
        "Show and verify the log of who changed what, when and why.",
    ),
    "bom": (
        "toolkit.cli.commands.bom:bom",
        "Write a bill of materials of MODEL[@VERSION], CycloneDX 1.6 as JSON.",
    ),
    "prove": (
        "toolkit.cli.commands.prove:prove",
        "Write evidence for an answer: release, files hashed now, licence, gates, audit log.",
    ),
    "perimeter": (
        "toolkit.cli.commands.perimeter:perimeter",
        "Try to leave the hosts from where their replicas are, and list who listens on them.",
    ),
    "notify": (
        "toolkit.cli.commands.notify:notify",
        "Show and try the channels that tell people how a deployment ended.",
    ),
    "metrics": (
        "toolkit.cli.commands.metrics:metrics",
        "Give Prometheus its targets, rules and dashboards, and keep them current.",
    ),
    "config": (
        "toolkit.cli.commands.config:config",
        "Show the files, home and history in use, and where each value comes from.",
    ),
    "man": ("toolkit.cli.commands.manual:man", "Print the manual page: toolkit man | man -l -."),
    "completion": (
        "toolkit.cli.commands.completion:completion",
        'Print the shell\'s completion script: eval "$(toolkit completion bash)".',
    ),
}


class LazyGroup(click.Group):
    """A group whose commands are imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of a user's day."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        # Here and not above: help loads no commands.
        from toolkit.cli.arguments.given import refuse_empty

        return refuse_empty(getattr(importlib.import_module(module), attribute))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options before the command; one of a command is told its place."""
        words = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            from toolkit.cli.completion.unknown_command import place_of_option

            if place := place_of_option(error.option_name, words):
                raise click.UsageError(f"{error.message} {place}", ctx) from error
            raise

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that `args` name; for an unknown name say which one may be meant."""
        if args[0] not in COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            from toolkit.cli.completion.unknown_command import meant_by

            near = " or ".join(map(repr, meant_by(args)))
            ctx.fail(f"No such command {args[0]!r}.{f' Did you mean {near}?' if near else ''}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="toolkit")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Deploy open-weights models on your own hosts, change their versions under traffic, roll back."""


def main() -> None:
    """Run the command line; a signal that comes after the command's end changes neither its exit code nor its words."""
    try:
        _main()
    finally:
        streams.hear_no_more()


def _main() -> None:
    """Run the command line; the one place where errors are printed."""
    # Loading makes many objects and drops few: Python would look through all of them for garbage every 700.
    gc.set_threshold(_GARBAGE, *gc.get_threshold()[1:])
    debug = "--debug" in sys.argv[1:]
    streams.guard()
    if os.environ.get("_TOOLKIT_COMPLETE", "").endswith("_complete"):
        _offer_names()
    # SIGTERM is an interruption like Ctrl-C: the change under way is undone.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code = _run()
    except DryRun:
        code = 0
    except click.exceptions.Abort:
        click.echo("interrupted", err=True)
        if "--json" in sys.argv[1:]:
            _print_error(InterruptionError("interrupted"), as_json=True)
        sys.exit(InterruptionError.exit_code)
    except click.ClickException as error:
        # click shows an error's own message, which may quote what was typed at any length.
        vars(error)["message"] = readable(error.message)
        if "--json" in sys.argv[1:]:
            command = (
                error.ctx and error.ctx.command_path if isinstance(error, click.UsageError) else ""
            )
            hint = f"{command or 'toolkit'} --help"
            _print_error(InputError(error.format_message(), hint=hint), as_json=True)
        else:
            error.show()
        sys.exit(2)
    except ToolkitError as error:
        if debug:
            raise
        from toolkit.cli.completion.unknown_model import with_known_names

        error = with_known_names(error, sys.argv[1:])
        _print_error(error, as_json="--json" in sys.argv[1:])
        sys.exit(error.exit_code)
    if words := streams.lost_result():
        click.echo(f"error: the result could not be written to standard output: {words}", err=True)
        sys.exit(ToolkitError.exit_code)
    sys.exit(code if isinstance(code, int) else 0)


def _offer_names() -> None:
    """Print the names that may stand at the cursor and end; return where the command itself must be asked."""
    from toolkit.cli.completion.names import offered

    names = offered()
    if names is not None:
        if names:
            say(names)
        sys.exit(0)


def _run() -> Any:
    """Run the command and return its code; what this machine's system refuses becomes an error of the tree."""
    try:
        return cli.main(prog_name="toolkit", standalone_mode=False)
    except OSError as error:
        from toolkit.adapters.disk import fault_of

        if error.errno in _WRONG_PATHS and error.filename:
            name = os.fsdecode(error.filename)
            words = f"{name} is no path that can be opened: {error.strerror}"
            raise InputError(words, hint="name another one") from error
        raise fault_of(error) from error


def _print_error(error: ToolkitError, *, as_json: bool) -> None:
    # A hint quotes what stands in a file, such as a number of any length.
    error.message, error.hint = readable(error.message), readable(error.hint)
    if as_json:
        hosts = {name: each.as_json() for name, each in error.hosts.items()}
        print_json({**error.document, "error": {**error.as_json(), "hosts": hosts}})
        return
    click.echo(without_orders(f"error: {error.message}"), err=True)
    if error.hint:
        click.echo(without_orders(f"hint: {error.hint}"), err=True)


if __name__ == "__main__":
    main()
