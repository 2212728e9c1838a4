"""The files for Prometheus: targets with the labels of their releases, in a configuration that it accepts."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.planning.facts import host, release, slot
from toolkit.domain.deployment.release import Span
from toolkit.domain.hosts.fleet import Host
from toolkit.domain.hosts.metrics import MetricsSetup, ScrapeTarget
from toolkit.planning.engines import all_figures
from toolkit.planning.metrics.scrape import fixed_files, target_files
from toolkit.planning.metrics.targets import (
    DCGM,
    HOST,
    JOBS,
    NODE,
    REPLICA,
    ROUTER,
    kept_targets,
    metrics_address,
    out_of_reach,
    render_targets,
    targets,
)

ALPHA = Host(
    "alpha", "ssh", "10.0.0.1", router_metrics_bind="10.0.0.1:8405",
)  # fmt: skip
FACTS = host(slot("blue", release(3), weight=100), slot("green", release(2)), slot("red", None))


def test_a_replicas_target_tells_its_release() -> None:
    found = targets([ALPHA], {"alpha": FACTS})
    own = {"host": "alpha", "instance": "alpha"}
    assert found[ROUTER] == (ScrapeTarget("10.0.0.1:8405", "/metrics", own),)
    assert found[HOST] == (ScrapeTarget("10.0.0.1:8405", "/metrics/host", own),)
    assert found[NODE] == ()
    assert [(each.path, each.labels) for each in found[REPLICA]] == [
        (
            f"/metrics/replica/tiny/{name}",
            {**own, "model": "tiny", "slot": name, "release": number, "version": f"v{number}"},
        )
        for name, number in (("blue", "3"), ("green", "2"))
    ]


def test_of_a_replica_over_several_hosts_the_leader_alone_is_read() -> None:
    """The other hosts hand requests to its engine, for metrics too, so its tokens would count on each of them."""
    over_two = replace(release(3), span=Span(2, ("10.0.0.1", "10.0.0.2"), 28000))
    facts = host(slot("blue", over_two, weight=100))
    beta = replace(
        ALPHA, name="beta", address="10.0.0.2", router_metrics_bind="10.0.0.2:8405",
        relay_address="10.0.0.2",
    )  # fmt: skip
    alpha = replace(ALPHA, relay_address="10.0.0.1")
    found = targets([alpha, beta], {"alpha": facts, "beta": facts})
    assert [each.labels["host"] for each in found[REPLICA]] == ["alpha"]
    assert [each.labels["host"] for each in found[HOST]] == ["alpha", "beta"]
    # At other addresses than when it began to run, nobody can tell.
    moved = replace(beta, relay_address="10.0.0.9")
    assert len(targets([moved], {"beta": facts})[REPLICA]) == 1


def test_exporters_that_the_fleet_file_names_are_targets_behind_the_router() -> None:
    found = targets([replace(ALPHA, settings={"toolkit_node_exporter": 9100})], {})
    own = {"host": "alpha", "instance": "alpha"}
    assert found[NODE] == (ScrapeTarget("10.0.0.1:8405", "/metrics/node", own),)
    assert found[DCGM] == ()


@pytest.mark.parametrize(
    ("bind", "connection", "address"),
    [
        ("127.0.0.1:8405", "local", "127.0.0.1:8405"),
        ("127.0.0.1:8405", "ssh", ""),
        ("[::1]:8405", "ssh", ""),
        ("0.0.0.0:8405", "ssh", "10.0.0.1:8405"),
        (":8405", "local", "127.0.0.1:8405"),
        ("10.9.0.1:99", "ssh", "10.9.0.1:99"),
    ],
)
def test_where_a_host_is_read(bind: str, connection: str, address: str) -> None:
    found = Host("alpha", connection, "10.0.0.1", router_metrics_bind=bind)
    assert metrics_address(found) == address
    assert out_of_reach([found]) == (() if address else ("alpha",))
    assert bool(targets([found], {"alpha": FACTS})[REPLICA]) == bool(address)


def test_the_replicas_of_a_host_that_is_away_stay() -> None:
    found = targets([ALPHA], {"alpha": FACTS})[REPLICA]
    text = render_targets(found)
    assert kept_targets(text, {"alpha"}) == found
    assert render_targets(kept_targets(text, {"alpha"})) == text
    assert kept_targets(text, {"beta"}) == ()
    for damaged in ("", "[", "[1]", '[{"targets": [], "labels": {"host": "alpha"}}]', "{}"):
        assert kept_targets(damaged, {"alpha"}) == ()


def test_prometheus_accepts_the_configuration(tmp_path: Path) -> None:
    setup = MetricsSetup(str(tmp_path), alertmanagers=("10.0.0.9:9093",))
    files = {
        **fixed_files(setup, all_figures()),
        **target_files(targets([ALPHA], {"alpha": FACTS})),
    }
    assert {name for name in files if name.startswith("targets/")} == {
        f"targets/{job}.json" for job in JOBS
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    checked = subprocess.run(
        ["promtool", "check", "config", tmp_path / "prometheus.yml"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "FAILED" not in checked.stdout + checked.stderr
    assert json.loads(files["targets/toolkit-dcgm.json"]) == []
