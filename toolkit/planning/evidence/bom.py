"""A bill of materials of a version, in the form of CycloneDX 1.6: model, files, adapters, engine, packages, gates.

The same facts give the same bytes: the serial number is derived from the content, and the time is given.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from toolkit.domain.deployment.release import Release
from toolkit.domain.engines.engine import EngineLock
from toolkit.domain.engines.requirements import LockedPackage
from toolkit.domain.files.snapshot import FileDigest, Snapshot
from toolkit.domain.gates.kind import Kind
from toolkit.domain.gates.verdict import GateRecord
from toolkit.domain.registry.model import HubSource, Version
from toolkit.planning.release.licence_policy import LicenceVerdict

_SPEC = "1.6"
_MODEL, _ENGINE = "model", "engine"
# The Hub's names of what a kind of model does.
_TASKS = {
    Kind.CHAT: "text-generation",
    Kind.COMPLETION: "text-generation",
    Kind.EMBEDDING: "feature-extraction",
    Kind.RERANK: "text-ranking",
    Kind.TRANSCRIPTION: "automatic-speech-recognition",
    Kind.CLASSIFICATION: "text-classification",
}
_OUTPUTS = {Kind.EMBEDDING: "vector", Kind.RERANK: "score", Kind.CLASSIFICATION: "class"}

# The Hub writes ids in lower case; the SPDX list tells cases apart. Licences of single families, such as `llama3.1`,
# are not on that list: a bill of materials gives their names.
_SPDX = {
    each.lower(): each
    for each in (
        "AFL-3.0", "AGPL-3.0", "Apache-2.0", "Artistic-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSD-3-Clause-Clear",
        "BSL-1.0", "CC-BY-2.0", "CC-BY-2.5", "CC-BY-3.0", "CC-BY-4.0", "CC-BY-NC-2.0", "CC-BY-NC-3.0", "CC-BY-NC-4.0",
        "CC-BY-NC-ND-3.0", "CC-BY-NC-ND-4.0", "CC-BY-NC-SA-2.0", "CC-BY-NC-SA-3.0", "CC-BY-NC-SA-4.0", "CC-BY-ND-4.0",
        "CC-BY-SA-3.0", "CC-BY-SA-4.0", "CC0-1.0", "CDLA-Permissive-1.0", "CDLA-Permissive-2.0", "CDLA-Sharing-1.0",
        "ECL-2.0", "EPL-1.0", "EPL-2.0", "EUPL-1.1", "EUPL-1.2", "GPL-2.0", "GPL-3.0", "ISC", "LGPL-2.1", "LGPL-3.0",
        "LPPL-1.3c", "MIT", "MPL-2.0", "MS-PL", "NCSA", "ODbL-1.0", "OFL-1.1", "OSL-3.0", "PDDL-1.0", "PostgreSQL",
        "Unlicense", "WTFPL", "Zlib",
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Part:
    """A part with its own files: the version, or an adapter of it, with its pinned files and its licence's verdict."""

    version: Version
    snapshot: Snapshot
    licence: LicenceVerdict


@dataclass(frozen=True, slots=True)
class LockedEngine:
    """An engine lock with its packages."""

    lock: EngineLock
    packages: tuple[LockedPackage, ...]


@dataclass(frozen=True, slots=True)
class BomFacts:
    """The facts of a bill of materials.

    `parts` are the version itself and its adapters. `kind` is what the model answers. `engine` is None where no release
    and nobody named a lock, or where this ops machine does not have it. `release` is the version's newest release, None
    without one, with the results of its `gates`, the newest first. `toolkit` is this toolkit's version; `at` is in
    seconds since the epoch.
    """

    parts: tuple[Part, ...]
    kind: Kind
    engine: LockedEngine | None
    release: Release | None
    gates: tuple[GateRecord, ...]
    toolkit: str
    at: float


