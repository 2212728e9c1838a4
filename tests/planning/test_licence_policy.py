"""Facts -> verdict: which licences may be deployed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from toolkit.domain.accelerator import Accelerator
from toolkit.domain.files.snapshot import FileDigest, Snapshot
from toolkit.domain.registry.model import (
    HubSource,
    Openness,
    Permission,
    Policy,
    Resources,
    Version,
)
from toolkit.domain.registry.release_parts import EngineSpec
from toolkit.planning.release.licence_policy import (
    LicenceVerdict,
    licence_verdict,
    permission_verdict,
)

POLICY = Policy(
    allowed=("apache-2.0",),
    denied=("cc-by-nc-4.0",),
    approved={"llama3.1": ("llama-8b", "llama-70b")},
)

VERDICTS = [
    (
        "qwen-7b",
        "apache-2.0",
        POLICY,
        LicenceVerdict(True, "apache-2.0 is allowed for every model"),
    ),
    ("llama-8b", "llama3.1", POLICY, LicenceVerdict(True, "llama3.1 is approved for llama-8b")),
    (
        "mine",
        "llama3.1",
        POLICY,
        LicenceVerdict(
            False,
            "the licence llama3.1 of mine@1 is not approved for mine",
            "read its terms, then write `llama3.1: [llama-8b, llama-70b, mine]` "
            "under policy.licences.approved",
        ),
    ),
    (
        "mine",
        "gemma",
        POLICY,
        LicenceVerdict(
            False,
            "the licence gemma of mine@1 is not approved for mine",
            "read its terms, then write `gemma: [mine]` under policy.licences.approved",
        ),
    ),
    (
        "mine",
        "cc-by-nc-4.0",
        POLICY,
        LicenceVerdict(
            False,
            "the licence cc-by-nc-4.0 of mine@1 is denied by policy",
            "choose a model with another licence, or take cc-by-nc-4.0 out of "
            "policy.licences.denied",
        ),
    ),
    (
        "mine",
        "mit",
        Policy(),
        LicenceVerdict(
            False,
            "the licence mit of mine@1 is not approved for mine",
            "read its terms, then write `mit: [mine]` under policy.licences.approved",
        ),
    ),
    (
        "mine",
        "mit",
        Policy(allowed=("mit",), denied=("mit",), approved={"mit": ("mine",)}),
        LicenceVerdict(
            False,
            "the licence mit of mine@1 is denied by policy",
            "choose a model with another licence, or take mit out of policy.licences.denied",
        ),
    ),
]


@pytest.mark.parametrize(("model", "licence", "policy", "verdict"), VERDICTS)
def test_policy_decides_on_each_licence(
    model: str, licence: str, policy: Policy, verdict: LicenceVerdict
) -> None:
    assert licence_verdict(version_of(model, licence), policy) == verdict


PERMITTED = LicenceVerdict(True, "no file needs a permission that is not there")
AGAIN = "toolkit registry pin mine@1 --lock-only"
CODE = "the lock of mine@1 holds modeling.py: code is not permitted"
BIN = "the lock of mine@1 holds a.bin: format bin is not permitted: loading it can run code"

PERMISSIONS = [
    (("config.json", "model.safetensors"), Permission(), PERMITTED),
    (("modeling.py", "model.safetensors"), Permission(), LicenceVerdict(False, CODE, AGAIN)),
    (("modeling.py", "model.safetensors"), Permission(True, (), "reviewed"), PERMITTED),
    (("a.bin", "modeling.py"), Permission(True, (), "reviewed"), LicenceVerdict(False, BIN, AGAIN)),
    (
        ("a.bin", "modeling.py"),
        Permission(False, ("bin",), "x"),
        LicenceVerdict(False, CODE, AGAIN),
    ),
    (("a.bin", "modeling.py"), Permission(True, ("bin",), "x"), PERMITTED),
]


@pytest.mark.parametrize(("paths", "permission", "verdict"), PERMISSIONS)
def test_what_was_pinned_needs_its_permission_still(
    paths: tuple[str, ...], permission: Permission, verdict: LicenceVerdict
) -> None:
    files = tuple(FileDigest(path, 1, "a" * 64) for path in paths)
    version = replace(version_of("mine", "mit"), permission=permission)
    assert permission_verdict(version, Snapshot("acme/x", "a" * 40, files)) == verdict


def version_of(model: str, licence: str) -> Version:
    return Version(
        model,
        "1",
        HubSource("acme/x"),
        "a" * 40,
        licence,
        Openness.OPEN_WEIGHTS,
        EngineSpec("vllm", "0.32.0"),
        Resources((Accelerator.CUDA,), 1),
    )
