"""The lab of the whole-system tests, set up once for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from demo.lab import Lab
from tests.fleet.machine import require_hosts
from tests.system.main_job import prepare_registry
from tests.system.models import made_models
from tests.system.served import Served, installed_engine, lab_with_engine, lab_with_versions
from tests.system.vllm_site import VllmSite
from tests.system.vllm_site import vllm_site as site_of


@pytest.fixture(scope="session")
def engine_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab_with_engine(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture(scope="session")
def engine() -> Path:
    """The directory of the engine that `make prepare` has installed."""
    return installed_engine()


@pytest.fixture(scope="session")
def models(engine: Path) -> Path:
    """The directory with a directory for each trained model."""
    return made_models(engine)


@pytest.fixture(scope="session")
def served(engine_lab: Lab) -> Iterator[Served]:
    """The versions of the main job: v1 with the former engine, all with room for adapters."""
    with lab_with_versions(engine_lab) as served:
        prepare_registry(served)
        yield served


@pytest.fixture(scope="module")
def vllm_site(engine: Path) -> Iterator[Callable[..., VllmSite]]:
    """Boots a fleet with real vLLM for a module of tests: `vllm_site(2)`, or with another registry's text."""
    require_hosts()
    with ExitStack() as stack:
        yield lambda hosts, **options: stack.enter_context(site_of(engine, hosts, **options))