def bill_of_materials(facts: BomFacts) -> dict[str, Any]:
    """Return the bill of materials as a JSON document of CycloneDX."""
    model, *adapters = facts.parts
    refs = [f"adapter:{each.version.model}" for each in adapters]
    document: dict[str, Any] = {
        "$schema": f"http://cyclonedx.org/schema/bom-{_SPEC}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": _SPEC,
        "version": 1,
        "metadata": {
            "tools": {"components": [_tool(facts.toolkit)]},
            "component": {**_part(model, _MODEL, "model"), "modelCard": _card(model, facts)},
        },
        "components": [
            *(_part(each, ref, "adapter") for each, ref in zip(adapters, refs, strict=True)),
            _engine(model.version, facts.engine),
            *(_package(each) for each in _packages(facts.engine)),
        ],
        "dependencies": [
            {"ref": _MODEL, "dependsOn": [*refs, _ENGINE]},
            *({"ref": ref} for ref in refs),
            {"ref": _ENGINE, "dependsOn": [_package_ref(each) for each in _packages(facts.engine)]},
        ],
        "compositions": [
            {"aggregate": "complete", "assemblies": [_MODEL, *refs]},
            {
                "aggregate": "complete" if facts.engine else "incomplete",
                "dependencies": [_ENGINE],
            },
        ],
    }
    serial = _serial(document)
    at = datetime.fromtimestamp(facts.at, UTC).replace(microsecond=0, tzinfo=None)
    # Not by `strftime`, which gives years before 1000 fewer digits.
    stamp = f"{at.isoformat()}Z"
    document["metadata"] = {"timestamp": stamp, **document["metadata"]}
    return {"$schema": document.pop("$schema"), "serialNumber": serial, **document}


