"""The recorder of use within the former engine: the cases of `test_use.py`, which another worker runs.

The main job, in the same worker, has that engine installed.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system import test_use as cases
from tests.system.served import FORMER, installed_engine

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def one_engine() -> Path:
    """The directory of the former engine."""
    try:
        return installed_engine(FORMER)
    except LookupError as error:
        pytest.skip(str(error))


pair = cases.pair
# In the order of that file: the orderly end is that of the engine which the cases before it ask.
test_clients_get_the_same_bytes_and_each_request_is_counted = (
    cases.test_clients_get_the_same_bytes_and_each_request_is_counted
)
test_a_stream_that_its_client_leaves_is_counted_as_the_engine_counts_it = (
    cases.test_a_stream_that_its_client_leaves_is_counted_as_the_engine_counts_it
)
test_many_at_once_end_with_the_engines_sums = cases.test_many_at_once_end_with_the_engines_sums
test_an_orderly_end_leaves_the_engines_own_sums_in_the_file = (
    cases.test_an_orderly_end_leaves_the_engines_own_sums_in_the_file
)
test_vectors_are_counted = cases.test_vectors_are_counted
