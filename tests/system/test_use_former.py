"""The recorder of use within the former engine: the cases of `test_use.py`, which another worker runs.

The deployments of the main job, in the same worker, install that engine.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.served import installed_engine
from tests.system.test_use import (  # noqa: F401
    pair,
    test_a_stream_that_its_client_leaves_is_counted_as_the_engine_counts_it,
    test_an_orderly_end_leaves_the_engines_own_sums_in_the_file,
    test_clients_get_the_same_bytes_and_each_request_is_counted,
    test_many_at_once_end_with_the_engines_sums,
    test_vectors_are_counted,
)

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def one_engine() -> Path:
    """The directory of the former engine."""
    try:
        return installed_engine("0.31.0")
    except LookupError as error:
        pytest.skip(str(error))
