"""What a host counts of its router and its replicas, with a real HAProxy and stand-ins for engines."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.hostside.router_lab import REPO, lab
from tests.hostside.router_site import PATH, Site
from tests.pace import Pace
from toolkit.domain.hosts.load import HostSample
from toolkit.planning.upkeep.load import loads

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import completion
import processes
import sample

# Two engine processes of one server, as data-parallel engines report.
METRICS = """\
# HELP vllm:time_to_first_token_seconds Time to first token.
vllm:num_requests_running{engine="0",model_name="tiny"} 2.0
vllm:num_requests_running{engine="1",model_name="tiny"} 1.0
vllm:prompt_tokens_total{engine="0",model_name="tiny"} 1.5e+02
vllm:generation_tokens_total{engine="0",model_name="tiny"} 40.0
vllm:kv_cache_usage_perc{engine="0",model_name="tiny"} 0.25
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.1",model_name="tiny"} 3.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.5",model_name="tiny"} 5.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="+Inf",model_name="tiny"} 6.0
vllm:time_to_first_token_seconds_bucket{engine="1",le="0.1",model_name="tiny"} 1.0
vllm:time_to_first_token_seconds_count{engine="0",model_name="tiny"} 6.0
vllm:time_to_first_token_seconds_count{engine="1",model_name="tiny"} 1.0
vllm:time_to_first_token_seconds_sum{engine="0",model_name="tiny"} 2.5
vllm:time_to_first_token_seconds_sum{engine="1",model_name="tiny"} 0.0625
vllm:time_to_first_token_seconds_created{engine="0",model_name="tiny"} 1.7e+09
vllm:inter_token_latency_seconds_count{engine="0"} NaN
"""


class Engine(ThreadingHTTPServer):
    """The metrics of an engine; one that hangs takes the connection and says nothing."""

    daemon_threads = True
    hangs = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Metrics)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()


class _Metrics(BaseHTTPRequestHandler):
    server: Engine

    def do_GET(self) -> None:
        if self.server.hangs:
            time.sleep(30)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(METRICS.encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def engine() -> Iterator[Engine]:
    running = Engine()
    yield running
    running.shutdown()
    running.server_close()


def manifest(root: Path, slot: str, port: int, **more: Any) -> None:
    release = {"model": "tiny", "version": "v1", "number": 1, "snapshot": "s", "engine": "e"}
    place = root / "slots" / f"tiny-{slot}"
    place.mkdir(parents=True)
    document = {"model": "tiny", "slot": slot, "port": port, "release": release, **more}
    (place / "manifest.json").write_text(json.dumps(document))


@pytest.fixture(autouse=True)
def no_supervisor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        processes, "state", lambda *_: {"state": "running", "pid": 1, "started_at": 1.0}
    )


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may let an engine answer late."""
    monkeypatch.setattr(sample, "_TIMEOUT", 60.0)


@pytest.mark.usefixtures("patient")
def test_an_engine_is_read_by_the_signs_of_its_manifest(tmp_path: Path, engine: Engine) -> None:
    manifest(tmp_path, "blue", engine.server_address[1])
    (found,) = HostSample.from_json(json.loads(json.dumps(sample.sample(str(tmp_path))))).replicas
    assert (found.model, found.slot, found.answers) == ("tiny", "blue", True)
    assert (found.running, found.waiting) == (3.0, None)
    assert (found.prompt, found.generated, found.cache_use) == (150.0, 40.0, 0.25)
    assert found.process
    assert found.first is not None
    assert found.first.buckets == ((0.1, 4.0), (0.5, 5.0))
    assert (found.first.total, found.first.count) == (2.5625, 7.0)
    # What is no number counts as nothing.
    assert found.between is None


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize(("rank", "prompt"), [(0, 150.0), (1, None)])
def test_an_engine_of_several_hosts_counts_on_its_leader_alone(
    tmp_path: Path, engine: Engine, rank: int, prompt: float | None
) -> None:
    """Another host's port leads to the leader's engine."""
    manifest(tmp_path, "blue", engine.server_address[1])
    (tmp_path / "slots" / "tiny-blue" / "span.json").write_text(json.dumps({"rank": rank}))
    (found,) = HostSample.from_json(sample.sample(str(tmp_path))).replicas
    assert (found.answers, found.prompt, found.first is None) == (True, prompt, prompt is None)
    assert bool(found.process)


