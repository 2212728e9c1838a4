"""Facts -> verdict: which licences may be deployed."""

from __future__ import annotations

import pytest

from toolkit.domain.model import (
    Accelerator,
    EngineSpec,
    HubSource,
    Openness,
    Policy,
    Resources,
    Version,
)
from toolkit.planning.licence_policy import Verdict, licence_verdict

POLICY = Policy(
    allowed=("apache-2.0",),
    denied=("cc-by-nc-4.0",),
    approved={"llama3.1": ("llama-8b", "llama-70b")},
)

VERDICTS = [
    ("qwen-7b", "apache-2.0", POLICY, Verdict(True, "apache-2.0 is allowed for every model")),
    ("llama-8b", "llama3.1", POLICY, Verdict(True, "llama3.1 is approved for llama-8b")),
    (
        "mine",
        "llama3.1",
        POLICY,
        Verdict(
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
        Verdict(
            False,
            "the licence gemma of mine@1 is not approved for mine",
            "read its terms, then write `gemma: [mine]` under policy.licences.approved",
        ),
    ),
    (
        "mine",
        "cc-by-nc-4.0",
        POLICY,
        Verdict(
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
        Verdict(
            False,
            "the licence mit of mine@1 is not approved for mine",
            "read its terms, then write `mit: [mine]` under policy.licences.approved",
        ),
    ),
    (
        "mine",
        "mit",
        Policy(allowed=("mit",), denied=("mit",), approved={"mit": ("mine",)}),
        Verdict(
            False,
            "the licence mit of mine@1 is denied by policy",
            "choose a model with another licence, or take mit out of policy.licences.denied",
        ),
    ),
]


@pytest.mark.parametrize(("model", "licence", "policy", "verdict"), VERDICTS)
def test_verdict(model: str, licence: str, policy: Policy, verdict: Verdict) -> None:
    version = Version(
        model,
        "1",
        HubSource("acme/x"),
        "a" * 40,
        licence,
        Openness.OPEN_WEIGHTS,
        EngineSpec("vllm", "0.32.0"),
        Resources((Accelerator.CUDA,), 1),
    )
    assert licence_verdict(version, policy) == verdict
