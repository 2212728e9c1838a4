"""A few of the simulated upgrades of tests/bench/bench_guard.py, which proves the same with thousands of them."""

from __future__ import annotations

import pytest

from tests.bench.bench_guard import CASES, TRAFFIC, Version, seeds, upgrade, watch


@pytest.mark.parametrize("name", TRAFFIC)
def test_an_unchanged_version_passes_its_gate_its_canary_and_its_bake(name: str) -> None:
    for seed in seeds(5, name, 3):
        assert upgrade(name, Version(), seed) == ("", 0.0)


@pytest.mark.parametrize(("title", "name", "version"), CASES, ids=[title for title, *_ in CASES])
def test_a_bad_version_is_caught_within_five_minutes(
    title: str, name: str, version: Version
) -> None:
    for seed in seeds(5, title, 2):
        at, verdict = watch(name, version, seed, rate=10.0)
        assert verdict == "failed"
        assert 0 < at <= 300
