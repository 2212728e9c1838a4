"""`toolkit mirror`: serve the store under the Hub's API."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from toolkit.cli.arguments.options import home_option, json_option, registry_option
from toolkit.cli.opening.context import home_directory, open_store
from toolkit.cli.terminal.output import note, print_json, say, say_whole


@click.command()
@click.option(
    "--bind", default="127.0.0.1:8090", show_default=True, help="Address to listen on, HOST:PORT."
)
@registry_option()
@home_option()
@json_option()
def mirror(bind: str, registry_path: str, home: str | None, as_json: bool) -> None:
    """Serve the store under the Hub's API."""

    from toolkit.adapters.mirror.server import serve
    from toolkit.workflows.files.mirror import PinnedSnapshots

    store = open_store(home_directory(home))
    source = PinnedSnapshots(Path(registry_path), store, note)
    served = source.served()

    def listening(address: str) -> None:
        if as_json:
            snapshots = [
                {"repo": each.snapshot.source, "revision": each.snapshot.revision}
                for each in served
            ]
            print_json({"endpoint": address, "served": snapshots})
        else:
            say(f"serving {len(served)} snapshots at {address}; for clients:")
            say_whole(f"  export HF_ENDPOINT={address}")
            if not served:
                note("nothing pinned is in the store yet; toolkit pull MODEL adds to it")
        sys.stdout.flush()

    serve(source, bind, listening)
