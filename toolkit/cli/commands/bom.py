"""`toolkit bom`: a bill of materials of a version."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import click

from toolkit import __version__
from toolkit.cli.arguments.options import home_option, json_option, registry_option
from toolkit.cli.arguments.times import moment
from toolkit.cli.opening.context import home_directory, open_history, read_pins
from toolkit.cli.terminal.output import note, print_json, say_file
from toolkit.cli.terminal.result_file import require_place, write_result
from toolkit.planning.evidence.bom import bill_of_materials, bom_text
from toolkit.workflows.evidence.bom import collect_bom


@click.command()
@click.argument("model", metavar="MODEL[@VERSION]")
@click.option("--output", default="", metavar="FILE", help="Write it there.  [default: print it]")
@click.option(
    "--engine",
    default="",
    metavar="ID",
    help="The engine lock to name.  [default: that of the newest release]",
)
@click.option(
    "--at",
    default="",
    metavar="TIME",
    help="The time that it bears, as in 2026-11-01T18:00 (UTC).  [default: now]",
)
@registry_option()
@home_option()
@json_option()
def bom(
    model: str,
    output: str,
    engine: str,
    at: str,
    registry_path: str,
    home: str | None,
    as_json: bool,
) -> None:
    """Write a bill of materials of MODEL[@VERSION], CycloneDX 1.6 as JSON."""
    if output == "-":
        # Standard output gets the document anyway; --json has it in its own.
        output = ""
    if output:
        require_place(Path(output))
    home_path = home_directory(home)
    pins = read_pins(registry_path, home_path)
    version = pins.registry.version(model)
    facts = collect_bom(
        version,
        pins.registry.policy,
        pins.lock,
        pins.engines,
        open_history(home_path, needed=False),
        engine=engine,
        toolkit=__version__,
        at=moment("--at", at, "--at 2026-11-01T18:00") if at else time.time(),
    )
    document = bill_of_materials(facts)
    text = bom_text(document)
    if facts.release is None:
        note(
            f"no release in this history has {version.title} as the registry has it now: "
            "the figures of gates are left out"
        )
    if facts.engine is None:
        note("no engine lock is named: the engine's packages are left out; see --engine")
    if output:
        write_result(Path(output), text)
    files = sum(len(each.snapshot.files) for each in facts.parts)
    if as_json:
        print_json(
            {
                "path": output,
                "sha256": hashlib.sha256(text.encode()).hexdigest(),
                "serial": document["serialNumber"],
                "release": facts.release.number if facts.release else None,
                "engine": facts.engine.lock.id if facts.engine else "",
                "files": files,
                "packages": len(facts.engine.packages) if facts.engine else 0,
                "bom": None if output else document,
            }
        )
    elif output:
        note(f"{version.title}: {files} files, written to {output}")
    else:
        say_file(text)
