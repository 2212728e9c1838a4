"""The lab of the whole-system tests, set up once for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from demo.lab import Lab
from tests.fleet.machine import require_hosts
from tests.system.served import Served, lab_with_engine, lab_with_versions
from tests.system.vllm_site import VllmSite
from tests.system.vllm_site import vllm_site as site_of


@pytest.fixture(scope="session")
def engine_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab_with_engine(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture(scope="session")
def served(engine_lab: Lab) -> Iterator[Served]:
    with lab_with_versions(engine_lab) as served:
        yield served


@pytest.fixture(scope="module")
def vllm_site(engine_lab: Lab) -> Iterator[Callable[..., VllmSite]]:
    """Boots a fleet with real vLLM for a module of tests: `vllm_site(2)`, or with another registry's text."""
    require_hosts()
    with ExitStack() as stack:
        yield lambda hosts, **options: stack.enter_context(site_of(engine_lab, hosts, **options))