@pytest.mark.usefixtures("patient")
def test_the_names_of_metrics_are_those_that_the_manifest_says(
    tmp_path: Path, engine: Engine
) -> None:
    signs = {"flow": {"prompt": "vllm:generation_tokens"}, "times": {}}
    manifest(tmp_path, "blue", engine.server_address[1], signs=signs)
    (found,) = sample.sample(str(tmp_path))["replicas"]
    assert (found["prompt"], "generated" in found, "first" in found) == (40.0, False, False)


def test_an_engine_that_hangs_keeps_no_other_back(
    tmp_path: Path, engine: Engine, pace: Pace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "_TIMEOUT", 4.0)
    slow = [Engine() for _ in range(3)]
    for number, each in enumerate(slow):
        each.hangs = True
        manifest(tmp_path, f"slot{number}", each.server_address[1])
    manifest(tmp_path, "blue", engine.server_address[1])
    began = pace()
    found = {each["slot"]: each["answers"] for each in sample.sample(str(tmp_path))["replicas"]}
    # One after the other, they would take twelve.
    assert pace() - began < 8
    assert found == {"blue": True, "slot0": False, "slot1": False, "slot2": False}
    for each in slow:
        each.shutdown()
        each.server_close()


def test_a_host_with_nothing_has_an_empty_sample(tmp_path: Path) -> None:
    found = HostSample.from_json(sample.sample(str(tmp_path)))
    assert (found.router, found.targets, found.replicas) == (False, (), ())
    assert found.boot


@pytest.mark.parametrize(
    "line",
    [
        'm_bucket{le="-1"} 1',
        'm_bucket{le="nan"} 1',
        'm_bucket{le="1"} -4',
        'm_bucket{le="1"} inf',
        'm_bucket{le="1"}',
        "m_bucket 4",
        "m_sum",
        "m_count{} x",
        "m_other 4",
        "n_count 4",
        "",
    ],
)
def test_a_line_that_is_no_part_of_a_histogram_counts_as_nothing(line: str) -> None:
    found = completion.histograms_in([line, "m_count 2", "m_sum 1.5"], ["m"])
    assert found == {"m": {"buckets": [], "total": 1.5, "count": 2.0}}


@pytest.mark.parametrize(
    "value", [0.00012208521548040533, 0.0009765625, 9.5e-05, 1.5, 3.0, 123456789.25]
)
def test_a_number_is_read_as_python_writes_it(value: float) -> None:
    assert completion.counts_in([f'm{{engine="0"}} {value!r}'], ["m"]) == {"m": value}
    found = completion.histograms_in(["m_count 2", f"m_sum {value!r}"], ["m"])
    assert found == {"m": {"buckets": [], "total": value, "count": 2.0}}


def test_the_requests_of_each_slot_are_counted_over_a_reload_of_the_router() -> None:
    with lab() as running:
        site = Site(running)
        before = HostSample.from_json(sample.sample(str(running.root)))
        for _ in range(3):
            running.ask(PATH, {"model": "tiny"})
        site.blue.broken = True
        running.ask(PATH, {"model": "tiny"})
        site.blue.broken = False
        site.reload()
        for _ in range(2):
            running.ask(PATH, {"model": "tiny"})
        after = HostSample.from_json(sample.sample(str(running.root)))
        site.blue.stop()
        site.green.stop()
    assert (before.router, after.router) == (True, True)
    seconds = after.clock - before.clock
    load = loads(before, after)["tiny", "blue"]
    assert load.requests is not None
    assert load.failed is not None
    # The former worker may have ended since: then what it counted after the first sample is not known.
    assert round(load.requests * seconds) in (2, 6)
    assert round(load.failed * seconds) in (0, 1)
    assert loads(before, after)["tiny", "green"].requests == 0.0
