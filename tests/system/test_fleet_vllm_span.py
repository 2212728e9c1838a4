"""Real vLLM on two real hosts that run one replica together."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.system.vllm_site import REGISTRY, VllmSite

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]
WIDE = re.sub(r"(resources: \{[^}]*)\}", r"\1, hosts: 2}", REGISTRY)
HOSTS = ("alpha", "beta")


@pytest.fixture(scope="module")
def site(vllm_site: Callable[..., VllmSite]) -> VllmSite:
    return vllm_site(2, registry=WIDE)


def test_both_hosts_compute_each_answer(site: VllmSite) -> None:
    site.lab.toolkit("deploy", "tiny@v1", "--yes", "--bake", "1")
    assert site.serving() == {host: ["v1"] for host in HOSTS}
    for host in HOSTS:
        for prompt, known in site.short_answers().items():
            answer = site.ask(host, prompt)
            assert answer["choices"][0]["message"]["content"] == known["v1"]
            # a world of two, by vLLM's own word
            assert "tp2" in answer["system_fingerprint"]
    assert "(Worker_TP1" in site.log(site.lab["beta"], "blue")


def test_its_unit_is_as_closed_on_both(site: VllmSite) -> None:
    for host in HOSTS:
        assert site.exposure(site.lab[host], "blue") <= 2.5
