"""Read an answer's claim about its origin from its headers."""

from __future__ import annotations

import re

from toolkit.domain.clients.evidence import Claim
from toolkit.domain.outside import shown
from toolkit.errors import InputError

_FIELDS = {
    "x-request-id": "request_id",
    "x-toolkit-version": "version",
    "x-toolkit-release": "release",
    "x-toolkit-slot": "slot",
}
_FORMS = {
    "request_id": r"[A-Za-z0-9._-]{1,128}",
    "version": r"[!-~]{1,128}",
    "release": r"[0-9]{1,9}",
    "slot": r"[!-~]{1,256}",
}


def claim_of(request_id: str, headers: str, path: str) -> Claim:
    """Return the claim of an answer by its id, by its headers as a text, or by both; `path` is the headers' file.

    Without both it is empty. Raises InputError where a header has no possible value, where none is the router's, and
    where the two are of different requests.
    """
    found = _read(headers)
    if path and not found:
        raise InputError(
            f"{path} has no header of the toolkit's router",
            hint="curl --dump-header FILE writes the headers of an answer",
        )
    if request_id and found.get("request_id", request_id) != request_id:
        raise InputError(
            f"the headers are of request {shown(found['request_id'])}, and --request-id names another",
            hint="leave --request-id out",
        )
    if request_id:
        found["request_id"] = request_id
    for name, value in found.items():
        if not re.fullmatch(_FORMS[name], value):
            words = "is no id of a request" if name == "request_id" else f"is no {name}"
            raise InputError(f"{shown(value)} {words}", hint="see docs/evidence.md")
    release = int(found["release"]) if "release" in found else None
    return Claim(
        found.get("request_id", ""), found.get("version", ""), release, found.get("slot", "")
    )


def _read(headers: str) -> dict[str, str]:
    """Return the fields of the last answer in the text: a redirection has headers of its own before it."""
    found: dict[str, str] = {}
    for line in headers.splitlines():
        if line.startswith("HTTP/"):
            found = {}
        name, _, value = line.partition(":")
        if field := _FIELDS.get(name.strip().lower()):
            found[field] = value.strip()
    return found