def bom_text(document: dict[str, Any]) -> str:
    """Return the text of a bill of materials."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _serial(document: dict[str, Any]) -> str:
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    found = bytearray(hashlib.sha256(text.encode(errors="replace")).digest()[:16])
    # The bits that say that a UUID is made from a digest (version 8 of RFC 9562).
    found[6], found[8] = found[6] & 0x0F | 0x80, found[8] & 0x3F | 0x80
    text = found.hex()
    return f"urn:uuid:{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _tool(version: str) -> dict[str, Any]:
    return {"type": "application", "name": "open-weights-toolkit", "version": version}


def _part(part: Part, ref: str, noun: str) -> dict[str, Any]:
    """Return a model or an adapter as a component, with its files below it."""
    version, snapshot = part.version, part.snapshot
    group, _, name = version.source.key.rpartition("/")
    found: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": ref,
        "group": group,
        "name": name,
        "version": version.revision,
        "licenses": [licence_choice(version.licence)],
    }
    if isinstance(version.source, HubSource):
        path = "/".join(map(_escaped, version.source.repo.split("/")))
        found["purl"] = f"pkg:huggingface/{path}@{version.revision}"
        found["externalReferences"] = [
            {"type": "vcs", "url": f"https://huggingface.co/{path}/tree/{version.revision}"}
        ]
    permitted = ", ".join(version.permission.allowed)
    found["components"] = [_file(each, ref) for each in snapshot.files]
    found["properties"] = _properties(
        (noun, version.model),
        ("version", version.name),
        ("snapshot", snapshot.digest),
        ("bytes", str(snapshot.size)),
        ("openness", str(version.openness)),
        ("licence", "allowed" if part.licence.allowed else "refused"),
        ("licence-reason", part.licence.reason),
        ("permission", f"{permitted}: {version.permission.reason}" if permitted else ""),
    )
    return found


def _file(file: FileDigest, ref: str) -> dict[str, Any]:
    return {
        "type": "file",
        "bom-ref": f"{ref}/{file.path}",
        "name": file.path,
        "hashes": [{"alg": "SHA-256", "content": file.sha256}],
        "properties": _properties(("bytes", str(file.size)), ("git-blob", file.git_sha1)),
    }


def _card(model: Part, facts: BomFacts) -> dict[str, Any]:
    parameters: dict[str, Any] = {"task": _TASKS[facts.kind]}
    known = model.snapshot.facts
    inputs = ["audio" if facts.kind is Kind.TRANSCRIPTION else "text"]
    if known:
        if known.model_type:
            parameters["architectureFamily"] = known.model_type
        if known.architectures:
            parameters["modelArchitecture"] = ", ".join(known.architectures)
        inputs += [name for name, there in (("image", known.vision),) if there]
    parameters["inputs"] = [{"format": each} for each in inputs]
    parameters["outputs"] = [{"format": _OUTPUTS.get(facts.kind, "text")}]
    card: dict[str, Any] = {"modelParameters": parameters}
    if metrics := [each for record in _newest(facts) for each in _metrics(record)]:
        card["quantitativeAnalysis"] = {"performanceMetrics": metrics}
    if known and known.context:
        limit = f"a request has at most {known.context} tokens"
        card["considerations"] = {"technicalLimitations": [limit]}
    if facts.release:
        card["properties"] = _properties(("release", str(facts.release.number)))
    return card


def _newest(facts: BomFacts) -> list[GateRecord]:
    """Return the newest result of each gate on each host, ordered by host and gate."""
    found: dict[tuple[str, str], GateRecord] = {}
    for record in facts.gates:
        if facts.release and record.release == facts.release.number:
            found.setdefault((record.host, record.result.gate), record)
    return [found[key] for key in sorted(found)]


def _metrics(record: GateRecord) -> Iterable[dict[str, str]]:
    result = record.result
    where = f"release {record.release}" + (f" on {record.host}" if record.host else "")
    why = f": {result.reason}" if result.reason else ""
    yield {"type": f"{result.gate}: verdict", "value": f"{result.verdict}{why}", "slice": where}
    for figure in result.figures:
        for value, of in ((figure.new, ""), (figure.old, ", the release before it")):
            if value is not None:
                yield {
                    "type": f"{result.gate}: {figure.name}",
                    "value": f"{value:.15g} {figure.unit}".rstrip(),
                    "slice": where + of,
                }


def _engine(version: Version, engine: LockedEngine | None) -> dict[str, Any]:
    lock = engine.lock if engine else None
    return {
        "type": "framework",
        "bom-ref": _ENGINE,
        "name": version.engine.name,
        "version": version.engine.version,
        "properties": _properties(
            ("lock", lock.id if lock else ""),
            ("lock-sha256", lock.digest if lock else ""),
            ("accelerator", str(lock.accelerator) if lock else ""),
            ("python", lock.python if lock else ""),
            ("packages", "" if lock else "unknown: no release names a lock that is known here"),
        ),
    }


def _packages(engine: LockedEngine | None) -> Sequence[LockedPackage]:
    return sorted(engine.packages, key=lambda each: each.name) if engine else ()


def _package_ref(package: LockedPackage) -> str:
    name = package.name.lower().replace("_", "-")
    return f"pkg:pypi/{_escaped(name)}@{_escaped(package.version)}"


def _package(package: LockedPackage) -> dict[str, Any]:
    """Return a package; each file in use has one of the digests, so they stand at its distribution."""
    ref = _package_ref(package)
    return {
        "type": "library",
        "bom-ref": ref,
        "name": package.name,
        "version": package.version,
        "purl": ref,
        "externalReferences": [
            {
                "type": "distribution",
                "url": f"https://pypi.org/project/{_escaped(package.name)}/",
                "comment": "The lock allows a file with one of these digests, and no other.",
                "hashes": [{"alg": "SHA-256", "content": each} for each in sorted(package.sha256)],
            }
        ],
    }


def _properties(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"name": f"toolkit:{name}", "value": value} for name, value in pairs if value]


def _escaped(text: str) -> str:
    """Return a part of a URL with all but letters, digits and `-._~` as percent signs and digits."""
    return "".join(
        chr(each)
        if chr(each).isascii() and (chr(each).isalnum() or each in b"-._~")
        else f"%{each:02X}"
        for each in text.encode()
    )


def licence_choice(licence: str) -> dict[str, Any]:
    """Return the licence as an entry of CycloneDX: by its SPDX id where it has one, else by its name."""
    spdx = _SPDX.get(licence)
    named = {"id": spdx} if spdx else {"name": licence}
    return {"license": {**named, "acknowledgement": "declared"}}
