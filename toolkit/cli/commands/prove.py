"""`toolkit prove`: evidence for an answer, which others can check."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit import __version__
from toolkit.adapters.audit.log import AuditLog
from toolkit.cli.arguments.options import registry_option, site_options
from toolkit.cli.opening.context import home_directory, open_history, open_hosts, read_pins
from toolkit.cli.opening.trail import changing, trail_now
from toolkit.cli.terminal.output import note, print_json, say, say_whole
from toolkit.cli.terminal.result_file import STANDARD_OUTPUT, require_place, write_result
from toolkit.config.registry.lock_file import lock_path
from toolkit.config.text_file import read_text
from toolkit.domain.clients.evidence import Claim
from toolkit.errors import InputError, RefusedError
from toolkit.planning.evidence.claim import claim_of
from toolkit.planning.evidence.decision import LicenceDecision, decide
from toolkit.planning.evidence.proof import evidence_text

if TYPE_CHECKING:
    from toolkit.domain.deployment.release import Release
    from toolkit.domain.trail.audit import Head

CHECKER = Path(__file__).parents[2] / "check_evidence.py"
_MOST_HEADERS = 2**20


@click.command()
@changing()
@click.argument("model", default="")
@click.option("--request-id", default="", metavar="ID", help="The X-Request-Id of the answer.")
@click.option(
    "--answer-headers",
    default="",
    metavar="FILE",
    help="The headers of the answer, as `curl --dump-header FILE` writes them.",
)
@click.option(
    "--output",
    required=True,
    metavar="FILE",
    help="Where the evidence is written; - is standard output.",
)
@click.option(
    "--checker", default="", metavar="FILE", help="Write the script that checks it there, too."
)
@registry_option()
@site_options()
def prove(
    model: str,
    request_id: str,
    answer_headers: str,
    output: str,
    checker: str,
    registry_path: str,
    as_json: bool,
    **of_site: str | None,
) -> None:
    """Write evidence for an answer: release, files hashed now, licence, gates, audit log.

    The answer is named by its id or its headers; MODEL alone stands for what serves now. Others check the file with
    `check_evidence.py`, without the toolkit, and with a head of the audit log that they trust.
    """
    from toolkit.workflows.evidence.prove import ProofRequest, ProofSources, prove

    request = ProofRequest(_claim(request_id, answer_headers), model)
    if not (model or request.claim.request_id):
        raise InputError(
            "name a model, or an answer",
            hint="toolkit prove MODEL, or --request-id ID, or --answer-headers FILE",
        )
    # To hash the weights of all hosts takes minutes.
    require_place(Path(output), as_json=as_json)
    if checker:
        # On standard output, nobody could tell it from the evidence or the document.
        require_place(Path(checker), as_json=True)
    home_path = home_directory(of_site["home"])
    hosts = open_hosts(of_site["fleet"], home_path)
    trail = trail_now()

    def record(content: Mapping[str, Any]) -> Head:
        trail.begin(content)
        if trail.head is None:
            raise RefusedError("the audit log has no line of this evidence", hint="toolkit audit")
        return trail.head

    sources = ProofSources(
        history=open_history(home_path, needed=False),
        log=AuditLog(home_path),
        decide=lambda release: _decision(release, registry_path, home_path),
        record=record,
        toolkit=__version__,
        clock=time.time,
        say=note,
    )
    proved = prove(request, hosts, sources)
    text = evidence_text(proved.document)
    write_result(Path(output), text)
    if checker:
        write_result(Path(checker), CHECKER.read_text("utf-8"))
    head = f"{proved.head.sequence}:{proved.head.digest}"
    if as_json:
        print_json(
            {
                "path": output,
                "sha256": hashlib.sha256(text.encode()).hexdigest(),
                "release": proved.release.as_json(),
                "hosts": list(proved.hosts),
                "logged": proved.answered is not None,
                "log": proved.head.log,
                "head": head,
                "lines": len(proved.document["lines"]),
            }
        )
        return
    printed = Path(output) == STANDARD_OUTPUT
    tell, file = (note, "FILE") if printed else (say, output)
    tell(f"{file}: evidence for {proved.release.title} on {', '.join(proved.hosts)}")
    tell(f"head {head} of log {proved.head.log}")
    tell("publish the head, or let somebody read it on a host; then anybody checks the file with")
    (note if printed else say_whole)(
        f"  python3 {checker or 'check_evidence.py'} {file} --head {head}"
    )


def _claim(request_id: str, path: str) -> Claim:
    """Return the answer's claim by the options; raises InputError."""
    text = ""
    if path:
        text = read_text(Path(path), limit=_MOST_HEADERS, hint="--answer-headers FILE")
    return claim_of(request_id, text, path)


def _decision(release: Release, registry_path: str, home: Path) -> LicenceDecision:
    """Return the licence's decision for a release, by the registry as it is now."""
    path, registry = Path(registry_path), read_pins(registry_path, home).registry
    versions = registry.models[release.model].versions if release.model in registry.models else ()
    digests = _sha256(path), _sha256(lock_path(path))
    return decide(release, versions, registry.policy, registry=digests[0], lock=digests[1])


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""
